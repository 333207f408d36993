package folder

import "time"

// Added tells that a folder is shared.
type Added struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Path  string `json:"path"`
}

// Removed tells that a folder is no longer shared.
type Removed struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

// Changed tells that something about a folder, or in it, is different: state,
// label, files.
type Changed struct {
	ID      string `json:"id"`
	Label   string `json:"label"`
	State   State  `json:"state"`
	Access  string `json:"access"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Error   string `json:"error"`
	Warning string `json:"warning"`

	NeedFiles int   `json:"need_files"`
	NeedBytes int64 `json:"need_bytes"`
	Conflicts int   `json:"conflicts"`
}

// Scanning tells how far a complete scan has come, four times a second at most.
type Scanning struct {
	ID    string `json:"id"`
	Files int    `json:"files"` // looked at
	Bytes int64  `json:"bytes"` // of these files
	Read  int64  `json:"read"`  // bytes that had to be read
	Done  bool   `json:"done"`
}

// Scanned tells that a complete scan has ended well.
type Scanned struct {
	ID      string `json:"id"`
	Files   int    `json:"files"` // now in the folder
	Bytes   int64  `json:"bytes"`
	Changed int    `json:"changed"` // entries that are different in the index, new ones among them
	Removed int    `json:"removed"`
	Skipped int    `json:"skipped"`
	Took    int64  `json:"took_ms"`
}

// Failed tells that a folder has come into StateError.
type Failed struct {
	ID    string    `json:"id"`
	Label string    `json:"label"`
	Error string    `json:"error"`
	Time  time.Time `json:"time"`
}

// Topic implements p2p.Event.
func (Added) Topic() string { return "folder.added" }

// Topic implements p2p.Event.
func (Removed) Topic() string { return "folder.removed" }

// Topic implements p2p.Event.
func (Changed) Topic() string { return "folder.changed" }

// Topic implements p2p.Event.
func (Scanning) Topic() string { return "folder.scanning" }

// Topic implements p2p.Event.
func (Scanned) Topic() string { return "folder.scanned" }

// Topic implements p2p.Event.
func (Failed) Topic() string { return "folder.error" }
