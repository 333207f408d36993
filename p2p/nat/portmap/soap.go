package portmap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// argument of a call; the order counts for some routers.
type argument struct{ Name, Value string }

// encodeCall returns the body of a SOAP call (UPnP Device Architecture 1.1
// §3.2.1). Some routers answer only exactly this form of it.
func encodeCall(serviceType, action string, args []argument) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header +
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">` +
		`<s:Body><u:` + action + ` xmlns:u="` + serviceType + `">`)
	for _, a := range args {
		b.WriteString("<" + a.Name + ">")
		_ = xml.EscapeText(&b, []byte(a.Value)) // a Buffer never fails
		b.WriteString("</" + a.Name + ">")
	}
	b.WriteString(`</u:` + action + `></s:Body></s:Envelope>`)
	return b.Bytes()
}

// fault is a UPnP error code in answer to a call.
type fault int

// Codes (WANIPConnection:2 §2.5, and what routers are known to answer).
const (
	faultNoEntry     fault = 714
	faultConflict    fault = 718
	faultSamePort    fault = 724
	faultPermanent   fault = 725
	faultMechanism   fault = 729
	maxSOAPArguments       = 32
)

// Error implements error.
func (f fault) Error() string {
	switch f {
	case 401, 602:
		return "the router does not know the operation"
	case 402, 600, 601:
		return "the router does not understand the request"
	case 501:
		return "the router failed"
	case 606:
		return "the router does not allow it: its settings have to be changed"
	case faultNoEntry:
		return "the router has no such mapping"
	case faultConflict, faultMechanism:
		return "the outside port is taken"
	case faultSamePort:
		return "the router wants the same port outside as inside"
	case faultPermanent:
		return "the router has permanent mappings only"
	case 728:
		return "the router has no room for another mapping"
	}
	return fmt.Sprintf("the router refuses with code %d", int(f))
}

// decodeCall returns the arguments of the answer to a call, or a fault.
func decodeCall(b []byte, action string) (map[string]string, error) {
	out := map[string]string{}
	var found, faulted bool
	var code fault
	err := walkXML(b, func(path []string, text string) {
		name := path[len(path)-1]
		switch {
		case name == action+"Response":
			found = true
		case slices.Contains(path, action+"Response") && len(out) < maxSOAPArguments:
			out[name] = text
		case name == "errorCode":
			if n, err := strconv.ParseUint(text, 10, 16); err == nil {
				code = fault(n)
			}
		case name == "Fault":
			faulted = true
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer to %s: %w", action, err)
	case faulted:
		return nil, code
	case !found:
		return nil, fmt.Errorf("the answer to %s is none", action)
	}
	return out, nil
}

// passThrough reads any character set as it is: walkXML has made it ASCII.
func passThrough(_ string, r io.Reader) (io.Reader, error) { return r, nil }

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
