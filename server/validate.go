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

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
	"github.com/shoal-p2p/shoal/server/schema"
)

// maxDepth bounds how deep a request's JSON may be nested.
const maxDepth = 16

// spec is what the API's description says of requests, which are held against it.
type spec struct{ operations map[string]schema.Operation }

// loadSpec reads the embedded description.
func loadSpec() (*spec, error) {
	operations, err := schema.Load(api.Requests)
	if err != nil {
		return nil, fmt.Errorf("server: requests.gen.json: %w", err)
	}
	return &spec{operations: operations}, nil
}

// checker holds requests against one operation.
type checker struct {
	id     string
	op     schema.Operation
	params []string // names of the query parameters there are
}

// checker finds the operation of rt.
func (s *spec) checker(rt route) (*checker, error) {
	op, ok := s.operations[rt.op]
	if !ok || op.Method != rt.method || op.Path != rt.path {
		return nil, fmt.Errorf("server: openapi.yaml has no operation %s at %s %s", rt.op, rt.method, rt.path)
	}
	c := &checker{id: rt.op, op: op}
	for _, p := range op.Parameters {
		if p.In == schema.InQuery {
			c.params = append(c.params, p.Name)
		}
	}
	return c, nil
}

// request refuses r unless it is what the operation describes. Its query then has
// the defaults filled in, and its body, when it has one, also carries the value that
// was checked, with its own.
func (c *checker) request(r *http.Request) error {
	query, err := c.query(r)
	if err != nil {
		return err
	}
	var body any
	given := r.GetBody != nil
	if given {
		if body, err = readValue(r); err != nil {
			return err
		}
	}
	if err := c.parameters(r, query); err != nil {
		return err
	}
	switch {
	case c.op.Body == nil:
		return nil
	case given:
		return c.body(r, body)
	case c.op.Body.Required:
		return fmt.Errorf("%w: the body is missing", errInvalid)
	}
	return nil
}

// parameters checks those of the path and those of the query.
func (c *checker) parameters(r *http.Request, query url.Values) error {
	filled := false
	for _, p := range c.op.Parameters {
		text, given := r.PathValue(p.Name), true
		if p.In == schema.InQuery {
			text, given = query.Get(p.Name), query.Has(p.Name)
		} else if text == "" {
			given = false // a path with nothing there is another path
		}
		fallback := p.Default()
		switch {
		case !given && p.Required && c.id == "search" && p.Name == "q":
			return fmt.Errorf("parameter q: %w", search.ErrEmpty)
		case !given && p.Required:
			return fmt.Errorf("%w: parameter %s is missing", errInvalid, p.Name)
		case given:
			var err error
			if fallback, err = p.Check(text); err != nil {
				return fmt.Errorf("%w: parameter %s: %w", errInvalid, p.Name, err)
			}
		}
		if fallback != "" {
			query.Set(p.Name, fallback)
			filled = true
		}
	}
	if filled {
		r.URL.RawQuery = query.Encode()
	}
	return nil
}

// body checks the value of r's body. Who reads the body can have the value instead;
// its bytes are replaced where defaults were filled in.
func (c *checker) body(r *http.Request, value any) error {
	filled, err := c.op.Body.Schema.Check(value)
	if err != nil {
		return fmt.Errorf("%w: body: %w", errInvalid, err)
	}
	if filled {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("%w: body: %w", errInternal, err)
		}
		r.ContentLength = int64(len(data))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		r.Body = io.NopCloser(bytes.NewReader(data))
	}
	r.Body = checkedBody{ReadCloser: r.Body, value: value}
	return nil
}

// checkedBody is a body whose value was checked. The generated code asks for the
// value, so that it is not read twice in ways that could differ.
type checkedBody struct {
	io.ReadCloser
	value any
}

// ValidatedValue returns the value that was checked.
func (b checkedBody) ValidatedValue() any { return b.value }

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

// readValue reads the JSON of a body. It refuses what two readers could understand
// differently: twice the same name, more than one value, text that is not UTF-8; and
// what is built to be expensive.
func readValue(r *http.Request) (any, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", errBodyLost, err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", errBodyLost, err)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: body: not UTF-8", errInvalid)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, maxDepth); err != nil {
		return nil, fmt.Errorf("%w: body: %w", errInvalid, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: body: something follows the JSON value", errInvalid)
	}
	dec = json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("%w: body: no JSON: %w", errInvalid, err)
	}
	return value, nil
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
