package migrations

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestReadOrdersByNumber(t *testing.T) {
	fsys := fstest.MapFS{
		"0010_state_late.sql":   {Data: []byte("late")},
		"0002_state_early.sql":  {Data: []byte("early")},
		"0003_index_other.sql":  {Data: []byte("other")},
		"migrations.go":         {Data: []byte("package migrations")},
		"0001_state_a_noun.sql": {Data: []byte("first")},
	}
	steps, err := read(fsys, "state")
	if err != nil {
		t.Fatal(err)
	}
	want := []Migration{
		{"0001_state_a_noun.sql", "first"},
		{"0002_state_early.sql", "early"},
		{"0010_state_late.sql", "late"},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("read = %v, want %v", steps, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tc := range []struct{ names, want string }{
		{"0001_state.sql", "not named"},
		{"1_state_node.sql", "not named"},
		{"0001_cache_node.sql", "not named"},
		{"0001_state_.sql", "not named"},
		{"00x1_state_node.sql", "number"},
		{"0001_state_node.sql 0001_index_search.sql", "same number"},
	} {
		fsys := make(fstest.MapFS)
		for _, name := range strings.Fields(tc.names) {
			fsys[name] = &fstest.MapFile{}
		}
		if _, err := read(fsys, "state"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.names, err, tc.want)
		}
	}
}

func TestForTakesEveryFile(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var taken int
	for _, database := range []string{"state", "dht", "index"} {
		steps, err := For(database)
		if err != nil {
			t.Fatal(err)
		}
		taken += len(steps)
		for _, step := range steps {
			if strings.TrimSpace(step.SQL) == "" {
				t.Errorf("%s is empty", step.Name)
			}
		}
	}
	if taken != len(entries) {
		t.Errorf("%d of %d files belong to a database", taken, len(entries))
	}
}
