package extract

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain makes the test's own binary the child's program. The argument "probe"
// makes it one that tries what a child must not be able to do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Verb:
			os.Exit(Main())
		case "probe":
			os.Exit(probe())
		case "eat":
			os.Exit(eat(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

func self(t testing.TB, args ...string) []string {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{me}, args...)
}

// reader returns a Reader whose child is this binary.
func reader(t testing.TB, o Options) *Reader {
	t.Helper()
	if o.Command == nil {
		o.Command = self(t, Verb)
	}
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

// readBytes reads a file that has a content.
func readBytes(t testing.TB, r *Reader, name string, content []byte) Text {
	t.Helper()
	got, err := r.Read(context.Background(), name, bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return got
}
