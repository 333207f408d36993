// Package web holds the built dashboard. It is committed, so that a plain
// go build has the page without Node; "npm run build" makes it anew.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist returns the files of the dashboard: index.html, and below assets files
// whose names change with their content.
func Dist() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("web: the path dist is not valid: " + err.Error())
	}
	return files
}
