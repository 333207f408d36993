package server

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Of all conflicts that are resolved at once, those that somebody else has resolved meanwhile are no
// error, and do not hide what is one.
func TestOnlyGone(t *testing.T) {
	gone := fmt.Errorf("conflict 7: %w", replica.ErrNotFound)
	other := fmt.Errorf("conflict at a.txt: a.txt: %w", replica.ErrNotHere)
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{gone, true},
		{other, false},
		{fmt.Errorf("replica: folder: resolve: %w", errors.Join(gone, gone)), true},
		{fmt.Errorf("replica: folder: resolve: %w", errors.Join(gone, other)), false},
	} {
		if got := onlyGone(test.err); got != test.want {
			t.Errorf("onlyGone(%v) = %v", test.err, got)
		}
	}
}
