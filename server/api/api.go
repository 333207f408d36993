// Package api is the HTTP API as types: openapi.yaml is the source, api.gen.go
// what the generator makes of it.
package api

import _ "embed"

// Spec is the OpenAPI document, as written.
//
//go:embed openapi.yaml
var Spec []byte

//go:generate go tool oapi-codegen -config config.yaml openapi.yaml
