package search

import "time"

// Listed is what is known of a document without its text.
type Listed struct {
	ID, Title, Folder, Path, Type string
	Size                          int64
	Modified                      time.Time
	Words                         int // of the text
}

// List returns all documents of the index, in no order.
func (x *Index) List() []Listed {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make([]Listed, 0, len(x.slots))
	for i := range x.docs {
		d := &x.docs[i]
		if d.id != "" {
			out = append(out, Listed{
				ID: d.id, Title: d.title, Folder: d.folder, Path: d.path, Type: d.kind,
				Size: d.size, Modified: time.Unix(0, d.modified).UTC(), Words: int(x.sizes[i].words),
			})
		}
	}
	return out
}
