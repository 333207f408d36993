package node

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/lexicon"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// Search finds documents on this node and, unless the query's scope is local, on
// all other members at once. Each answer goes to each, if there is one, as it
// comes, one at a time; the whole comes back in the end.
func (n *Node) Search(ctx context.Context, q search.Query, each func(search.Part)) (search.Answer, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return search.Answer{}, err
	}
	defer leave()
	answer, err := n.mesh.Ask(ctx, q, n.searched(), each)
	if err == nil && q.Scope != search.ScopeLocal && n.members.Wide() && n.size() > answer.NodesAsked {
		answer.Partial = true
	}
	return answer, err
}

// searched returns whom a search asks: all members, or in a network in which nobody knows all of them
// those to whom there are links. There the table is the better way to search.
func (n *Node) searched() []search.Member {
	var out []search.Member
	if !n.members.Wide() {
		for _, m := range n.others() {
			out = append(out, search.Member{ID: m.ID, Name: m.Name})
		}
		return out
	}
	for _, id := range n.links.linked() {
		out = append(out, search.Member{ID: id, Name: n.nameOf(id)})
	}
	return out
}

// Complete returns words for the last one of a text, at most so many: of this node's folders
// and documents, and of what the others have that this node may see.
func (n *Node) Complete(text string, limit int) []lexicon.Completion {
	return n.lexicon.Complete(n.index, text, limit)
}

// Lexicon says how much this node knows of the words of other members.
func (n *Node) Lexicon() lexicon.Status { return n.lexicon.Status() }

// learnWords keeps up with the words of the members that there are links to.
func (n *Node) learnWords(ctx context.Context) error {
	return n.lexicon.Run(ctx, lexicon.Options{Caller: n.route, Linked: n.links.linked, Member: n.isMember, Logger: n.log})
}

// AddDocument publishes a document without a file and returns its id.
func (n *Node) AddDocument(ctx context.Context, d search.Document) (string, error) {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	d.ID = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]))
	d.Folder, d.Path, d.Type = "", "", search.TypeDocument
	d.Size, d.Modified = int64(len(d.Text)), time.Now()
	if err := n.Publish(ctx, []search.Document{d}); err != nil {
		return "", err
	}
	return d.ID, nil
}

// Publish makes documents findable that have an id already. One with the id of an
// earlier document replaces it.
func (n *Node) Publish(ctx context.Context, docs []search.Document) error {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := n.index.Put(ctx, docs); err != nil {
		return err
	}
	e := Published{Count: len(docs)}
	if len(docs) == 1 {
		e.ID, e.Title = docs[0].ID, docs[0].Title
	}
	n.events.publish(e)
	return nil
}

// RemoveDocument withdraws a document of this node. Files are not documents in
// this sense: they go with their folder.
func (n *Node) RemoveDocument(ctx context.Context, id string) error {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	d, err := n.index.Document(ctx, id)
	if err == nil && d.Folder != "" {
		err = search.ErrNotFound
	}
	if err == nil {
		err = n.index.Remove(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("node: remove document %s: %w", id, err)
	}
	n.events.publish(Withdrawn{ID: id})
	return nil
}

// Document returns a document and who holds it: this node, or the member from, or
// with a zero from the first member that has it.
func (n *Node) Document(ctx context.Context, id string, from p2p.ID) (search.Document, p2p.ID, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return search.Document{}, p2p.ID{}, err
	}
	defer leave()
	if from.IsZero() || from == n.id {
		d, err := n.index.Document(ctx, id)
		if err == nil || from == n.id || !errors.Is(err, search.ErrNotFound) {
			return d, n.id, err
		}
	}
	ask := []p2p.ID{from}
	if from.IsZero() {
		ask = nil
		for _, m := range n.searched() {
			ask = append(ask, m.ID)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		d    search.Document
		from p2p.ID
		err  error
	}
	answers := make(chan answer, len(ask)) // sends never block
	for _, m := range ask {
		asking.Go(func() {
			d, err := search.Fetch(ctx, n.route, m, id)
			answers <- answer{d, m, err}
		})
	}
	failed := fmt.Errorf("node: document %s: %w", id, search.ErrNotFound)
	for range ask {
		a := <-answers
		if a.err == nil {
			return a.d, a.from, nil
		}
		// Who is off does not have it now.
		if !errors.Is(a.err, search.ErrNotFound) && (!from.IsZero() || !errors.Is(a.err, p2p.ErrUnreachable)) {
			failed = a.err
		}
	}
	return search.Document{}, p2p.ID{}, failed
}
