package seed

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// MaxLink is the length of the longest link in bytes.
const MaxLink = 64 << 10

// ErrLink: a text is no link to a seed.
var ErrLink = errors.New("not a link to a seed")

// The keys of Link.Extra.
const (
	LinkVia     = "via" // who lets somebody in who is no member, base64url
	LinkExpires = "exp" // until when
)

// A Link is what it takes to fetch a file from a network: the rest of its seed is
// asked for there, and verified. As a text it is
//
//	shoal:seed/4b1d…?len=67108864&name=lecture.mp4&tr=mfrggzdf…&ws=https%3A%2F%2Fmirror.example%2Flecture.mp4
type Link struct {
	ID       ID
	Size     int64  // of the file in bytes
	Name     string // of the file
	Legacy   bool   // it leads to a seed of the old form
	Trackers []p2p.ID
	Web      []string
	Extra    map[string]string // by known keys: letters, digits, - and _; nil: none
}

// Link returns the link to the seed.
func (s Seed) Link() Link {
	return Link{
		ID: s.ID(), Size: s.Size, Name: s.Name, Legacy: s.Legacy != nil,
		Trackers: slices.Clone(s.Trackers), Web: slices.Clone(s.Web),
	}
}

// Seed returns what a link alone says of its seed: all but the values and the bases.
// Of the old form it says nothing, which is an ErrLegacy: its text has to come from
// somebody, and is the right one if it has this ID.
func (l Link) Seed() (Seed, error) {
	if l.Legacy {
		return Seed{}, fmt.Errorf("seed: link to %s: %w", l.ID.Short(), ErrLegacy)
	}
	layout, err := LayoutOf(l.Size)
	if err != nil {
		return Seed{}, err
	}
	s := Seed{Name: l.Name, Layout: layout, Root: chunk.Hash(l.ID), Trackers: slices.Clone(l.Trackers), Web: slices.Clone(l.Web)}
	if layout.Count() == 1 {
		return s.WithPieces([]chunk.Hash{s.Root})
	}
	return s, nil
}

// String returns the link as text.
func (l Link) String() string { return "shoal:" + l.rest() }

// Page returns the link as one that opens in the page of a node, whose address page
// is: "http://localhost:8080".
func (l Link) Page(page string) string {
	return strings.TrimRight(page, "/") + "/#get=" + l.rest()
}

func (l Link) rest() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed/%s?len=%d&name=%s", l.ID, l.Size, escape(l.Name))
	if l.Legacy {
		b.WriteString("&form=md5")
	}
	for _, id := range l.Trackers {
		b.WriteString("&tr=" + id.String())
	}
	for _, u := range l.Web {
		b.WriteString("&ws=" + escape(u))
	}
	for _, key := range slices.Sorted(maps.Keys(l.Extra)) {
		b.WriteString("&" + key + "=" + l.Extra[key])
	}
	return b.String()
}

// escape percent-encodes all but letters, digits and - . _ ~.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// ParseLink reads either form of a link, that of the page with any host. Keys that
// begin with x- are left out. Errors are ErrLink.
func ParseLink(text string) (Link, error) {
	l, err := parseLink(strings.TrimSpace(text))
	if err != nil {
		return Link{}, fmt.Errorf("seed: %w: %w", ErrLink, err)
	}
	return l, nil
}

func parseLink(text string) (Link, error) {
	if len(text) > MaxLink {
		return Link{}, fmt.Errorf("%d bytes, at most %d", len(text), MaxLink)
	}
	rest, err := restOf(text)
	if err != nil {
		return Link{}, err
	}
	id, query, _ := strings.Cut(rest, "?")
	l := Link{Size: -1}
	if why := readHex(l.ID[:], id); why != "" {
		return Link{}, fmt.Errorf("its ID %s", why)
	}
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		if value, err = url.PathUnescape(value); err != nil {
			return Link{}, fmt.Errorf("%.20q: %w", key, err)
		}
		if err := l.set(key, value); err != nil {
			return Link{}, err
		}
	}
	return l, l.check()
}

// restOf returns what follows "seed/" in any form.
func restOf(text string) (string, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "http", "https":
		_, rest, _ = strings.Cut(rest, "#get=")
	case "shoal":
	default:
		return "", fmt.Errorf("%.40q begins neither with shoal: nor with http", text)
	}
	rest, ok := strings.CutPrefix(rest, "seed/")
	if !ok {
		return "", fmt.Errorf("%.40q leads to no seed", text)
	}
	return rest, nil
}

func (l *Link) set(key, value string) error {
	switch {
	case key == "len":
		size, ok := readNumber(value)
		if !ok || size > MaxSize {
			return fmt.Errorf("a file of %.40q bytes", value)
		}
		if l.Size >= 0 {
			return twice(key)
		}
		l.Size = size
	case key == "name":
		if l.Name != "" {
			return twice(key)
		}
		l.Name = value
		return CheckName(value)
	case key == "form":
		if value != "md5" {
			return fmt.Errorf("a seed of the form %.20q", value)
		}
		if l.Legacy {
			return twice(key)
		}
		l.Legacy = true
	case key == "tr":
		id, err := p2p.ParseID(value)
		if err != nil || slices.Contains(l.Trackers, id) || len(l.Trackers) == MaxTrackers {
			return fmt.Errorf("tracker %.60q: not the ID of a node, or one too many", value)
		}
		l.Trackers = append(l.Trackers, id)
	case key == "ws":
		if why := wrongURL(value); why != "" {
			return fmt.Errorf("URL %.80q: %s", value, why)
		}
		if slices.Contains(l.Web, value) || len(l.Web) == MaxWeb {
			return fmt.Errorf("URL %.80q: one too many", value)
		}
		l.Web = append(l.Web, value)
	case key == LinkVia || key == LinkExpires:
		if _, ok := l.Extra[key]; ok {
			return twice(key)
		}
		if !opaque(value) {
			return fmt.Errorf("%s is empty, or has characters that it cannot have", key)
		}
		if l.Extra == nil {
			l.Extra = map[string]string{}
		}
		l.Extra[key] = value
	case strings.HasPrefix(key, "x-"):
	default:
		return fmt.Errorf("it says %.20q, which this version does not know", key)
	}
	return nil
}

func twice(key string) error { return fmt.Errorf("%s comes twice", key) }

func opaque(value string) bool {
	return value != "" && !strings.ContainsFunc(value, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

func (l *Link) check() error {
	switch {
	case l.Size < 0:
		return errors.New("len is missing: the length of the file")
	case l.Name == "":
		return errors.New("name is missing: the name of the file")
	case !l.Legacy && l.Size == 0 && l.ID != ID(emptyRoot):
		return errors.New("its ID is not that of an empty file, " + strconv.Quote(emptyRoot.String()))
	}
	return nil
}
