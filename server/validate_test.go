package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
	"github.com/shoal-p2p/shoal/server/schema"
)

var loadDocument = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(api.Spec)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

// document is openapi.yaml as a library for OpenAPI reads it.
func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// described is what openapi.yaml says of a route.
func described(t testing.TB, rt route) *routers.Route {
	t.Helper()
	doc := document(t)
	item := doc.Paths.Find(rt.path)
	if item == nil || item.GetOperation(rt.method) == nil {
		t.Fatalf("%s %s is not in openapi.yaml", rt.method, rt.path)
	}
	return &routers.Route{Spec: doc, Path: rt.path, PathItem: item, Method: rt.method, Operation: item.GetOperation(rt.method)}
}

// library is kin-openapi's verdict about r: where the mistake is, or empty, and
// what is wrong there. It fills defaults in, as checker.request does.
func library(t testing.TB, route *routers.Route, r *http.Request) (where, reason string) {
	t.Helper()
	path := map[string]string{}
	for _, ref := range slices.Concat(route.PathItem.Parameters, route.Operation.Parameters) {
		if p := ref.Value; p.In == openapi3.ParameterInPath {
			path[p.Name] = r.PathValue(p.Name)
		}
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, KeepValidatedValue: true}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: path, QueryParams: r.URL.Query(), Route: route, Options: options,
	})
	if err == nil {
		return "", ""
	}
	var e *openapi3filter.RequestError
	if !errors.As(err, &e) {
		t.Fatalf("kin-openapi: %v", err)
	}
	where = "body"
	if e.Parameter != nil {
		where = "parameter " + e.Parameter.Name
	}
	var s *openapi3.SchemaError
	switch {
	case errors.Is(e.Err, openapi3filter.ErrInvalidRequired):
		return where, "missing"
	case errors.As(e.Err, &s):
		if at := s.JSONPointer(); len(at) > 0 {
			where += ": field " + strings.Join(at, ".")
		}
		return where, s.Reason
	}
	return where, e.Error()
}

// asked is a request as it is when it is checked.
type asked struct {
	name  string
	path  map[string]string
	query url.Values
	body  string // JSON; empty: none
}

func (a asked) request(t testing.TB, rt route) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), rt.method, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = a.query.Encode()
	for name, text := range a.path {
		r.SetPathValue(name, text)
	}
	if a.body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength, r.Body = int64(len(a.body)), io.NopCloser(strings.NewReader(a.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(a.body)), nil }
	}
	return r
}

// compare holds our verdict about a request against the library's.
func compare(t *testing.T, rt route, check *checker, a asked) (accepted bool) {
	t.Helper()
	if onlyOursRefuses(a.body) {
		return false
	}
	ours, theirs := a.request(t, rt), a.request(t, rt)
	err := check.request(ours)
	where, reason := library(t, described(t, rt), theirs)
	text := fmt.Sprintf("%s, %s: query %.200s, body %.200s", rt.op, a.name, a.query.Encode(), a.body)
	switch {
	case (err == nil) != (where == ""):
		t.Errorf("%s:\nours:   %v\ntheirs: %s: %s", text, err, where, reason)
	case err != nil:
		if rt.op == "search" && errors.Is(err, search.ErrEmpty) && where == "parameter q" {
			break
		}
		if !errors.Is(err, errInvalid) {
			t.Errorf("%s: not a mistake of who asks: %v", text, err)
		}
		said := err.Error()
		if said = strings.TrimPrefix(said, errInvalid.Error()+": "); where == "body" && reason == "missing" {
			where = "the body is missing"
		}
		if !strings.HasPrefix(said, where) {
			t.Errorf("%s:\nours:   %v\ntheirs: %s: %s", text, err, where, reason)
		}
	default:
		if ours.URL.RawQuery != theirs.URL.RawQuery {
			t.Errorf("%s: query is then %q, theirs %q", text, ours.URL.RawQuery, theirs.URL.RawQuery)
		}
		sameBody(t, text, ours, theirs)
	}
	return err == nil
}

// sameBody compares what a handler reads, and what it gets as the checked value.
func sameBody(t *testing.T, text string, ours, theirs *http.Request) {
	t.Helper()
	var values [2]any
	var read [2]any
	for i, r := range []*http.Request{ours, theirs} {
		if r.Body == nil {
			continue
		}
		body, ok := r.Body.(interface{ ValidatedValue() any })
		if !ok {
			t.Errorf("%s: the body carries no value", text)
			return
		}
		values[i] = plainJSON(t, body.ValidatedValue())
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != r.ContentLength {
			t.Errorf("%s: %d bytes, declared as %d", text, len(data), r.ContentLength)
		}
		read[i] = plainJSON(t, json.RawMessage(data))
	}
	if !reflect.DeepEqual(values[0], values[1]) || !reflect.DeepEqual(read[0], read[1]) || !reflect.DeepEqual(values[0], read[0]) {
		t.Errorf("%s:\nours:   %v, read as %v\ntheirs: %v, read as %v", text, values[0], read[0], values[1], read[1])
	}
}

// plainJSON is a value with one Go type for each JSON type.
func plainJSON(t *testing.T, value any) (plain any) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestRequestsAsTheLibrary asks every operation in ways that are made from
// openapi.yaml: as it says, at and just beyond each bound, with fields and
// parameters left out, made up, empty, null, and of all other types, at any depth.
func TestRequestsAsTheLibrary(t *testing.T) {
	spec, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, rt := range routes() {
		if rt.op == "" || rt.upload { // the library wants the file, which is not held against anything
			continue
		}
		check, err := spec.checker(rt)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range ways(described(t, rt)) {
			if compare(t, rt, check, a) {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 100 || refused < 500 {
		t.Errorf("%d requests accepted and %d refused: too few to say anything", accepted, refused)
	}
	t.Logf("%d requests accepted, %d refused", accepted, refused)
}

// TestRandomRequestsAsTheLibrary puts several of these mutations together.
func TestRandomRequestsAsTheLibrary(t *testing.T) {
	spec, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, rt := range routes() {
		if rt.op == "" || rt.body == 0 {
			continue
		}
		check, err := spec.checker(rt)
		if err != nil {
			t.Fatal(err)
		}
		base := ways(described(t, rt))[0]
		media := described(t, rt).Operation.RequestBody.Value.Content.Get("application/json")
		for i := range 100 {
			value := random(rnd, media.Schema.Value, 3)
			data, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, rt, check, asked{name: strconv.Itoa(i), path: base.path, query: base.query, body: string(data)})
		}
	}
}

// ways are requests to an operation. The first one is as it should be.
func ways(route *routers.Route) []asked {
	base := asked{name: "as described", path: map[string]string{}, query: url.Values{}}
	params := slices.Concat(route.PathItem.Parameters, route.Operation.Parameters)
	for _, ref := range params {
		switch p := ref.Value; {
		case p.In == openapi3.ParameterInPath:
			base.path[p.Name] = fmt.Sprint(valid(p.Schema.Value))
		case p.Required:
			base.query.Set(p.Name, fmt.Sprint(valid(p.Schema.Value)))
		}
	}
	var body *openapi3.Schema
	if route.Operation.RequestBody != nil {
		body = route.Operation.RequestBody.Value.Content.Get("application/json").Schema.Value
		base.body = encode(valid(body))
	}
	all := []asked{base}
	for _, ref := range params {
		all = append(all, paramWays(base, ref.Value)...)
	}
	if body == nil {
		return all
	}
	all = append(all, asked{name: "no body", path: base.path, query: base.query})
	for _, v := range mutations(body) {
		all = append(all, asked{name: "body " + v.name, path: base.path, query: base.query, body: encode(v.value)})
	}
	return all
}

// paramWays are base with other texts for a parameter, and without it.
func paramWays(base asked, p *openapi3.Parameter) (all []asked) {
	texts := []string{"", "x", "0", "1", "-1", "+1", "01", "1.0", "1e3", "true", "false", "t", "TRUE", "yes", "null", "[]", "{}", "a,b", " ", "9223372036854775807", "9223372036854775808", "9007199254740992"}
	for _, v := range mutations(p.Schema.Value) {
		texts = append(texts, fmt.Sprint(v.value))
	}
	for _, text := range texts {
		a := asked{name: fmt.Sprintf("%s=%.20q", p.Name, text), path: maps.Clone(base.path), query: maps.Clone(base.query), body: base.body}
		if p.In == openapi3.ParameterInPath {
			a.path[p.Name] = text
		} else {
			a.query.Set(p.Name, text)
		}
		all = append(all, a)
	}
	none := asked{name: "without " + p.Name, path: maps.Clone(base.path), query: maps.Clone(base.query), body: base.body}
	delete(none.path, p.Name)
	delete(none.query, p.Name)
	return append(all, none)
}

func encode(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // made of maps, lists, texts and numbers
	}
	return string(data)
}

// valid is a value that s allows, with all fields that it names.
func valid(s *openapi3.Schema) any {
	switch {
	case len(s.OneOf) > 0:
		return valid(s.OneOf[0].Value)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is("boolean"):
		return true
	case s.Type.Is("integer"), s.Type.Is("number"):
		if s.Min != nil {
			return *s.Min
		}
		return 1.0
	case s.Type.Is("string"):
		return strings.Repeat("ä", max(1, int(s.MinLength)))
	case s.Type.Is("array"):
		list := []any{}
		for range max(1, s.MinItems) {
			list = append(list, valid(s.Items.Value))
		}
		return list
	}
	o := map[string]any{}
	for name, p := range s.Properties {
		o[name] = valid(p.Value)
	}
	if extra := s.AdditionalProperties.Schema; extra != nil {
		o["made up"] = valid(extra.Value)
	}
	return o
}

// others are values of all types, and numbers that are hard to read.
func others() []any {
	return []any{
		nil, true, false, "", "text", 0, 1, -1, 1.5, json.Number("1.0"), json.Number("1e3"), json.Number("-0"), json.Number("1e-400"), json.Number("1e400"),
		json.Number("9007199254740991"), json.Number("9007199254740992"), json.Number("9223372036854775807"), json.Number("9223372036854775808"), json.Number("18446744073709551616"),
		[]any{},
		[]any{nil},
		[]any{1},
		[]any{1, 1},
		[]any{"a"},
		[]any{"a", "a"},
		[]any{[]any{}},
		map[string]any{},
		map[string]any{"x": nil},
		map[string]any{"": 1},
	}
}

// mutation is a value that s may or may not allow.
type mutation struct {
	name  string
	value any
}

// mutations are values of other types, at and beyond the bounds of s, and those
// that have such a value somewhere inside.
func mutations(s *openapi3.Schema) (all []mutation) {
	for i, v := range others() {
		all = append(all, mutation{fmt.Sprintf("other %d", i), v})
	}
	for _, ref := range s.OneOf {
		all = append(all, mutations(ref.Value)...)
	}
	for _, v := range s.Enum {
		all = append(all, mutation{"enum", v}, mutation{"enum upper", strings.ToUpper(fmt.Sprint(v))}, mutation{"enum more", fmt.Sprint(v) + " "})
	}
	for _, bound := range []*float64{s.Min, s.Max} {
		if bound != nil {
			for _, by := range []float64{-1, -0.5, 0, 0.5, 1} {
				all = append(all, mutation{fmt.Sprintf("bound %+v", by), *bound + by})
			}
		}
	}
	lengths := []int{int(s.MinLength)}
	if s.MaxLength != nil {
		lengths = append(lengths, int(*s.MaxLength))
	}
	if s.Type.Is("string") {
		for _, n := range lengths {
			for _, by := range []int{-1, 0, 1} {
				all = append(all, mutation{fmt.Sprintf("length %+d", by), strings.Repeat("ä", max(0, n+by))}, mutation{fmt.Sprintf("bytes %+d", by), strings.Repeat("a", max(0, n+by))}, mutation{fmt.Sprintf("beyond 16 bits %+d", by), strings.Repeat("🐟", max(0, n+by))})
			}
		}
	}
	return append(append(all, itemMutations(s)...), fieldMutations(s)...)
}

func itemMutations(s *openapi3.Schema) (all []mutation) {
	if !s.Type.Is("array") {
		return nil
	}
	counts := []int{0, 1, 2}
	if s.MaxItems != nil {
		counts = append(counts, int(*s.MaxItems), int(*s.MaxItems)+1)
	}
	for _, n := range counts {
		list := []any{}
		for i := range n {
			if s.Items.Value.Type.Is("integer") {
				list = append(list, i+1)
			} else {
				list = append(list, strconv.Itoa(i))
			}
		}
		all = append(all, mutation{fmt.Sprintf("%d items", n), list})
	}
	item := valid(s.Items.Value)
	all = append(all, mutation{"one item twice", []any{item, item}})
	for _, m := range mutations(s.Items.Value) {
		all = append(all, mutation{"item " + m.name, []any{m.value}})
	}
	return all
}

func fieldMutations(s *openapi3.Schema) (all []mutation) {
	if !s.Type.Is("object") {
		return nil
	}
	whole, _ := valid(s).(map[string]any)
	with := func(name string, value any) map[string]any {
		o := maps.Clone(whole)
		o[name] = value
		return o
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		without := maps.Clone(whole)
		delete(without, name)
		all = append(all, mutation{"without " + name, without}, mutation{"only " + name, map[string]any{name: whole[name]}})
		for _, m := range mutations(s.Properties[name].Value) {
			all = append(all, mutation{name + " " + m.name, with(name, m.value)})
		}
		all = append(all, mutation{"case of " + name, with(strings.ToUpper(name), whole[name])})
	}
	for _, name := range []string{"surprise", "", "aaa", "zzz", "__proto__", strings.Repeat("long", 9)} {
		all = append(all, mutation{"with " + name, with(name, true)})
	}
	extra := s.AdditionalProperties.Schema
	if extra == nil {
		return all
	}
	for _, m := range mutations(extra.Value) {
		all = append(all, mutation{"extra " + m.name, with("extra", m.value)})
	}
	if s.MaxProps != nil {
		for _, n := range []int{int(*s.MaxProps), int(*s.MaxProps) + 1} {
			o := map[string]any{}
			for i := range n {
				o[strconv.Itoa(i)] = valid(extra.Value)
			}
			all = append(all, mutation{fmt.Sprintf("%d fields", n), o})
		}
	}
	return all
}

// random is a value that is mostly as s says.
func random(rnd *rand.Rand, s *openapi3.Schema, depth int) any {
	if rnd.IntN(8) == 0 || depth == 0 {
		all := mutations(s)
		return all[rnd.IntN(len(all))].value
	}
	switch {
	case len(s.OneOf) > 0:
		return random(rnd, s.OneOf[rnd.IntN(len(s.OneOf))].Value, depth)
	case s.Type.Is("array"):
		list := []any{}
		for range rnd.IntN(4) {
			list = append(list, random(rnd, s.Items.Value, depth-1))
		}
		return list
	case s.Type.Is("object"):
		o := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if rnd.IntN(4) > 0 {
				o[name] = random(rnd, s.Properties[name].Value, depth-1)
			}
		}
		for range rnd.IntN(2) {
			name := []string{"surprise", "a", ""}[rnd.IntN(3)]
			if extra := s.AdditionalProperties.Schema; extra != nil {
				o[name] = random(rnd, extra.Value, depth-1)
			} else if rnd.IntN(4) == 0 {
				o[name] = 1
			}
		}
		return o
	case len(s.Enum) > 0:
		return s.Enum[rnd.IntN(len(s.Enum))]
	}
	return valid(s)
}

// FuzzBody holds any body for the largest schemas against the library.
func FuzzBody(f *testing.F) {
	spec, err := loadSpec()
	if err != nil {
		f.Fatal(err)
	}
	ops := []string{"addDocument", "addFolder", "addInvite", "resolveConflicts", "updateFolder", "explainRsync"}
	for i, op := range ops {
		f.Add(byte(i), bodies[op])
		f.Add(byte(i), `{"a":{"a":[1,1.0,null]},"a":2}`)
	}
	table := map[string]route{}
	for _, rt := range routes() {
		table[rt.op] = rt
	}
	f.Fuzz(func(t *testing.T, op byte, body string) {
		if body == "" {
			return
		}
		rt := table[ops[int(op)%len(ops)]]
		check, err := spec.checker(rt)
		if err != nil {
			t.Fatal(err)
		}
		a := asked{name: "fuzz", path: map[string]string{"id": "x"}, query: url.Values{}, body: body}
		if _, err := readValue(a.request(t, rt)); err != nil {
			return
		}
		compare(t, rt, check, a)
	})
}

// onlyOursRefuses reports whether body has a list with a number twice that is
// written in two ways, such as 1 and 1.0: to the library these are different.
func onlyOursRefuses(body string) bool {
	var v struct {
		Numbers []json.Number `json:"numbers"`
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return false // lists of anything else are not meant to have numbers
	}
	seen := map[float64]string{}
	for _, n := range v.Numbers {
		f, err := n.Float64()
		if text, twice := seen[f]; err == nil && twice && text != n.String() {
			return true
		}
		seen[f] = n.String()
	}
	return false
}

// A value is refused in words that help, and that do not repeat it.
func TestMistakes(t *testing.T) {
	spec, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ op, body, want string }{
		{"addDocument", `{"text":"a"}`, `field title: property "title" is missing`},
		{"addDocument", `{"title":null}`, `field title: value must be a string, not null`},
		{"addDocument", `{"title":"a","fields":{"year":"` + strings.Repeat("a", 1025) + `"}}`, `field fields.year: maximum string length is 1024`},
		{"addDocument", `{"title":"a","fields":{"year":true}}`, `field fields.year: value must be a number or a string`},
		{"addDocument", `{"title":"a","` + strings.Repeat("secret", 100) + `":1}`, `property "` + strings.Repeat("secret", 10) + `" is unsupported; there are fields, text, title`},
		{"addInvite", `{"expires_in":31536001}`, `field expires_in: number must be at most 31536000`},
		{"addInvite", `{"role":"king"}`, `field role: value is not one of the allowed values ["admin","member"]`},
		{"addInvite", `{"max_uses":1e999}`, `field max_uses: number is too large`},
		{"addInvite", `{"max_uses":1.5}`, `field max_uses: value must be an integer`},
		{"resolveConflicts", `{"keep":"ours","numbers":[3,4,3]}`, `field numbers: duplicate items found`},
		{"resolveConflicts", `{"keep":"ours","numbers":[3,9007199254740992]}`, `field numbers.1: number must be at most 9007199254740991`},
		{"updateFolder", `{}`, `there must be at least 1 properties`},
		{"addHandshake", `[]`, `value must be an object`},
	} {
		var value any
		dec := json.NewDecoder(bytes.NewReader([]byte(row.body)))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		body := spec.operations[row.op].Body.Schema
		_, err := body.Check(value)
		var m *schema.Mistake
		if !errors.As(err, &m) || err.Error() != row.want {
			t.Errorf("%s %.60s:\n%v\nwant %s", row.op, row.body, err, row.want)
		}
	}
}
