package apply

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// TempName returns the path of the temporary file for a content.
func TempName(h reconcile.Hash) string { return TempDir + "/" + h.String() }

// TrashName returns a path in the trash: by the time (UTC, milliseconds), so that
// names sort by it, with the random number, so that it is free, and with base, the
// name that the file had, so that people recognise it. base is cut where the name
// would be too long, and what is not UTF-8 in it is replaced.
func TrashName(t time.Time, random uint64, base string) string {
	mark := fmt.Sprintf("%s-%08x-", t.UTC().Format("20060102T150405.000"), uint32(random))
	return TrashDir + "/" + mark + reconcile.Cut(clean(base), reconcile.MaxName-len(mark))
}

// clean returns s without what cannot be in a name.
func clean(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	return strings.NewReplacer("/", "_", "\x00", "_").Replace(s)
}

// conflictName returns the name beside name for what must not be lost.
func conflictName(name string, random uint32) string {
	return reconcile.Marked(name, fmt.Sprintf(" (conflict %08x)", random))
}
