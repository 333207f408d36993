package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// maxDepth bounds how deep a request's JSON may be nested.
const maxDepth = 16

// spec is the API's description, which requests are held against.
type spec struct{ doc *openapi3.T }

// loadSpec reads the embedded description.
func loadSpec() (*spec, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(api.Spec)
	if err != nil {
		return nil, fmt.Errorf("server: openapi.yaml: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("server: openapi.yaml: %w", err)
	}
	return &spec{doc: doc}, nil
}

// checker holds requests against one operation.
type checker struct {
	op     string
	route  *routers.Route
	params []string // names of the query parameters there are
}

// checker finds the operation of rt.
func (s *spec) checker(rt route) (*checker, error) {
	item := s.doc.Paths.Find(rt.path)
	if item == nil || item.GetOperation(rt.method) == nil || item.GetOperation(rt.method).OperationID != rt.op {
		return nil, fmt.Errorf("server: openapi.yaml has no operation %s at %s %s", rt.op, rt.method, rt.path)
	}
	op := item.GetOperation(rt.method)
	c := &checker{op: rt.op, route: &routers.Route{Spec: s.doc, Path: rt.path, PathItem: item, Method: rt.method, Operation: op}}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		if p.Value.In == openapi3.ParameterInQuery {
			c.params = append(c.params, p.Value.Name)
		}
	}
	return c, nil
}

// request refuses r unless it is what the operation describes. Its body, when it
// has one, then also carries the value that was checked, defaults filled in.
func (c *checker) request(r *http.Request) error {
	query, err := c.query(r)
	if err != nil {
		return err
	}
	if r.GetBody != nil {
		if err := checkBody(r); err != nil {
			return err
		}
	}
	path := map[string]string{}
	for _, ref := range slices.Concat(c.route.PathItem.Parameters, c.route.Operation.Parameters) {
		if p := ref.Value; p.In == openapi3.ParameterInPath {
			path[p.Name] = r.PathValue(p.Name)
		}
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // guard.go did
		KeepValidatedValue: true,
	}
	options.WithCustomSchemaErrorFunc(describe)
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: path, QueryParams: query, Route: c.route, Options: options,
	})
	if err == nil {
		return nil
	}
	return c.explain(err)
}

// query reads the query strictly: parameters that do not exist are typing
// mistakes, and of one that comes twice nobody knows which is meant.
func (c *checker) query(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: query: %w", errInvalid, err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		switch {
		case !slices.Contains(c.params, name) && len(c.params) == 0:
			return nil, fmt.Errorf("%w: unknown parameter %.60q: there are none here", errInvalid, name)
		case !slices.Contains(c.params, name):
			return nil, fmt.Errorf("%w: unknown parameter %.60q: there are %s", errInvalid, name, strings.Join(c.params, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("%w: parameter %s comes %d times", errInvalid, name, len(values))
		}
		if err := checkText(name, values[0]); err != nil {
			return nil, err
		}
	}
	return query, nil
}

// checkText refuses text that is none.
func checkText(name, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: parameter %s is not UTF-8", errInvalid, name)
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: parameter %s contains NUL", errInvalid, name)
	}
	return nil
}

// checkBody refuses JSON that two readers could understand differently: twice
// the same name, more than one value, text that is not UTF-8; or that is built
// to be expensive.
func checkBody(r *http.Request) error {
	body, err := r.GetBody()
	if err != nil {
		return fmt.Errorf("%w: body: %w", errBodyLost, err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("%w: body: %w", errBodyLost, err)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: body: not UTF-8", errInvalid)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, maxDepth); err != nil {
		return fmt.Errorf("%w: body: %w", errInvalid, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: something follows the JSON value", errInvalid)
	}
	return nil
}

// checkValue reads one JSON value.
func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	delim, composite := token.(json.Delim)
	if !composite {
		return nil
	}
	if depth == 0 {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return fmt.Errorf("no JSON: %w", err)
			}
			key, ok := name.(string)
			if !ok || seen[key] {
				return fmt.Errorf("field %.60q comes twice", key)
			}
			seen[key] = true
		}
		if err := checkValue(dec, depth-1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	return nil
}

// explain says which part of the request is wrong and what was expected there.
func (c *checker) explain(err error) error {
	var e *openapi3filter.RequestError
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	missing := errors.Is(e.Err, openapi3filter.ErrInvalidRequired)
	switch {
	case e.Parameter != nil && missing && c.op == "search" && e.Parameter.Name == "q":
		return fmt.Errorf("parameter q: %w", search.ErrEmpty)
	case e.Parameter != nil && missing:
		return fmt.Errorf("%w: parameter %s is missing", errInvalid, e.Parameter.Name)
	case e.Parameter != nil:
		return fmt.Errorf("%w: parameter %s: %s", errInvalid, e.Parameter.Name, reason(e))
	case missing:
		return fmt.Errorf("%w: the body is missing", errInvalid)
	default:
		return fmt.Errorf("%w: body: %s", errInvalid, reason(e))
	}
}

// reason is the innermost thing that e complains about.
func reason(e *openapi3filter.RequestError) string {
	var schema *openapi3.SchemaError
	if errors.As(e.Err, &schema) {
		return describe(schema)
	}
	var parse *openapi3filter.ParseError
	if errors.As(e.Err, &parse) && e.Parameter != nil && e.Parameter.Schema != nil && e.Parameter.Schema.Value.Type != nil {
		return "not of type " + strings.Join(e.Parameter.Schema.Value.Type.Slice(), " or ")
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Reason
}

// describe says where a value is and what it should be. It never repeats the
// value, which may be a secret.
func describe(e *openapi3.SchemaError) string {
	where := ""
	if path := e.JSONPointer(); len(path) > 0 {
		where = "field " + strings.Join(path, ".") + ": "
	}
	what := e.Reason
	switch e.SchemaField {
	case "properties", "additionalProperties":
		if e.Schema != nil && len(e.Schema.Properties) > 0 {
			what += "; there are " + strings.Join(slices.Sorted(maps.Keys(e.Schema.Properties)), ", ")
		}
	case "oneOf":
		what = "neither a number nor a text that is short enough"
	}
	return where + what
}
