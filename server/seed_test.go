package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

// startKeeping starts a node that has a place for downloads and for what is dropped.
func startKeeping(t *testing.T, name string) *node.Node {
	t.Helper()
	n, err := node.Start(t.Context(), node.Options{Name: name, DataDir: t.TempDir(), Downloads: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// randomBytes are the same for the same seed.
func randomBytes(n int, s uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(s, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func lectureFile(t *testing.T, data []byte) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lecture.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func quoted(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSeedsAPI: a file is shared, passed on as a text and as a link, got by another node, read in parts,
// and let go of.
func TestSeedsAPI(t *testing.T) {
	one, two := startKeeping(t, "one"), startKeeping(t, "two")
	inv, err := one.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Node: one, Lab: []*node.Node{one, two}})
	data := randomBytes(1<<20+4711, 1)
	path := lectureFile(t, data)

	var made api.KeptSeed
	call(t, s, post, "/api/seeds", `{"path":`+quoted(t, path)+`,"name":"Lecture 1.bin","web":["http://127.0.0.1:1/lecture.bin"]}`, 201, &made)
	if made.State != "seeding" || made.Name != "Lecture 1.bin" || made.Size != int64(len(data)) || made.Here != made.Pieces || made.Path != path || len(made.Web) != 1 || made.Ended == nil {
		t.Fatalf("%+v", made)
	}
	link, err := seed.ParseLink(made.Link)
	if err != nil || link.ID.String() != made.Id {
		t.Fatalf("%s: %v", made.Link, err)
	}
	var list api.KeptSeedList
	call(t, s, get, "/api/seeds", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Id != made.Id {
		t.Errorf("%+v", list)
	}
	w := call(t, s, get, "/api/seeds/"+made.Id+"/text", "", 200, nil)
	text := w.Body.String()
	if got, err := seed.Parse(w.Body.Bytes()); err != nil || got.ID() != link.ID || !strings.Contains(w.Header().Get("Content-Disposition"), `"Lecture 1.bin.seed"`) {
		t.Errorf("%s %v: %v", text, w.Header(), err)
	}
	pieces := call(t, s, get, "/api/seeds/"+made.Id+"/pieces", "", 200, nil)
	if got := pieces.Body.Bytes(); len(got) != 32*made.Pieces || !strings.Contains(text, "chunks_root: "+chunk.Hash(blake3.Sum256(got)).String()) || !strings.Contains(pieces.Header().Get("Content-Disposition"), `"Lecture 1.bin.pieces"`) {
		t.Errorf("%d bytes %v", len(got), pieces.Header())
	}
	if p := call(t, s, "PATCH", "/api/seeds/"+made.Id, `{"paused":true}`, 409, nil); codeOf(t, p) != "seed_whole" {
		t.Error(p.Body)
	}
	call(t, s, "PATCH", "/api/seeds/"+made.Id, `{"paused":false}`, 200, nil)

	// The other node reads the middle of it before it has any of it.
	eventually(t, func() bool {
		var found api.TrackedList
		call(t, s, get, "/n/1/api/tracker", "", 200, &found)
		return len(found.Items) == 1 && found.Items[0].Whole == 1
	})
	content := "/n/1/api/seeds/" + made.Id + "/content"
	r := good(t, route{method: get, path: content})
	r.Header.Set("Range", "bytes=700000-700099")
	if w := do(t, s, r); w.Code != 206 || !bytes.Equal(w.Body.Bytes(), data[700000:700100]) || w.Header().Get("Etag") != `"`+made.Id+`"` {
		t.Errorf("%d %v %.100s", w.Code, w.Header(), w.Body)
	}

	to := t.TempDir()
	var got api.KeptSeed
	call(t, s, post, "/n/1/api/downloads", `{"link":`+quoted(t, link.Page("http://localhost:8080"))+`,"to":`+quoted(t, to)+`}`, 201, &got)
	eventually(t, func() bool {
		call(t, s, get, "/n/1/api/seeds/"+made.Id, "", 200, &got)
		return got.State == "seeding"
	})
	if read, err := os.ReadFile(got.Path); err != nil || !bytes.Equal(read, data) || filepath.Base(got.Path) != "Lecture 1.bin" {
		t.Errorf("%s: %d bytes, %v", got.Path, len(read), err)
	}
	for _, body := range []string{`{"seed":` + quoted(t, text) + `}`, `{"id":"` + made.Id + `"}`} {
		call(t, s, post, "/n/1/api/downloads", body, 200, &got) // it is there
	}
	var pic api.Swarm
	call(t, s, get, "/n/1/api/seeds/"+made.Id+"/swarm", "", 200, &pic)
	all, err := base64.StdEncoding.DecodeString(pic.Have)
	if err != nil || len(all) != pic.Pieces || pic.PerColumn != 1 || bytes.ContainsFunc(all, func(r rune) bool { return r != 255 && r != '\uFFFD' }) {
		t.Errorf("%+v, %v", pic, err)
	}
	i := slices.IndexFunc(pic.Members, func(m api.SwarmMember) bool { return m.Name == "one" })
	if i < 0 || len(pic.From) == 0 {
		t.Fatalf("%+v", pic)
	}
	// What the read above has brought was here already; all the rest is from the only one who has it.
	sum, from := 0, 0
	for _, run := range pic.From {
		switch run[0] {
		case 0:
		case i + 1:
			from += run[1]
		default:
			t.Errorf("from %v", run)
		}
		sum += run[1]
	}
	if sum != pic.Columns || from < pic.Columns/2 {
		t.Errorf("%v are of %d columns", pic.From, pic.Columns)
	}
	if got := pic.Members[i].Got; got < int64(from-1)*int64(pic.PieceLength) {
		t.Errorf("%d bytes in %d pieces of %d", got, from, pic.PieceLength)
	}
	call(t, s, get, "/n/1/api/seeds/"+made.Id+"/swarm?columns=3", "", 200, &pic)
	if pic.Columns != 3 || pic.PerColumn != (pic.Pieces+2)/3 {
		t.Errorf("%+v", pic)
	}

	call(t, s, remove, "/n/1/api/seeds/"+made.Id+"?files=true", "", 204, nil)
	if left, err := os.ReadDir(to); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	call(t, s, remove, "/api/seeds/"+made.Id, "", 204, nil)
	if _, err := os.Stat(path); err != nil {
		t.Error(err) // it was not asked to be deleted
	}
}

// eventually waits until ok says so.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// upload sends a file over a real connection.
func upload(t *testing.T, url string, body io.Reader, length int64) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), post, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestUploadSeed(t *testing.T) {
	n := startKeeping(t, "one")
	s := newServer(t, Options{Node: n})
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	data := randomBytes(3<<20, 2)
	to := h.URL + "/api/seeds/upload?name=" + url.QueryEscape("who: me?/é.bin")
	// Of a length that is not told before, as a stream has it.
	resp := upload(t, to, bytes.NewReader(data), -1)
	var got api.KeptSeed
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 201 || got.State != "seeding" || got.Size != int64(len(data)) || got.Name != "who_ me__é.bin" {
		t.Fatalf("%d %+v %v", resp.StatusCode, got, err)
	}
	w := call(t, s, get, "/api/seeds/"+got.Id+"/content", "", 200, nil)
	if !bytes.Equal(w.Body.Bytes(), data) {
		t.Error("other bytes")
	}
	// What breaks off is no seed and leaves nothing.
	conn := &brokenBody{bytes.NewReader(data[:1<<20])}
	r, err := http.NewRequestWithContext(t.Context(), post, h.URL+"/api/seeds/upload?name=half.bin", conn)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 2 << 20
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", "application/octet-stream")
	if resp, err := http.DefaultClient.Do(r); err == nil {
		_ = resp.Body.Close()
		t.Errorf("it was taken: %v", resp.Status)
	}
	path := got.Path
	eventually(t, func() bool {
		dirs, err := os.ReadDir(filepath.Dir(filepath.Dir(path)))
		return err == nil && len(dirs) == 1
	})
	var list api.KeptSeedList
	call(t, s, get, "/api/seeds", "", 200, &list)
	if len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
	call(t, s, remove, "/api/seeds/"+got.Id, "", 204, nil)
	if _, err := os.Stat(path); err == nil {
		t.Error("what was dropped is still there")
	}
}

// brokenBody ends too early.
type brokenBody struct{ r io.Reader }

func (b *brokenBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestSeedRefusals(t *testing.T) {
	n := startKeeping(t, "one")
	s := newServer(t, Options{Node: n})
	dir := t.TempDir()
	whole, err := seed.Make(t.Context(), strings.NewReader("hello"), 5, "hello.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole.Text())
	for _, row := range []struct {
		method, target, body string
		status               int
		code, detail         string
	}{
		{post, "/api/seeds", `{"path":"notes.txt"}`, 422, "path_unusable", "whole path"},
		{post, "/api/seeds", `{"path":` + quoted(t, dir) + `}`, 422, "path_unusable", "a directory"},
		{post, "/api/seeds", `{"path":` + quoted(t, filepath.Join(dir, "nothing")) + `}`, 422, "path_unusable", "no such file"},
		{post, "/api/seeds", `{"path":` + quoted(t, lectureFile(t, nil)) + `,"name":"a/b"}`, 422, "name_unusable", "path"},
		{post, "/api/seeds", `{"path":` + quoted(t, lectureFile(t, nil)) + `,"web":["ftp://x/y"]}`, 400, "request_invalid", "http"},
		{post, "/api/seeds", `{"folder":"nothing","path":"a.txt"}`, 404, "not_found", ""},
		{post, "/api/downloads", `{"link":"shoal:seed/12"}`, 400, "link_malformed", "ID"},
		{post, "/api/downloads", `{"link":"https://example.org"}`, 400, "link_malformed", ""},
		{post, "/api/downloads", `{"seed":` + quoted(t, strings.Replace(text, "file_len: 5", "file_len: five", 1)) + `}`, 400, "seed_invalid", "line 3"},
		{post, "/api/downloads", `{"seed":"hello"}`, 400, "seed_invalid", "line 1"},
		{post, "/api/downloads", `{"id":"` + nobodysSeed + `"}`, 404, "seed_not_found", ""},
		{post, "/api/downloads", `{"id":"` + strings.Repeat("x", 64) + `"}`, 400, "request_invalid", ""},
		{post, "/api/downloads", `{"to":"/tmp"}`, 400, "request_invalid", "one of"},
		{post, "/api/downloads", `{"seed":` + quoted(t, text) + `,"to":"tmp"}`, 422, "path_unusable", "whole path"},
		{post, "/api/downloads", `{"seed":` + quoted(t, text) + `,"to":` + quoted(t, filepath.Join(dir, "nothing")) + `}`, 422, "path_unusable", "no such file"},
		{get, "/api/seeds/" + nobodysSeed, "", 404, "seed_not_found", ""},
		{get, "/api/seeds/xyz", "", 400, "request_invalid", ""},
		{get, "/api/seeds/" + nobodysSeed + "/swarm", "", 404, "seed_not_found", ""},
		{get, "/api/seeds/" + nobodysSeed + "/text", "", 404, "seed_not_found", ""},
		{get, "/api/seeds/" + nobodysSeed + "/pieces", "", 404, "seed_not_found", ""},
		{get, "/api/seeds/" + nobodysSeed + "/content", "", 404, "seed_not_found", ""},
		{"PATCH", "/api/seeds/" + nobodysSeed, `{"paused":true}`, 404, "seed_not_found", ""},
		{remove, "/api/seeds/" + nobodysSeed, "", 404, "seed_not_found", ""},
		{put, "/api/limits", `{"up":12}`, 400, "request_invalid", "12 bytes"},
		{put, "/api/limits", `{"up":-1}`, 400, "request_invalid", ""},
	} {
		w := call(t, s, row.method, row.target, row.body, row.status, nil)
		if p := problemIn(t, w); p.Code != row.code || !strings.Contains(p.Detail, row.detail) {
			t.Errorf("%s %s %s: %+v", row.method, row.target, row.body, p)
		}
	}
}

// TestPausedDownload: a download that finds nobody waits, can be paused, and leaves nothing.
func TestPausedDownload(t *testing.T) {
	n := startKeeping(t, "one")
	s := newServer(t, Options{Node: n})
	whole, err := seed.Make(t.Context(), bytes.NewReader(randomBytes(100_000, 3)), 100_000, "hello.bin", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := whole.ID().String()
	var st api.KeptSeed
	call(t, s, post, "/api/downloads", `{"link":`+quoted(t, whole.Link().String())+`}`, 201, &st)
	if st.State != api.KeptSeedState(swarm.StateWaiting) || st.Here != 0 || st.EtaS != nil {
		t.Errorf("%+v", st)
	}
	if w := call(t, s, get, "/api/seeds/"+id+"/pieces", "", 409, nil); codeOf(t, w) != "seed_incomplete" {
		t.Error(w.Body)
	}
	if w := call(t, s, get, "/api/seeds/"+id+"/text", "", 409, nil); codeOf(t, w) != "seed_incomplete" {
		t.Error(w.Body)
	}
	var pic api.Swarm
	call(t, s, get, "/api/seeds/"+id+"/swarm", "", 200, &pic)
	if strings.Trim(pic.Have, "A=") != "" || len(pic.From) > 1 {
		t.Errorf("%+v", pic)
	}
	call(t, s, "PATCH", "/api/seeds/"+id, `{"paused":true}`, 200, &st)
	if st.State != "paused" {
		t.Errorf("%+v", st)
	}
	call(t, s, "PATCH", "/api/seeds/"+id, `{"paused":false}`, 200, &st)
	if st.State != "waiting" {
		t.Errorf("%+v", st)
	}
	call(t, s, remove, "/api/seeds/"+id, "", 204, nil)
}

// TestSeedOfFolder: a file of a folder is named as the folder's list names it.
func TestSeedOfFolder(t *testing.T) {
	n := startKeeping(t, "one")
	s := newServer(t, Options{Node: n})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	var f api.Folder
	call(t, s, post, "/api/folders", `{"path":`+quoted(t, dir)+`}`, 201, &f)
	var st api.KeptSeed
	call(t, s, post, "/api/seeds", `{"folder":`+quoted(t, f.Id)+`,"path":"a.txt"}`, 201, &st)
	if st.Name != "a.txt" || st.Size != 5 || st.Pieces != 1 {
		t.Errorf("%+v", st)
	}
	if w := call(t, s, post, "/api/seeds", `{"folder":`+quoted(t, f.Id)+`,"path":"../a.txt"}`, 400, nil); codeOf(t, w) != "path_invalid" {
		t.Error(w.Body)
	}
}

// TestSeedOfNewVersion: who has the older version needs the delta only, which is shared as well.
func TestSeedOfNewVersion(t *testing.T) {
	n := startKeeping(t, "one")
	s := newServer(t, Options{Node: n})
	data := randomBytes(1<<20, 4)
	old := lectureFile(t, data)
	path := lectureFile(t, append(data[:500_000:500_000], data[400_000:]...))
	if w := call(t, s, post, "/api/seeds", `{"path":`+quoted(t, path)+`,"base":"old"}`, 422, nil); codeOf(t, w) != "path_unusable" {
		t.Error(w.Body)
	}
	if w := call(t, s, post, "/api/seeds", `{"path":`+quoted(t, path)+`,"base":`+quoted(t, path+"x")+`}`, 422, nil); codeOf(t, w) != "path_unusable" {
		t.Error(w.Body)
	}
	var st api.KeptSeed
	call(t, s, post, "/api/seeds", `{"path":`+quoted(t, path)+`,"base":`+quoted(t, old)+`}`, 201, &st)
	got, err := seed.Parse(call(t, s, get, "/api/seeds/"+st.Id+"/text", "", 200, nil).Body.Bytes())
	if err != nil || len(got.Bases) != 1 || got.Bases[0].DeltaSize > 200_000 {
		t.Fatalf("%+v %v", got.Bases, err)
	}
	call(t, s, get, "/api/seeds/"+seed.ID(got.Bases[0].Delta).String(), "", 200, &st)
	if st.Size != got.Bases[0].DeltaSize {
		t.Errorf("%+v", st)
	}
}
