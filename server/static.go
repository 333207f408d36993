package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// page is the dashboard's files, in memory: there are few, and they are known
// when the server starts.
type page struct {
	files  map[string]*asset // by URL path, without index.html
	index  *asset            // without the token
	indexT *asset            // with it
}

// asset is one file in all the forms in which it is served.
type asset struct {
	kind   string // Content-Type
	etag   string
	cache  string // Cache-Control
	bodies map[string][]byte
}

// Encodings that a build may have made next to a file, best first; the empty one
// is the file itself.
var encodings = [...]struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}}

// kinds are the types of files that a build consists of. The system's own table
// differs between computers, and a wrong type is a script that does not run.
var kinds = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".map":         "application/json",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".wasm":        "application/wasm",
	".webmanifest": "application/manifest+json",
	".woff2":       "font/woff2",
}

// hashed recognises names that change with the content, such as
// assets/index-B3xk_9aQ.js.
var hashed = regexp.MustCompile(`^/assets/.*-[A-Za-z0-9_-]{8,}\.[a-z0-9.]+$`)

const indexFile = "/index.html"

// noPage stands in where the program was built without the dashboard.
const noPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>shoal</title></head>
<body>
<h1>shoal</h1>
<p>This program was built without its page. The API is there: <a href="/api/openapi.yaml">/api/openapi.yaml</a>.</p>
<p>To build the page: npm ci &amp;&amp; npm run build, then build the program again.</p>
</body>
</html>
`

// newPage reads all of ui. The token goes into a second form of index.html.
func newPage(ui fs.FS, token string) (*page, error) {
	p := &page{files: map[string]*asset{}}
	if ui != nil {
		if err := p.read(ui); err != nil {
			return nil, err
		}
	}
	index := p.files[indexFile]
	if index == nil {
		index = &asset{kind: kinds[".html"], bodies: map[string][]byte{"": []byte(noPage)}}
	}
	delete(p.files, indexFile)
	plain := index.bodies[""]
	p.index = &asset{kind: index.kind, cache: "no-cache", bodies: index.bodies, etag: etagOf(plain)}
	meta := []byte(`<head><meta name="shoal-token" content="` + html.EscapeString(token) + `">`)
	// The page with the token is not for any disk, so it is not for a cache.
	p.indexT = &asset{kind: index.kind, cache: "no-cache, no-store", bodies: map[string][]byte{"": bytes.Replace(plain, []byte("<head>"), meta, 1)}}
	return p, nil
}

// read fills p.files with ui's files and their compressed forms.
func (p *page) read(ui fs.FS) error {
	err := fs.WalkDir(ui, ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == "." {
			return nil // an empty build
		}
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		data, err := fs.ReadFile(ui, name)
		if err != nil {
			return err
		}
		for _, e := range encodings {
			base, ok := strings.CutSuffix("/"+name, e.suffix)
			if !ok {
				continue
			}
			a := p.files[base]
			if a == nil {
				a = &asset{bodies: map[string][]byte{}}
				p.files[base] = a
			}
			a.bodies[e.name] = data
			break
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("server: read the page: %w", err)
	}
	for name, a := range p.files {
		body, ok := a.bodies[""]
		if !ok { // a compressed form of nothing
			delete(p.files, name)
			continue
		}
		a.etag, a.kind, a.cache = etagOf(body), kinds[path.Ext(name)], "no-cache"
		if a.kind == "" {
			a.kind = "application/octet-stream"
		}
		if hashed.MatchString(name) {
			a.cache = "public, max-age=31536000, immutable"
		}
	}
	return nil
}

func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// index answers GET / with the page, and with the token in it where that is safe.
func (a *nodeAPI) index(w http.ResponseWriter, r *http.Request) error {
	if a.guard.handsOut(r) {
		a.page.indexT.serve(w, r)
		return nil
	}
	a.page.index.serve(w, r)
	return nil
}

// file answers for every path that nothing else has. The page's views are behind
// '#', so a path that is no file is a mistake and not a view.
func (a *nodeAPI) file(w http.ResponseWriter, r *http.Request) error {
	f := a.page.files[r.URL.Path]
	if f == nil {
		return errNotFound
	}
	f.serve(w, r)
	return nil
}

// problem answers for the type of a problem, which is a link: what it means.
func (a *nodeAPI) problem(w http.ResponseWriter, r *http.Request) error {
	for _, f := range failures {
		if f.code == r.PathValue("code") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err := fmt.Fprintf(w, "%s (%d %s)\n\n%s\n", f.title, f.status, f.code, f.hint)
			return err
		}
	}
	return errNotFound
}

// serve sends the smallest form that the client takes.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	name, body := a.choose(strings.Join(r.Header["Accept-Encoding"], ","))
	header := w.Header()
	header.Set("Content-Type", a.kind)
	header.Set("Cache-Control", a.cache)
	if len(a.bodies) > 1 {
		header.Set("Vary", "Accept-Encoding")
	}
	if a.etag != "" {
		etag := `"` + a.etag + name + `"` // another encoding is another representation
		header.Set("Etag", etag)
		if matches(r.Header["If-None-Match"], etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if name != "" {
		header.Set("Content-Encoding", name)
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	// A client that went away needs no answer.
	_, _ = w.Write(body)
}

// choose picks by Accept-Encoding (RFC 9110 §12.5.3); weights other than 0 do
// not matter between forms of one file.
func (a *asset) choose(accept string) (name string, body []byte) {
	for _, e := range encodings {
		if body, ok := a.bodies[e.name]; ok && (e.name == "" || accepts(accept, e.name)) {
			return e.name, body
		}
	}
	return "", a.bodies[""]
}

func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !found || err == nil && q > 0
	}
	return false
}

// matches reports whether a list of entity tags names etag, by weak comparison
// (RFC 9110 §13.1.2).
func matches(list []string, etag string) bool {
	for _, header := range list {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || etag != "" && strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
