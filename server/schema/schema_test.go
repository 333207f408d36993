package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/server/schema"
)

func operation(body string) string {
	return `{"op":{"method":"POST","path":"/op","body":{"schema":` + body + `}}}`
}

func parameter(p string) string {
	return `{"op":{"method":"GET","path":"/op","parameters":[` + p + `]}}`
}

// What would not be checked is not loaded.
func TestLoadRefuses(t *testing.T) {
	for _, row := range []struct{ data, want string }{
		{operation(`{"type":"string","pattern":"^a$"}`), "pattern"},
		{operation(`{"type":"string","nullable":true}`), "nullable"},
		{operation(`{"allOf":[{"type":"string"}]}`), "allOf"},
		{operation(`{"type":"string","format":"date-time"}`), "format is not for type"},
		{operation(`{"type":"integer","format":"int32"}`), "int32"},
		{operation(`{"type":"number","exclusiveMinimum":true}`), "exclusiveMinimum"},
		{operation(`{"type":"integer","multipleOf":2}`), "multipleOf"},
		{operation(`{"type":"string","minimum":1}`), "minimum is not for type"},
		{operation(`{"type":"integer","maxLength":1}`), "maxLength is not for type"},
		{operation(`{"type":"boolean","enum":[true]}`), "enum"},
		{operation(`{"type":"text"}`), "text"},
		{operation(`{}`), "neither type nor oneOf"},
		{operation(`{"type":"string","default":"a"}`), "default"},
		{operation(`{"type":"array"}`), "items"},
		{operation(`{"type":"array","items":{"type":"string","default":"a"}}`), "items: default"},
		{operation(`{"type":"array","uniqueItems":true,"items":{"type":"boolean"}}`), "uniqueItems"},
		{operation(`{"type":"object"}`), "additionalProperties"},
		{operation(`{"type":"object","additionalProperties":true}`), "bool"},
		{operation(`{"type":"object","additionalProperties":{"type":"string","pattern":"a"}}`), "pattern"},
		{operation(`{"type":"object","additionalProperties":false,"required":["a"]}`), "required a"},
		{operation(`{"type":"object","additionalProperties":false,"properties":{"a":null}}`), "property a"},
		{operation(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"integer","minimum":1,"default":0}}}`), "property a: default: number must be at least 1"},
		{operation(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"array","items":{"type":"string"},"default":[]}}}`), "property a: default"},
		{operation(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string","readOnly":true}}}`), "readOnly"},
		{operation(`{"oneOf":[{"type":"number"},{"type":"integer"}]}`), "apart"},
		{operation(`{"oneOf":[{"type":"number"},null]}`), "alternative"},
		{operation(`{"oneOf":[{"type":"number"},{"oneOf":[{"type":"string"}]}]}`), "apart"},
		{operation(`{"oneOf":[{"type":"string"}],"type":"string"}`), "oneOf is not for type"},
		{parameter(`{"name":"a","in":"header","schema":{"type":"string"}}`), "header"},
		{parameter(`{"name":"a","in":"path","schema":{"type":"string"}}`), "required"},
		{parameter(`{"name":"a","in":"query","style":"form","schema":{"type":"string"}}`), "style"},
		{parameter(`{"name":"a","in":"query","schema":{"type":"array","items":{"type":"string"}}}`), "array"},
		{parameter(`{"name":"a","in":"query","required":true,"schema":{"type":"string","default":"x"}}`), "default"},
		{parameter(`{"name":"a","in":"query","schema":{"type":"string","default":""}}`), "default"},
		{parameter(`{"name":"a","in":"query","schema":{"type":"string"}},{"name":"a","in":"query","schema":{"type":"string"}}`), "twice"},
		{`{"op":{"method":"GET","path":"/op","callbacks":{}}}`, "callbacks"},
		{`[]`, "array"},
		{``, "EOF"},
	} {
		_, err := schema.Load([]byte(row.data))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.data, err, row.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	ops, err := schema.Load([]byte(operation(`{"type":"object","additionalProperties":false,"properties":{
		"n":{"type":"integer","default":7},"on":{"type":"boolean","default":false},
		"deep":{"type":"object","additionalProperties":false,"properties":{"s":{"type":"string","default":"a"}}}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	body := ops["op"].Body.Schema
	for _, row := range []struct {
		given, want string
		filled      bool
	}{
		{`{}`, `{"n":7,"on":false}`, true},
		{`{"n":null,"on":true}`, `{"n":7,"on":true}`, true},
		{`{"n":1,"on":true}`, `{"n":1,"on":true}`, false},
		{`{"n":1,"on":true,"deep":{}}`, `{"deep":{"s":"a"},"n":1,"on":true}`, true},
	} {
		var value any
		dec := json.NewDecoder(strings.NewReader(row.given))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		filled, err := body.Check(value)
		got, _ := json.Marshal(value)
		if err != nil || filled != row.filled || string(got) != row.want {
			t.Errorf("%s became %s, filled %v, %v", row.given, got, filled, err)
		}
	}
}

func TestParameters(t *testing.T) {
	ops, err := schema.Load([]byte(parameter(`{"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"default":20}},
		{"name":"n","in":"path","required":true,"schema":{"type":"integer"}}, {"name":"q","in":"query","schema":{"type":"string","maxLength":2}},
		{"name":"on","in":"query","schema":{"type":"boolean"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	empty := errors.New("empty value is not allowed")
	for _, row := range []struct {
		index    int
		text     string
		fallback string
		err      error
	}{
		{0, "1", "", nil},
		{0, "", "20", nil},
		{0, "0", "", errors.New("number must be at least 1")},
		{0, "many", "", errors.New("not of type integer")},
		{1, "9223372036854775807", "", nil},
		{1, "9223372036854775808", "", errors.New("not of type integer")},
		{1, "", "", empty},
		{2, "", "", nil},
		{2, "äöü", "", errors.New("maximum string length is 2")},
		{3, "true", "", nil},
		{3, "maybe", "", errors.New("not of type boolean")},
		{3, "", "", empty},
	} {
		fallback, err := ops["op"].Parameters[row.index].Check(row.text)
		if fallback != row.fallback || (err == nil) != (row.err == nil) || err != nil && err.Error() != row.err.Error() {
			t.Errorf("parameter %d, %q: %q, %v", row.index, row.text, fallback, err)
		}
	}
}
