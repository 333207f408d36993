// Command requests takes out of an OpenAPI document what package schema needs to
// know of it: for each operation its parameters and its body, with all references
// resolved and without what only people read. A node then reads 12 kB of JSON when
// it starts, and the program knows no YAML.
//
//	requests openapi.yaml requests.gen.json
//
// What it does not know it refuses, or leaves in for schema.Load to judge, which
// it asks before it writes anything.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/shoal-p2p/shoal/server/schema"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "requests:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: requests openapi.yaml requests.gen.json")
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	out, err := extract(data)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[1], out, 0o666)
}

// object is a mapping of the document.
type object = map[string]any

// document resolves references.
type document struct{ root object }

// extract makes the operations of an OpenAPI document what schema.Load reads, one
// in each line.
func extract(data []byte) ([]byte, error) {
	var d document
	if err := yaml.Unmarshal(data, &d.root); err != nil {
		return nil, err
	}
	paths, err := d.object(d.root["paths"])
	if err != nil {
		return nil, fmt.Errorf("paths: %w", err)
	}
	operations := object{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if err := d.path(operations, path, paths[path]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var b bytes.Buffer
	for i, id := range slices.Sorted(maps.Keys(operations)) {
		op, err := json.Marshal(operations[id])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		fmt.Fprintf(&b, "%c\n%q: %s", "{,"[min(i, 1)], id, op)
	}
	b.WriteString("\n}\n")
	if _, err := schema.Load(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// path adds the operations of one path.
func (d document) path(operations object, path string, value any) error {
	item, err := d.object(value)
	if err != nil {
		return err
	}
	shared, err := d.parameters(item["parameters"])
	if err != nil {
		return err
	}
	for key, value := range item {
		if key == "parameters" {
			continue
		}
		if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, key) {
			return fmt.Errorf("%s is not known", key)
		}
		id, op, err := d.operation(value, shared)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if operations[id] != nil {
			return fmt.Errorf("%s: there is another operation %s", key, id)
		}
		op["method"], op["path"] = strings.ToUpper(key), path
		operations[id] = op
	}
	return nil
}

func (d document) operation(value any, shared []any) (id string, op object, err error) {
	from, err := d.object(value)
	if err != nil {
		return "", nil, err
	}
	// Who may ask is server/routes.go's, and answers are the tests'.
	if err := known(from, "operationId", "parameters", "requestBody", "tags", "summary", "description", "security", "responses"); err != nil {
		return "", nil, err
	}
	id, ok := from["operationId"].(string)
	if !ok {
		return "", nil, errors.New("no operationId")
	}
	own, err := d.parameters(from["parameters"])
	if err != nil {
		return "", nil, err
	}
	op = object{}
	if all := slices.Concat(shared, own); len(all) > 0 {
		op["parameters"] = all
	}
	if from["requestBody"] != nil {
		body, err := d.body(from["requestBody"])
		if err != nil {
			return "", nil, fmt.Errorf("requestBody: %w", err)
		}
		if body != nil {
			op["body"] = body
		}
	}
	return id, op, nil
}

func (d document) parameters(value any) ([]any, error) {
	if value == nil {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, errors.New("parameters is no list")
	}
	all := make([]any, len(list))
	for i, v := range list {
		p, err := d.object(v)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i, err)
		}
		p = without(p, "description", "example")
		if p["schema"], err = d.schema(p["schema"], 0); err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i, err)
		}
		all[i] = p
	}
	return all, nil
}

// body is what a request's JSON has to be; nil, if it is a file, of which nothing has to
// be. Other types are not taken.
func (d document) body(value any) (object, error) {
	from, err := d.object(value)
	if err != nil {
		return nil, err
	}
	if err := known(from, "required", "description", "content"); err != nil {
		return nil, err
	}
	content, err := d.object(from["content"])
	if err != nil {
		return nil, err
	}
	if len(content) == 1 && content["application/octet-stream"] != nil {
		return nil, nil
	}
	if err := known(content, "application/json"); err != nil {
		return nil, err
	}
	media, err := d.object(content["application/json"])
	if err != nil {
		return nil, err
	}
	if err := known(media, "schema", "example", "examples"); err != nil {
		return nil, err
	}
	body := object{}
	if from["required"] != nil {
		body["required"] = from["required"]
	}
	body["schema"], err = d.schema(media["schema"], 0)
	return body, err
}

// deepest is how deep schemas may be in each other: references can go in circles.
const deepest = 16

// schema is a schema with those in it in the place of references to them.
func (d document) schema(value any, depth int) (any, error) {
	if depth > deepest {
		return nil, fmt.Errorf("schemas more than %d deep", deepest)
	}
	s, err := d.object(value)
	if err != nil {
		return nil, err
	}
	s = without(s, "description", "example")
	for key, value := range s {
		switch key {
		case "items":
			s[key], err = d.schema(value, depth+1)
		case "additionalProperties":
			if _, all := value.(bool); !all {
				s[key], err = d.schema(value, depth+1)
			}
		case "properties":
			s[key], err = d.properties(value, depth+1)
		case "oneOf":
			s[key], err = d.schemas(value, depth+1)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return s, nil
}

func (d document) properties(value any, depth int) (any, error) {
	from, err := d.object(value)
	if err != nil {
		return nil, err
	}
	all := object{}
	for name, value := range from {
		if all[name], err = d.schema(value, depth); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

func (d document) schemas(value any, depth int) (any, error) {
	from, ok := value.([]any)
	if !ok {
		return nil, errors.New("not a list")
	}
	all := make([]any, len(from))
	for i, value := range from {
		var err error
		if all[i], err = d.schema(value, depth); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// object is value, or what it refers to, as a mapping.
func (d document) object(value any) (object, error) {
	o, ok := value.(object)
	if !ok {
		return nil, fmt.Errorf("%T is no object", value)
	}
	ref, ok := o["$ref"]
	if !ok {
		return o, nil
	}
	if len(o) > 1 {
		return nil, fmt.Errorf("$ref %v with something beside it", ref)
	}
	path, ok := strings.CutPrefix(fmt.Sprint(ref), "#/")
	if !ok {
		return nil, fmt.Errorf("$ref %v: only references in the document itself are followed", ref)
	}
	at := d.root
	for name := range strings.SplitSeq(path, "/") {
		if at, ok = at[name].(object); !ok {
			return nil, fmt.Errorf("$ref %v: nothing is there", ref)
		}
	}
	if at["$ref"] != nil {
		return nil, fmt.Errorf("$ref %v is a reference itself", ref)
	}
	return at, nil
}

// known refuses keys that are none of names.
func known(o object, names ...string) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(names, key) {
			return fmt.Errorf("%s is not known", key)
		}
	}
	return nil
}

// without is a copy of o without some keys.
func without(o object, names ...string) object {
	o = maps.Clone(o)
	for _, name := range names {
		delete(o, name)
	}
	return o
}
