package apply_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
)

// seconds are what somebody does who has done something already.
var seconds = map[string]func(d *applytest.MemFS, op apply.Op) error{
	"save": func(d *applytest.MemFS, op apply.Op) error { return save(d, target(op), laterText) },
	"edit": func(d *applytest.MemFS, op apply.Op) error {
		if _, err := d.ReadFile(target(op)); err != nil {
			return err
		}
		return d.WriteFile(target(op), laterText)
	},
	"delete":       persons["delete"],
	"moveParent":   persons["moveParent"],
	"linkParent":   persons["linkParent"],
	"removeParent": persons["removeParent"],
}

// TestRaceTwice lets a person act at two moments: also while what was done is taken
// back.
func TestRaceTwice(t *testing.T) {
	for _, exchange := range []bool{true, false} {
		for name, stage := range scenes(t, exchange) {
			for who, first := range persons {
				for then, second := range seconds {
					t.Run(fmt.Sprintf("%s/%s/%s/exchange=%t", name, who, then, exchange), func(t *testing.T) {
						raceTwice(t, stage, first, second)
					})
				}
			}
		}
	}
}

func raceTwice(t *testing.T, stage func() scene, first, second func(*applytest.MemFS, apply.Op) error) {
	t.Helper()
	for at := 0; ; at++ {
		for later := at; ; later++ {
			s := stage()
			w := owed(s.disk, s.op)
			by := func(act func(*applytest.MemFS, apply.Op) error) {
				if act(s.disk, s.op) == nil {
					w = owed(s.disk, s.op)
				}
			}
			h := &applytest.Hooked{FS: s.disk}
			h.Before = func(n int, _ string) {
				if n == at {
					by(first)
				}
				if n == later {
					by(second)
				}
			}
			_, err := s.op.Run(h)
			if e := errors.Join(w.check(s.disk), rest(s.disk, s.op)); e != nil {
				t.Fatalf("somebody acts before calls %d and %d: %v; Run: %v\n%s", at, later, e, err, s.disk)
			}
			if at >= h.Calls {
				return
			}
			if later >= h.Calls {
				break
			}
		}
	}
}
