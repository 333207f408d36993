package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mistake says what is wrong with a value, and where in it. It never repeats the
// value, which may be a secret.
type Mistake struct {
	Field  []string // names and indices, from the outside in; empty: the value itself
	Reason string
}

// longest is how much of a name that somebody made up is repeated.
const longest = 60

func (m *Mistake) Error() string {
	if len(m.Field) == 0 {
		return m.Reason
	}
	names := make([]string, len(m.Field))
	for i, name := range m.Field {
		names[i] = fmt.Sprintf("%.*s", longest, name)
	}
	return "field " + strings.Join(names, ".") + ": " + m.Reason
}

func mistake(format string, args ...any) *Mistake {
	return &Mistake{Reason: fmt.Sprintf(format, args...)}
}

// in is m as a mistake in the field name of something.
func (m *Mistake) in(name string) *Mistake {
	return &Mistake{Field: append([]string{name}, m.Field...), Reason: m.Reason}
}

// Check refuses a value that s does not allow, with a *Mistake, the first one it
// finds. The value is one of encoding/json, with numbers as json.Number. Fields that
// are not given, or null, and have a default get it: filled says that some did.
func (s *Schema) Check(value any) (filled bool, err error) {
	var c check
	if m := c.value(s, value); m != nil {
		return c.filled, m
	}
	return c.filled, nil
}

// check is one run of Check.
type check struct{ filled bool }

func (c *check) value(s *Schema, value any) *Mistake {
	if len(s.OneOf) > 0 {
		return c.choice(s, value)
	}
	if len(s.Enum) > 0 {
		// First: whoever sends another type wants to know the words, too.
		return within(s.Enum, value)
	}
	if value == nil {
		return mistake("value must be %s, not null", article(s.Type))
	}
	if !is(s.Type, value) {
		return mistake("value must be %s", article(s.Type))
	}
	switch v := value.(type) {
	case json.Number:
		return s.number(v)
	case string:
		return s.text(v)
	case []any:
		return c.array(s, v)
	case map[string]any:
		return c.object(s, v)
	}
	return nil // true and false
}

// is reports whether value is of a JSON type; integers are numbers.
func is(kind string, value any) bool {
	switch value.(type) {
	case bool:
		return kind == typeBoolean
	case json.Number:
		return kind == typeNumber || kind == typeInteger
	case string:
		return kind == typeString
	case []any:
		return kind == typeArray
	case map[string]any:
		return kind == typeObject
	}
	return false
}

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "aio") {
		return "an " + kind
	}
	return "a " + kind
}

// choice checks value against the alternative of its type: there is one at most.
func (c *check) choice(s *Schema, value any) *Mistake {
	var kinds []string
	for _, a := range s.OneOf {
		if is(a.Type, value) {
			return c.value(a, value)
		}
		kinds = append(kinds, article(a.Type))
	}
	return mistake("value must be %s", strings.Join(kinds, " or "))
}

func within(enum []any, value any) *Mistake {
	text, ok := value.(string)
	if ok && slices.Contains(enum, any(text)) {
		return nil
	}
	words := make([]string, len(enum))
	for i, v := range enum {
		words[i] = strconv.Quote(fmt.Sprint(v))
	}
	return mistake("value is not one of the allowed values [%s]", strings.Join(words, ","))
}

func (s *Schema) number(n json.Number) *Mistake {
	v, err := n.Float64()
	switch {
	case err != nil:
		return mistake("number is too large")
	case s.Type == typeInteger && v != math.Trunc(v):
		return mistake("value must be an integer")
	case s.Format == "int64" && (v < math.MinInt64 || v > math.MaxInt64):
		return mistake("number must have 64 bits at most")
	case s.Minimum != nil && v < *s.Minimum:
		return mistake("number must be at least %s", plain(*s.Minimum))
	case s.Maximum != nil && v > *s.Maximum:
		return mistake("number must be at most %s", plain(*s.Maximum))
	}
	return nil
}

// plain writes a bound as people do, without an exponent.
func plain(bound float64) string { return strconv.FormatFloat(bound, 'f', -1, 64) }

func (s *Schema) text(v string) *Mistake {
	n := utf8.RuneCountInString(v)
	if n < s.MinLength {
		return mistake("minimum string length is %d", s.MinLength)
	}
	if s.MaxLength != nil && n > *s.MaxLength {
		return mistake("maximum string length is %d", *s.MaxLength)
	}
	return nil
}

func (c *check) array(s *Schema, v []any) *Mistake {
	if len(v) < s.MinItems {
		return mistake("minimum number of items is %d", s.MinItems)
	}
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		return mistake("maximum number of items is %d", *s.MaxItems)
	}
	for i, item := range v {
		if m := c.value(s.Items, item); m != nil {
			return m.in(strconv.Itoa(i))
		}
	}
	if s.UniqueItems && twice(v) {
		return mistake("duplicate items found")
	}
	return nil
}

// twice reports whether one of the items, integers or texts, comes more than once.
// 1 and 1.0 are the same number.
func twice(items []any) bool {
	seen := make(map[any]bool, len(items))
	for _, item := range items {
		if n, ok := item.(json.Number); ok {
			if v, err := n.Int64(); err == nil {
				item = v
			} else if v, err := n.Float64(); err == nil && v >= math.MinInt64 && v < math.MaxInt64 {
				item = int64(v)
			}
		}
		if seen[item] {
			return true
		}
		seen[item] = true
	}
	return false
}

func (c *check) object(s *Schema, v map[string]any) *Mistake {
	for name, p := range s.Properties {
		// A default is no composite value, which two requests would share: sound
		// refuses those.
		if v[name] == nil && p.Default != nil {
			v[name], c.filled = p.Default, true
		}
	}
	if len(v) < s.MinProperties {
		return mistake("there must be at least %d properties", s.MinProperties)
	}
	if s.MaxProperties != nil && len(v) > *s.MaxProperties {
		return mistake("there must be at most %d properties", *s.MaxProperties)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		p := s.Properties[name]
		if p == nil {
			p = s.Additional.Schema
		}
		if p == nil {
			return s.unknown(name)
		}
		if m := c.value(p, v[name]); m != nil {
			return m.in(name)
		}
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return mistake("property %q is missing", name).in(name)
		}
	}
	return nil
}

// unknown says which names there are: the wrong one is mistyped, most likely.
func (s *Schema) unknown(name string) *Mistake {
	m := mistake("property %.*q is unsupported", longest, name)
	if len(s.Properties) > 0 {
		m.Reason += "; there are " + strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ")
	}
	return m
}
