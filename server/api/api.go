// Package api is the HTTP API as types: openapi.yaml is the source, api.gen.go and
// requests.gen.json are what the generators make of it.
package api

import _ "embed"

// Spec is the OpenAPI document, as written.
//
//go:embed openapi.yaml
var Spec []byte

// Requests is what Spec says of requests, for package schema.
//
//go:embed requests.gen.json
var Requests []byte

//go:generate go tool oapi-codegen -config config.yaml openapi.yaml
//go:generate go run ../schema/cmd/requests openapi.yaml requests.gen.json
