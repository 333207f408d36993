package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// heldText is how much text is collected before the index gets it.
const heldText = 16 << 20

// sink gives the files that the folders have found to the search index.
type sink struct {
	index  *search.Index
	reader *extract.Reader
	unread *unreadFiles
	log    *slog.Logger
}

// Put implements folder.Sink.
func (s sink) Put(ctx context.Context, updates []folder.Update) error {
	var gone []string
	for _, u := range updates {
		if u.Kind == folder.KindFile && u.Gone {
			gone = append(gone, search.FileID(u.Folder.ID, u.Path))
		}
	}
	if err := s.index.Remove(ctx, gone...); err != nil {
		return err
	}
	var docs []search.Document
	held := 0
	notes := notes{unread: make(map[string][]extract.Unread), others: make(map[string][]string)}
	for _, u := range updates {
		switch {
		case u.Kind != folder.KindFile:
			continue
		case u.Gone:
			notes.other(u.Folder.ID, u.Path)
			continue
		}
		d, missing, err := s.document(ctx, u)
		if errors.Is(err, folder.ErrChanged) {
			continue // the scan that notices the change brings it again
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			// It comes again when it changes: this is said once.
			s.log.Warn("indexed by name only", "folder", u.Folder.Label, "path", u.Path, "error", err)
		}
		if missing.Reason != "" {
			notes.missing(u.Folder.ID, missing)
		} else {
			notes.other(u.Folder.ID, u.Path)
		}
		docs = append(docs, d)
		if held += len(d.Text); held > heldText {
			if err := s.index.Put(ctx, docs); err != nil {
				return err
			}
			docs, held = nil, 0
		}
	}
	if err := s.index.Put(ctx, docs); err != nil {
		return err
	}
	return s.unread.note(ctx, notes)
}

// document makes what can be found out of a file: its text, where it has one that
// can be read, and in any case its name. What is missing has a reason; an error is
// one, too.
func (s sink) document(ctx context.Context, u folder.Update) (search.Document, extract.Unread, error) {
	d := search.Document{
		ID: search.FileID(u.Folder.ID, u.Path), Folder: u.Folder.ID, Path: u.Path, Size: u.Size, Modified: u.Modified,
		Title: u.Path[strings.LastIndexByte(u.Path, '/')+1:], Type: search.TypeOf(u.Path),
	}
	missing := extract.Unread{Path: u.Path, Version: extract.Version}
	f, err := u.Open()
	if err == nil {
		var t extract.Text
		t, err = s.reader.Read(ctx, u.Path, f, u.Size)
		if err = errors.Join(err, f.Close()); err == nil {
			d.Title, d.Text, d.Type = t.Title, t.Text, t.Type
			missing.Reason, missing.Detail = t.Reason, t.Detail
		}
	}
	if err != nil {
		missing.Reason, missing.Detail = extract.Unavailable, "the file could not be opened or read"
		err = fmt.Errorf("node: index %s: %w", u.Path, err)
	}
	if missing.Reason == extract.Unavailable {
		missing.Version = 0 // it was not the file's fault: the next start tries again
	}
	return d, missing, err
}

// notes are what is to be noted of the files of several folders.
type notes struct {
	unread map[string][]extract.Unread
	others map[string][]string
}

func (n *notes) missing(folder string, u extract.Unread) {
	n.unread[folder] = append(n.unread[folder], u)
}

func (n *notes) other(folder, path string) { n.others[folder] = append(n.others[folder], path) }

// unreadFiles keeps which files have no text, and knows how many.
type unreadFiles struct {
	store extract.Store

	mu     sync.Mutex
	counts map[string]map[extract.Reason]int // by folder
}

// tellRereading is how long nobody is told again how far it is.
const tellRereading = 2 * time.Second

// rereading tells log how far it is that documents are indexed again.
func rereading(log *slog.Logger) func(done, all int) {
	var told time.Time
	return func(done, all int) {
		if now := time.Now(); done == 0 || done == all || now.Sub(told) >= tellRereading {
			log.Info("documents are indexed again, since this version keeps their words in another way", "done", done, "of", all)
			told = now
		}
	}
}

// openUnread has what could not be read told again, if this program may do better.
func openUnread(ctx context.Context, store extract.Store, log *slog.Logger) (*unreadFiles, error) {
	again, err := store.Again(ctx, extract.Version)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if again > 0 {
		log.Info("files that could not be read are tried again", "files", again)
	}
	u := &unreadFiles{store: store}
	return u, u.count(ctx)
}

func (u *unreadFiles) count(ctx context.Context) error {
	counts, err := u.store.Counts(ctx)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.counts = counts
	return nil
}

// of returns the counts of a folder, which are not to be changed.
func (u *unreadFiles) of(folder string) map[extract.Reason]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[folder]
}

// folders returns those of which something is missing.
func (u *unreadFiles) folders() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.counts))
}

// note keeps what is missing and what is not. Of a folder that lacks nothing nothing
// is written.
func (u *unreadFiles) note(ctx context.Context, n notes) error {
	changed := false
	for folder, others := range n.others {
		if len(n.unread[folder]) == 0 && len(u.of(folder)) > 0 {
			changed = true
			if err := u.store.Note(ctx, folder, nil, others); err != nil {
				return err
			}
		}
	}
	for folder, missing := range n.unread {
		changed = true
		if err := u.store.Note(ctx, folder, missing, n.others[folder]); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return u.count(ctx)
}

func (u *unreadFiles) forget(ctx context.Context, folder string) error {
	if err := u.store.Forget(ctx, folder); err != nil {
		return err
	}
	return u.count(ctx)
}

// Unread are the files of a folder of which search has no text, or not all of it.
type Unread struct {
	Items  []extract.Unread // some of them, by path
	Next   string           // the cursor of those that follow; empty: none do
	Counts []ReasonCount    // of all, the most frequent reason first
	Total  int
}

// ReasonCount is how many files have no text for a reason.
type ReasonCount struct {
	Reason extract.Reason
	Count  int
}

// Unread returns up to limit files of a folder shared here that search could not
// read, from a cursor on; with a reason only those.
func (n *Node) Unread(ctx context.Context, id string, why extract.Reason, cursor string, limit int) (Unread, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Unread{}, err
	}
	defer leave()
	f, err := n.ownFolder(id)
	if err != nil {
		return Unread{}, err
	}
	items, err := n.lacking.store.List(ctx, f.ID, why, cursor, limit+1)
	if err != nil {
		return Unread{}, err
	}
	out := Unread{Items: items}
	if len(items) > limit {
		out.Items = items[:limit]
		out.Next = items[limit-1].Path
	}
	for why, count := range n.lacking.of(f.ID) {
		out.Counts = append(out.Counts, ReasonCount{why, count})
		out.Total += count
	}
	slices.SortFunc(out.Counts, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return out, nil
}
