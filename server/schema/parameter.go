package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Parameter is a value in a request's path or query. It is text there.
type Parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"` // InPath or InQuery
	Required bool   `json:"required,omitempty"`
	Schema   Schema `json:"schema"`
}

// Where a parameter can be.
const (
	InPath  = "path"
	InQuery = "query"
)

// ErrEmpty is returned for a parameter that is there, has no text, and needs one.
var ErrEmpty = errors.New("empty value is not allowed")

// Check refuses the text of a parameter that is given, with a *Mistake or ErrEmpty.
// It returns the default where there is one and no text stands for a value: every
// text is a string, but none is no number.
func (p Parameter) Check(text string) (fallback string, err error) {
	if text == "" && p.Schema.Type != typeString {
		if p.Schema.Default == nil {
			return "", ErrEmpty
		}
		return p.Default(), nil
	}
	value, err := p.Schema.read(text)
	if err != nil {
		return "", err
	}
	_, err = p.Schema.Check(value)
	return "", err
}

// Default is the text that stands for a parameter which is not given, or empty.
func (p Parameter) Default() string {
	if p.Schema.Default == nil {
		return ""
	}
	return fmt.Sprint(p.Schema.Default)
}

// read makes a JSON value of a parameter's text.
func (s *Schema) read(text string) (any, error) {
	switch s.Type {
	case typeInteger:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, mistake("not of type %s", s.Type)
		}
		return json.Number(strconv.FormatInt(v, 10)), nil
	case typeBoolean:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, mistake("not of type %s", s.Type)
		}
		return v, nil
	}
	return text, nil
}

// sound refuses a parameter that could not be checked.
func (p Parameter) sound() error {
	switch {
	case p.In != InPath && p.In != InQuery:
		return fmt.Errorf("in %q is not known", p.In)
	case p.In == InPath && !p.Required:
		return errors.New("what is in a path is required")
	case p.In == InPath && p.Schema.Default != nil, p.Required && p.Schema.Default != nil:
		return errors.New("default: a required parameter has none")
	case p.Schema.Default == "":
		return errors.New("default: no text is none")
	}
	switch p.Schema.Type {
	case typeBoolean, typeInteger, typeString:
		return p.Schema.sound()
	}
	return fmt.Errorf("type %q is not for parameters", p.Schema.Type)
}
