package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The file that is embedded is what openapi.yaml says now.
func TestGeneratedIsCurrent(t *testing.T) {
	spec, err := os.ReadFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../../api/requests.gen.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := extract(spec)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("server/api/requests.gen.json is not what openapi.yaml says: go generate ./server/api")
	}
}

// small is a document with a place for everything that is refused.
const small = `
paths:
  /a/{id}:
    parameters: [{ $ref: "#/components/parameters/ID" }]
    post:
      operationId: change
      # OPERATION
      requestBody:
        content: { application/json: { schema: { $ref: "#/components/schemas/Change" } } }
components:
  parameters:
    ID: { name: id, in: path, required: true, schema: { type: string, maxLength: 64, description: Which } }
  schemas:
    Change:
      type: object
      additionalProperties: false
      description: What to change
      properties: { description: { type: string }, list: { type: array, items: { $ref: "#/components/schemas/Word" } } }
    Word: { type: string }
`

func TestExtract(t *testing.T) {
	got, err := extract([]byte(small))
	want := `{
"change": {"body":{"schema":{"additionalProperties":false,"properties":{"description":{"type":"string"},"list":{"items":{"type":"string"},"type":"array"}},"type":"object"}},"method":"POST","parameters":[{"in":"path","name":"id","required":true,"schema":{"maxLength":64,"type":"string"}}],"path":"/a/{id}"}
}
`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

// Nothing that says what a request has to be is left out in silence.
func TestExtractRefuses(t *testing.T) {
	for _, row := range []struct{ old, new, want string }{
		{"# OPERATION", "callbacks: {}", "callbacks is not known"},
		{"    post:", "    servers: []\n    post:", "servers is not known"},
		{"    post:", "    trace: {}\n    post:", "trace is not known"},
		{"application/json:", "text/plain:", "text/plain is not known"},
		{"schema: { $ref: \"#/components/schemas/Change\" } }", "schema: { $ref: \"#/components/schemas/Change\" }, encoding: {} }", "encoding is not known"},
		{"schemas/Word\"", "schemas/None\"", "nothing is there"},
		{"schemas/Word\"", "schemas/Change\"", "deep"},
		{"schemas/Word\"", "schemas/Word\", nullable: true", "beside it"},
		{"\"#/components/schemas/Word\"", "\"other.yaml#/Word\"", "only references in the document itself"},
		{"Word: { type: string }", "Word: { $ref: \"#/components/schemas/Change\" }", "reference itself"},
		{"Word: { type: string }", "Word: { type: string, pattern: a }", "pattern"},
		{"Word: { type: string }", "Word: { anyOf: [] }", "anyOf"},
		{"in: path,", "in: path, style: label,", "style"},
		{"operationId: change", "operationId: 7", "no operationId"},
		{"# OPERATION", "parameters: [{ name: id, in: path, required: true, schema: { type: string } }]", "twice"},
	} {
		data := strings.Replace(small, row.old, row.new, 1)
		if data == small {
			t.Fatalf("%s is not in the document", row.old)
		}
		if _, err := extract([]byte(data)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.new, err, row.want)
		}
	}
}
