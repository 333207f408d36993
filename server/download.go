package server

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

// AddDownload implements api.StrictServerInterface.
func (a *nodeAPI) AddDownload(ctx context.Context, r api.AddDownloadRequestObject) (api.AddDownloadResponseObject, error) {
	b := *r.Body
	o := swarm.GetOptions{Dir: valueOf(b.To), Web: valueOf(b.Web)}
	if err := checkWeb(o.Web); err != nil {
		return nil, err
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("%s: %w: not a whole path", o.Dir, swarm.ErrUnusable)
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if o.Seed, o.Pass, err = a.wanted(ctx, b); err != nil {
		return nil, err
	}
	st, err := a.node.Swarm().Download(ctx, o)
	if err != nil {
		return nil, err
	}
	if st.State == swarm.StateSeeding {
		return api.AddDownload200JSONResponse(apiSeed(st)), nil
	}
	return api.AddDownload201JSONResponse(apiSeed(st)), nil
}

// wanted returns the seed that a request names in one of three ways, and what lets this node in at somebody who has it.
func (a *nodeAPI) wanted(ctx context.Context, b api.DownloadNew) (s seed.Seed, p *pass.Pass, err error) {
	switch {
	case b.Seed != nil && b.Link == nil && b.Id == nil:
		if s, err = seed.Parse([]byte(*b.Seed)); err != nil {
			err = fmt.Errorf("%w: %w", errSeedText, err)
		}
		return s, nil, err
	case b.Link != nil && b.Seed == nil && b.Id == nil:
		l, err := seed.ParseLink(*b.Link)
		if err != nil {
			return s, nil, err
		}
		if st, err := a.node.Swarm().Get(l.ID); err != nil || st.State != swarm.StateSeeding {
			if p, err = a.node.PassIn(l); err != nil {
				return s, nil, err
			}
		}
		s, err = a.node.Swarm().Resolve(ctx, l)
		return s, p, err
	case b.Id != nil && b.Seed == nil && b.Link == nil:
		id, err := seedID(*b.Id)
		if err != nil {
			return s, nil, err
		}
		s, err = a.seedOf(ctx, id)
		return s, nil, err
	}
	return s, nil, fmt.Errorf("%w: body: one of the fields seed, link and id", errInvalid)
}

// seedOf returns a seed that is kept here, or that a member has.
func (a *nodeAPI) seedOf(ctx context.Context, id seed.ID) (seed.Seed, error) {
	if st, err := a.node.Swarm().Get(id); err == nil {
		return st.Seed, nil
	}
	return a.node.Tracker().Text(ctx, id)
}

// seedContent serves the bytes of a seed's file as content does those of a file in a folder.
func (a *nodeAPI) seedContent(w http.ResponseWriter, r *http.Request) error {
	rep, ok := w.(*reply)
	if !ok {
		return errInternal
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return err
	}
	defer done()
	rep.deadline(time.Now().Add(openTimeout + writeTimeout))
	id, err := seedID(r.PathValue("id"))
	if err != nil {
		return err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	asked, cancel := context.WithTimeout(ctx, openTimeout)
	s, err := a.seedOf(asked, id)
	cancel()
	if err != nil {
		return err
	}
	// What has an ID never changes.
	return serveFile(ctx, rep, r, file{
		name: s.Name, size: s.Size, etag: `"` + hex.EncodeToString(id[:]) + `"`, read: seedFile{a.node.Swarm(), s}.read,
	})
}

// seedFile reads the file of a seed.
type seedFile struct {
	swarm *swarm.Service
	seed  seed.Seed
}

// read returns a part of the file, of which the first bytes are there: until then a request can be told that
// they are not to be had.
func (f seedFile) read(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := f.swarm.Open(ctx, f.seed)
	if err != nil {
		return nil, err
	}
	if _, err = r.Seek(offset, io.SeekStart); err == nil {
		first := bufio.NewReader(r)
		if _, err = first.Peek(1); err == nil {
			return struct {
				io.Reader
				io.Closer
			}{first, r}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s: %w", f.seed.Name, err), r.Close())
}
