package portmap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// service is what maps ports in a device.
type service struct {
	Type string // one of serviceTypes
	At   place  // where it is controlled
}

// serviceTypes are the services that map ports, the better ones first: IGD:2
// counts leases properly.
var serviceTypes = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// Bounds of a description.
const (
	maxServices  = 4
	maxXMLDepth  = 32
	maxXMLTokens = 20000
)

// decodeDescription returns the services of a device that map ports, from its
// description at place at (UPnP Device Architecture 1.1 §2.3). Services that are
// controlled elsewhere are left out. The text is at most maxBody bytes long: what
// is allocated is bounded by it.
func decodeDescription(b []byte, at place) ([]service, error) {
	var out []service
	var base, kind, control string
	err := walkXML(b, func(path []string, text string) {
		switch path[len(path)-1] {
		case "URLBase":
			base = text
		case "serviceType":
			kind = text
		case "controlURL":
			control = text
		case "service": // its end
			if slices.Contains(serviceTypes, kind) && len(out) < maxServices {
				out = append(out, service{Type: kind, At: place{Path: control}})
			}
			kind, control = "", ""
		}
	})
	if err != nil {
		return nil, fmt.Errorf("the description of the device: %w", err)
	}
	// A base that leads elsewhere is a mistake of many routers: what is relative to
	// it is then relative to the description.
	if p, err := parsePlace(base, &at); err == nil {
		at = p
	}
	kept := out[:0]
	var why error
	for _, s := range out {
		if s.At, err = parsePlace(s.At.Path, &at); err != nil {
			why = err
			continue
		}
		kept = append(kept, s)
	}
	switch {
	case len(kept) == 0 && why != nil:
		return nil, fmt.Errorf("the description of the device: %w", why)
	case len(kept) == 0:
		return nil, errors.New("the device does not map ports")
	}
	slices.SortStableFunc(kept, func(a, b service) int {
		return slices.Index(serviceTypes, a.Type) - slices.Index(serviceTypes, b.Type)
	})
	return kept, nil
}

// walkXML calls each at the end of every element, with the local names of the
// elements around it, itself last, and its text. Names are compared without
// their spaces, because routers get those wrong. What is not ASCII becomes '?',
// so that any encoding that contains ASCII is read.
func walkXML(b []byte, each func(path []string, text string)) error {
	ascii := make([]byte, len(b))
	for i, c := range b {
		if ascii[i] = c; c >= 0x80 {
			ascii[i] = '?'
		}
	}
	d := xml.NewDecoder(strings.NewReader(string(ascii)))
	d.Strict = false
	d.CharsetReader = passThrough
	var path []string
	var text strings.Builder
	for range maxXMLTokens {
		t, err := d.RawToken()
		if err != nil {
			if len(path) == 0 && isEOF(err) {
				return nil
			}
			return errors.New("not XML")
		}
		switch t := t.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > maxXMLDepth {
				return errors.New("elements nested too deep")
			}
			text.Reset()
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if len(path) == 0 || path[len(path)-1] != t.Name.Local {
				return errors.New("not XML")
			}
			each(path, strings.TrimSpace(text.String()))
			path = path[:len(path)-1]
			text.Reset()
		}
	}
	return errors.New("too many elements")
}
