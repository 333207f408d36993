package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListSeeds implements api.StrictServerInterface.
func (a *nodeAPI) ListSeeds(context.Context, api.ListSeedsRequestObject) (api.ListSeedsResponseObject, error) {
	out := api.KeptSeedList{Items: []api.KeptSeed{}}
	for _, st := range a.node.Swarm().List() {
		out.Items = append(out.Items, apiSeed(st))
	}
	return api.ListSeeds200JSONResponse{Body: out}, nil
}

// AddSeed implements api.StrictServerInterface.
func (a *nodeAPI) AddSeed(ctx context.Context, r api.AddSeedRequestObject) (api.AddSeedResponseObject, error) {
	b := *r.Body
	path, err := a.seedPath(b.Path, b.Folder)
	if err != nil {
		return nil, err
	}
	o := swarm.MakeOptions{Name: valueOf(b.Name), Web: valueOf(b.Web), From: valueOf(b.Base)}
	if o.From != "" && !filepath.IsAbs(o.From) {
		return nil, fmt.Errorf("%s: %w: not a whole path", o.From, swarm.ErrUnusable)
	}
	if err := checkWeb(o.Web); err != nil {
		return nil, err
	}
	if o.Name != "" {
		if err := seed.CheckName(o.Name); err != nil {
			return nil, err
		}
	}
	st, err := a.node.Swarm().Make(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return api.AddSeed201JSONResponse(apiSeed(st)), nil
}

// seedPath returns where the file is that a request names, in a folder or anywhere.
func (a *nodeAPI) seedPath(path string, in *string) (string, error) {
	if in == nil {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%s: %w: not a whole path", path, swarm.ErrUnusable)
		}
		return path, nil
	}
	f, err := a.node.Folder(*in, a.node.ID())
	if err != nil {
		return "", err
	}
	local := filepath.FromSlash(path)
	if !filepath.IsLocal(local) {
		return "", fmt.Errorf("%s: %w", path, folder.ErrBadPath)
	}
	return filepath.Join(f.Path, local), nil
}

func checkWeb(urls []string) error {
	for _, u := range urls {
		if err := seed.CheckURL(u); err != nil {
			return fmt.Errorf("%w: body: field web: %w", errInvalid, err)
		}
	}
	return nil
}

// uploadSeed shares the body of a request.
func (a *nodeAPI) uploadSeed(w http.ResponseWriter, r *http.Request) error {
	rep, ok := w.(*reply)
	if !ok {
		return errInternal
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return err
	}
	defer done()
	rep.deadline(time.Time{}) // nothing is written for as long as it takes
	st, err := a.node.Swarm().MakeFrom(ctx, seed.PortableName(r.URL.Query().Get("name")), &movingReader{rep, r.Body}, r.ContentLength)
	rep.readDeadline(time.Time{})
	rep.deadline(time.Now().Add(writeTimeout))
	if err != nil {
		w.Header().Set("Connection", "close") // who sends on is not listened to
		return err
	}
	data, err := json.Marshal(apiSeed(st))
	if err != nil {
		return fmt.Errorf("server: seed: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	// If it cannot be written there is nobody left to tell.
	_, _ = w.Write(data)
	return nil
}

// movingReader reads the body of a request and allows each read its time, however long all of them take.
type movingReader struct {
	rep  *reply
	body io.Reader
}

func (m *movingReader) Read(b []byte) (int, error) {
	m.rep.readDeadline(time.Now().Add(bodyTimeout))
	n, err := m.body.Read(b)
	if err != nil {
		m.rep.readDeadline(time.Time{}) // one that stays would end the request's context when it passes
	}
	return n, err
}

// isBytes reports whether a body is declared as nothing but bytes. Browsers ask first before they send those to
// another origin.
func isBytes(types []string) bool {
	if len(types) != 1 {
		return false
	}
	kind, _, err := mime.ParseMediaType(types[0])
	return err == nil && kind == "application/octet-stream"
}

// GetKeptSeed implements api.StrictServerInterface.
func (a *nodeAPI) GetKeptSeed(_ context.Context, r api.GetKeptSeedRequestObject) (api.GetKeptSeedResponseObject, error) {
	st, err := a.keptSeed(r.Id)
	if err != nil {
		return nil, err
	}
	return api.GetKeptSeed200JSONResponse{Body: apiSeed(st)}, nil
}

// keptSeed describes a seed by its ID as text.
func (a *nodeAPI) keptSeed(text string) (swarm.Status, error) {
	id, err := seedID(text)
	if err != nil {
		return swarm.Status{}, err
	}
	return a.node.Swarm().Get(id)
}

// UpdateKeptSeed implements api.StrictServerInterface.
func (a *nodeAPI) UpdateKeptSeed(ctx context.Context, r api.UpdateKeptSeedRequestObject) (api.UpdateKeptSeedResponseObject, error) {
	st, err := a.keptSeed(r.Id)
	if err != nil {
		return nil, err
	}
	id := st.Seed.ID()
	switch {
	case r.Body.Paused && st.State == swarm.StateSeeding:
		return nil, fmt.Errorf("%s: %w", st.Seed.Name, errWhole)
	case r.Body.Paused:
		st, err = a.node.Swarm().Pause(ctx, id)
	default:
		st, err = a.node.Swarm().Resume(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return api.UpdateKeptSeed200JSONResponse(apiSeed(st)), nil
}

// DeleteKeptSeed implements api.StrictServerInterface.
func (a *nodeAPI) DeleteKeptSeed(ctx context.Context, r api.DeleteKeptSeedRequestObject) (api.DeleteKeptSeedResponseObject, error) {
	id, err := seedID(r.Id)
	if err != nil {
		return nil, err
	}
	if err := a.node.Swarm().Forget(ctx, id, valueOf(r.Params.Files)); err != nil {
		return nil, err
	}
	return api.DeleteKeptSeed204Response{}, nil
}

// seedText serves a seed as a file.
func (a *nodeAPI) seedText(w http.ResponseWriter, r *http.Request) error {
	st, err := a.keptSeed(r.PathValue("id"))
	if err != nil {
		return err
	}
	if st.Seed.Legacy == nil && st.Seed.Pieces == nil && st.Seed.List == (chunk.Hash{}) {
		return fmt.Errorf("%s: %w", st.Seed.Name, errIncomplete)
	}
	sendWhole(w, r, "text/plain; charset=utf-8", st.Seed.Name+".seed", st.Seed.Text())
	return nil
}

// seedPieces serves the hashes of the pieces of a seed as a file.
func (a *nodeAPI) seedPieces(w http.ResponseWriter, r *http.Request) error {
	st, err := a.keptSeed(r.PathValue("id"))
	if err != nil {
		return err
	}
	if st.Seed.Pieces == nil {
		return fmt.Errorf("%s: %w", st.Seed.Name, errIncomplete)
	}
	sendWhole(w, r, "application/octet-stream", st.Seed.Name+seed.ListSuffix, st.Seed.PackPieces())
	return nil
}

// sendWhole answers with a file to be saved.
func sendWhole(w http.ResponseWriter, r *http.Request, kind, name string, data []byte) {
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Disposition", attachment(name))
	header.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // if it cannot be written there is nobody left to tell
	}
}

func apiSeed(st swarm.Status) api.KeptSeed {
	s := st.Seed
	out := api.KeptSeed{
		Name: s.Name, Size: s.Size, Legacy: s.Legacy != nil, State: api.KeptSeedState(st.State), Error: plain(st.Error), Path: st.Path,
		PieceLength: s.PieceLen, Pieces: st.Pieces, Here: st.Here,
		BytesDone: st.Done, BytesWire: st.Wire, BytesReused: st.Reused, BytesResumed: st.Resumed, BytesWasted: st.Wasted, BytesSent: st.Sent,
		RateDown: st.Down, RateUp: st.Up, Sources: st.Sources, Takers: st.Takers, Web: append([]string{}, s.Web...),
		Added: st.Added.UTC(), Ended: when(st.Ended),
	}
	if st.State != swarm.StateReading {
		out.Id, out.Link = s.ID().String(), s.Link().String()
	}
	out.Copies = make([]struct {
		Directory string `json:"directory"`
		Path      string `json:"path"`
	}, len(st.Copies))
	for i, c := range st.Copies {
		out.Copies[i].Directory, out.Copies[i].Path = c.Dir, c.Path
	}
	if st.ETA >= 0 {
		out.EtaS = new(st.ETA.Round(time.Millisecond).Seconds())
	}
	return out
}
