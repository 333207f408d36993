package query

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fields are the names that a colon makes a condition of, besides those of documents' own fields.
var fields = []string{"ext", "type", "folder", "node", "name", "title", "size", "modified"}

// own begins the names of documents' own fields, such as fields.year.
const own = "fields."

// Of returns how a condition names a document's own field; ok is false if none can.
func Of(name string) (field string, ok bool) {
	field = own + name
	e, err := Parse(field + ":0..1")
	r, is := e.(Range)
	return field, err == nil && is && r.Field == field
}

// Own returns the name of a document's own field that is meant by the field of a Range.
func Own(field string) (name string, ok bool) { return strings.CutPrefix(field, own) }

// fieldOf returns the name that run begins with, as it is written there, if a
// colon follows it and something follows that.
func fieldOf(run string) (string, bool) {
	name, _, ok := strings.Cut(run, ":")
	return name, ok && (slices.Contains(fields, strings.ToLower(name)) || len(name) > len(own) && strings.EqualFold(name[:len(own)], own))
}

// field reads a condition; done is false if there is no value, so that it is text.
func (l *lexer) field(start int, written string) (done bool, err error) {
	name, at := strings.ToLower(written), start+utf8.RuneCountInString(written)+1
	is := false
	if _, is = Own(name); is {
		name = own + written[len(own):]
	}
	var e Expr
	switch {
	case name == "name", name == "title":
		e, at = l.inField(name, at)
	case name == "size", name == "modified", is:
		after := l.bare(at)
		if after == at {
			return false, nil
		}
		r, expected := parseRange(name, string(l.text[at:after]))
		if expected != "" {
			return false, fail(l.text, at, after, expected)
		}
		e, at = r, after
	default:
		e, at = l.values(name, at)
	}
	if e == nil {
		return false, nil
	}
	l.at = at
	l.add(term, e, start)
	l.fresh = false
	return true, nil
}

// inField reads a word or phrase that is wanted in a field.
func (l *lexer) inField(name string, at int) (Expr, int) {
	if text, after, ok := l.quoted(at); ok {
		if strings.TrimSpace(text) == "" {
			return nil, at
		}
		return Phrase{Text: text, Field: name}, after
	}
	after := l.bare(at)
	w := Word{Text: trim(string(l.text[at:after])), Field: name}
	if w.Text == "" {
		return nil, at
	}
	before := l.at
	l.at = after
	w.Prefix = l.star()
	after, l.at = l.at, before
	return w, after
}

// values reads values with commas between them.
func (l *lexer) values(name string, at int) (Expr, int) {
	m := Match{Field: name}
	for {
		v, after, ok := l.quoted(at)
		if !ok {
			after = l.bare(at)
			if n := slices.Index(l.text[at:after], ','); n >= 0 {
				after = at + n
			}
			v = string(l.text[at:after])
		}
		if v = normal(name, v); v != "" && !slices.Contains(m.Values, v) {
			m.Values = append(m.Values, v)
		}
		at = after
		if at == len(l.text) || l.text[at] != ',' {
			break
		}
		at++
	}
	if len(m.Values) == 0 {
		return nil, at
	}
	return m, at
}

func normal(field, v string) string {
	v = strings.TrimSpace(v)
	switch field {
	case "ext":
		return strings.TrimLeft(strings.ToLower(v), ".")
	case "type":
		return strings.ToLower(v)
	}
	return v
}

// What is expected where something else stands.
const (
	wantSize = "a size such as 10mb, a comparison such as >10mb, or a range such as 1mb..20mb"
	wantTime = "a date such as 2026, 2026-01 or 2026-01-31, a comparison such as >2026-01-31, or a range such as 2024..2025"
	wantOwn  = "a number such as 5 or -2.5, a comparison such as >5, or a range such as 1..5"
	wantUp   = "a range that begins before it ends"
	wantMore = "a size that something can be smaller than"
)

// parseRange reads the value of size, modified or a document's own field; expected is empty if it could.
func parseRange(field, v string) (r Range, expected string) {
	switch field {
	case "size":
		expected = wantSize
	case "modified":
		expected = wantTime
	default:
		expected = wantOwn
	}
	r = Range{Field: field, From: math.MinInt64, To: math.MaxInt64}
	v = strings.ReplaceAll(v, "…", "..")
	if low, high, ok := strings.Cut(v, ".."); ok {
		from, okFrom := parseBounds(field, low, false)
		to, okTo := parseBounds(field, high, false)
		switch {
		case low == "" && high == "" || low != "" && !okFrom || high != "" && !okTo:
			return r, expected
		case low != "":
			r.From = from.low
		}
		if high != "" {
			r.To = to.high
		}
		if r.From > r.To {
			return r, wantUp
		}
		return r, ""
	}
	compare := v[:len(v)-len(strings.TrimLeft(v, "<>="))]
	b, ok := parseBounds(field, v[len(compare):], compare == "" || compare == "=")
	if !ok {
		return r, expected
	}
	switch compare {
	case "", "=":
		r.From, r.To = b.low, b.high
	case ">":
		r.From = b.high + 1
	case ">=", "=>":
		r.From = b.low
	case "<":
		r.To = b.low - 1
	case "<=", "=<":
		r.To = b.high
	default:
		return r, expected
	}
	if r.To < 0 && field == "size" {
		return r, wantMore
	}
	return r, ""
}

// bounds are the first and the last number that a value stands for.
type bounds struct{ low, high int64 }

// parseBounds reads a size or a date. Rounded: a size stands for all that are
// written so when they are rounded.
func parseBounds(field, v string, rounded bool) (bounds, bool) {
	switch field {
	case "size":
		return parseSize(strings.ToLower(v), rounded)
	case "modified":
		return parseTime(v)
	}
	n, ok := Float(v)
	return bounds{Order(n), Order(n)}, ok
}

// Float reads a number as conditions on documents' own fields have it.
func Float(text string) (n float64, ok bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && strings.Trim(text, "0123456789.-eE") == ""
}

// Order returns where a number is in the order of all: so bounds of documents' own fields are given. It is
// neither math.MinInt64 nor math.MaxInt64 unless n is no number.
func Order(n float64) int64 {
	i := int64(math.Float64bits(n + 0)) // -0 is 0
	if i < 0 {
		i ^= math.MaxInt64
	}
	return i
}

// Number is the reverse of Order.
func Number(i int64) float64 {
	if i < 0 {
		i ^= math.MaxInt64
	}
	return math.Float64frombits(uint64(i))
}

// units are those of sizes, the ones with an i first: mb ends like b.
var units = []struct {
	name string
	size int64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"tib", 1 << 40},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"tb", 1e12},
	{"k", 1e3},
	{"m", 1e6},
	{"g", 1e9},
	{"t", 1e12},
	{"b", 1},
	{"", 1},
}

// maxSize bounds sizes; it is more than any file has.
const maxSize = 1 << 60

// Size reads a size as conditions have it, such as 20mb or 1.5gib, in bytes.
func Size(text string) (bytes int64, ok bool) {
	b, ok := parseSize(strings.ToLower(text), false)
	return b.low, ok
}

// Span reads a date or a time as conditions have it, in UTC: from is its beginning, to the
// last nanosecond of the year, month, day, minute or second that it names.
func Span(text string) (from, to time.Time, ok bool) {
	b, ok := parseTime(text)
	return time.Unix(0, b.low).UTC(), time.Unix(0, b.high).UTC(), ok
}

// parseSize reads a size: a number, perhaps with a point, and a unit.
func parseSize(v string, rounded bool) (bounds, bool) {
	digits := len(v) - len(strings.TrimLeft(v, "0123456789."))
	i := slices.IndexFunc(units, func(u struct {
		name string
		size int64
	},
	) bool {
		return u.name == v[digits:]
	})
	whole, part, _ := strings.Cut(v[:digits], ".")
	if i < 0 || whole == "" || len(whole)+len(part) > 18 || strings.Contains(part, ".") {
		return bounds{}, false
	}
	// A step is what the last digit counts; a fraction of a byte is none.
	n, step := int64(0), units[i].size
	for _, d := range whole {
		n = 10*n + int64(d-'0')
	}
	if n > maxSize/step {
		return bounds{}, false
	}
	n *= step
	for _, d := range part {
		step /= 10
		n += int64(d-'0') * step
	}
	if !rounded {
		return bounds{n, n}, true
	}
	return bounds{max(n-step/2, 0), n + max(step-step/2, 1) - 1}, true
}

// parseTime reads a date or a time in UTC: it stands for the whole year, month,
// day, minute or second.
func parseTime(v string) (bounds, bool) {
	for _, f := range []struct {
		layout string
		end    func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04Z", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
		{"2006-01-02T15:04:05Z", func(t time.Time) time.Time { return t.Add(time.Second) }},
		{instant, func(t time.Time) time.Time { return t.Add(1) }},
	} {
		// Parse takes a fraction of a second wherever there is a second.
		if len(v) != len(f.layout) {
			continue
		}
		t, err := time.Parse(f.layout, strings.ToUpper(v))
		if err != nil {
			continue
		}
		// Nanoseconds since 1970 must fit 64 bits, also one more and one less.
		if year := t.Year(); year < 1700 && v != lastBefore || year > 2201 || year == 2201 && f.layout != instant {
			return bounds{}, false
		}
		return bounds{t.UnixNano(), f.end(t).UnixNano() - 1}, true
	}
	return bounds{}, false
}

// lastBefore is the end of modified:<1700, the earliest that there is.
const lastBefore = "1699-12-31T23:59:59.999999999Z"
