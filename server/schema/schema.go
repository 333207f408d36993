// Package schema holds requests against what an API's description says of them:
// its parameters and JSON bodies. It knows those keywords of OpenAPI 3.0.3 that
// requests here need, and refuses to load any other one, so that nothing that is
// described goes unchecked.
//
// A general library would do: kin-openapi, which the tests hold this package
// against. But what that imports cost every start of the program 4 ms of CPU, also
// of verbs that serve nothing.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Operation is what one method of one path takes.
type Operation struct {
	Method     string      `json:"method"` // as in a request: GET
	Path       string      `json:"path"`   // with {parameters}
	Parameters []Parameter `json:"parameters,omitempty"`
	Body       *Body       `json:"body,omitempty"` // nil: it takes none
}

// Body is a request's JSON body.
type Body struct {
	Required bool   `json:"required,omitempty"`
	Schema   Schema `json:"schema"`
}

// Schema says which JSON values are valid. The keywords are those of OpenAPI
// 3.0.3; one that is missing holds for all values.
type Schema struct {
	Type    string `json:"type,omitempty"`
	Format  string `json:"format,omitempty"`
	Enum    []any  `json:"enum,omitempty"`    // texts
	Default any    `json:"default,omitempty"` // of a parameter or a field that is not given

	Minimum *float64 `json:"minimum,omitempty"`
	Maximum *float64 `json:"maximum,omitempty"`

	MinLength int  `json:"minLength,omitempty"` // in code points
	MaxLength *int `json:"maxLength,omitempty"`

	Items       *Schema `json:"items,omitempty"`
	MinItems    int     `json:"minItems,omitempty"`
	MaxItems    *int    `json:"maxItems,omitempty"`
	UniqueItems bool    `json:"uniqueItems,omitempty"`

	Properties    map[string]*Schema `json:"properties,omitempty"`
	Required      []string           `json:"required,omitempty"`
	Additional    *Additional        `json:"additionalProperties,omitempty"`
	MinProperties int                `json:"minProperties,omitempty"`
	MaxProperties *int               `json:"maxProperties,omitempty"`

	OneOf []*Schema `json:"oneOf,omitempty"` // of different types
}

// Additional is what holds for fields that properties does not name.
type Additional struct {
	Schema *Schema // nil: there may be none
}

// UnmarshalJSON reads false or a schema. That anything goes cannot be said.
func (a *Additional) UnmarshalJSON(data []byte) error {
	if string(data) == "false" {
		a.Schema = nil
		return nil
	}
	a.Schema = new(Schema)
	return decode(data, a.Schema)
}

// The types there are.
const (
	typeArray   = "array"
	typeBoolean = "boolean"
	typeInteger = "integer"
	typeNumber  = "number"
	typeObject  = "object"
	typeString  = "string"
)

// Load reads operations by their operationId, in the form that cmd/requests makes
// of an OpenAPI document. It refuses what it would not check.
func Load(data []byte) (map[string]Operation, error) {
	var raw map[string]json.RawMessage
	if err := decode(data, &raw); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	operations := map[string]Operation{}
	for _, id := range slices.Sorted(maps.Keys(raw)) {
		var op Operation
		if err := decode(raw[id], &op); err != nil {
			return nil, fmt.Errorf("schema: operation %s: %w", id, err)
		}
		if err := op.sound(); err != nil {
			return nil, fmt.Errorf("schema: operation %s: %w", id, err)
		}
		operations[id] = op
	}
	return operations, nil
}

// decode reads one JSON value that has no fields but those of v.
func decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	return dec.Decode(v)
}

// sound refuses an operation that could not be checked as it is described.
func (op Operation) sound() error {
	seen := map[string]bool{}
	for _, p := range op.Parameters {
		if seen[p.Name] {
			return fmt.Errorf("parameter %s comes twice", p.Name)
		}
		seen[p.Name] = true
		if err := p.sound(); err != nil {
			return fmt.Errorf("parameter %s: %w", p.Name, err)
		}
	}
	if op.Body == nil {
		return nil
	}
	if op.Body.Schema.Default != nil {
		return fmt.Errorf("body: default: a body has none")
	}
	if err := op.Body.Schema.sound(); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// keywords are those that a schema has besides type, enum and default.
func (s *Schema) keywords() []string {
	var given []string
	for name, is := range map[string]bool{
		"format": s.Format != "", "minimum": s.Minimum != nil, "maximum": s.Maximum != nil,
		"minLength": s.MinLength != 0, "maxLength": s.MaxLength != nil,
		"items": s.Items != nil, "minItems": s.MinItems != 0, "maxItems": s.MaxItems != nil, "uniqueItems": s.UniqueItems,
		"properties": len(s.Properties) > 0, "required": len(s.Required) > 0, "additionalProperties": s.Additional != nil,
		"minProperties": s.MinProperties != 0, "maxProperties": s.MaxProperties != nil, "oneOf": len(s.OneOf) > 0,
	} {
		if is {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	return given
}

// kept are the keywords that are checked for each type. Only schemas without a
// type have oneOf.
func kept(kind string) []string {
	switch kind {
	case typeArray:
		return []string{"items", "minItems", "maxItems", "uniqueItems"}
	case typeInteger, typeNumber:
		return []string{"format", "minimum", "maximum"}
	case typeObject:
		return []string{"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
	case typeString:
		return []string{"minLength", "maxLength"}
	case "":
		return []string{"oneOf"}
	}
	return nil
}

// sound refuses a schema with a keyword that Check would not heed.
func (s *Schema) sound() error {
	if !slices.Contains([]string{typeArray, typeBoolean, typeInteger, typeNumber, typeObject, typeString, ""}, s.Type) {
		return fmt.Errorf("type %q is not known", s.Type)
	}
	for _, name := range s.keywords() {
		if !slices.Contains(kept(s.Type), name) {
			return fmt.Errorf("%s is not for type %q", name, s.Type)
		}
	}
	formats := map[string]string{typeInteger: "int64", typeNumber: "double"}
	if s.Format != "" && s.Format != formats[s.Type] {
		return fmt.Errorf("format %q is not known for type %s", s.Format, s.Type)
	}
	for _, v := range s.Enum {
		if _, text := v.(string); !text || s.Type != typeString {
			return fmt.Errorf("enum is for texts")
		}
	}
	if err := s.soundParts(); err != nil {
		return err
	}
	if s.Default == nil {
		return nil
	}
	if s.Type == typeArray || s.Type == typeObject {
		return fmt.Errorf("default is not for type %s", s.Type)
	}
	if _, err := s.Check(s.Default); err != nil {
		return fmt.Errorf("default: %w", err)
	}
	return nil
}

// soundParts refuses schemas inside of s that could not be checked.
func (s *Schema) soundParts() error {
	switch s.Type {
	case typeArray:
		if s.Items == nil {
			return fmt.Errorf("an array without items")
		}
		if s.UniqueItems && s.Items.Type != typeInteger && s.Items.Type != typeString {
			return fmt.Errorf("uniqueItems is for integers and texts")
		}
		return s.Items.inside("items")
	case typeObject:
		return s.soundFields()
	case "":
		return s.soundChoice()
	}
	return nil
}

// inside is sound for a schema whose value cannot be missing.
func (s *Schema) inside(where string) error {
	if s.Default != nil {
		return fmt.Errorf("%s: default is for parameters and properties", where)
	}
	if err := s.sound(); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

func (s *Schema) soundFields() error {
	if s.Additional == nil {
		return fmt.Errorf("an object that does not say additionalProperties")
	}
	if s.Additional.Schema != nil {
		if err := s.Additional.Schema.inside("additionalProperties"); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if s.Properties[name] == nil {
			return fmt.Errorf("property %s has no schema", name)
		}
		if err := s.Properties[name].sound(); err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
	}
	for _, name := range s.Required {
		if s.Properties[name] == nil {
			return fmt.Errorf("required %s is no property", name)
		}
	}
	return nil
}

// soundChoice makes sure that a value's type says which alternative is meant. The
// schema that says nothing is refused here, too.
func (s *Schema) soundChoice() error {
	if len(s.OneOf) == 0 {
		return fmt.Errorf("neither type nor oneOf")
	}
	seen := map[string]bool{}
	for _, a := range s.OneOf {
		if a == nil {
			return fmt.Errorf("oneOf: an alternative without schema")
		}
		kind := strings.Replace(a.Type, typeInteger, typeNumber, 1)
		if kind == "" || seen[kind] {
			return fmt.Errorf("oneOf: type %q does not tell the alternatives apart", a.Type)
		}
		seen[kind] = true
		if err := a.inside("oneOf"); err != nil {
			return err
		}
	}
	return nil
}
