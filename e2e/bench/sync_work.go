package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	fewFiles, fewDirs   = 10_000, 100
	manyFiles, manyDirs = 100_000, 1000
	bigSize             = 256 << 20
)

// arrive puts a prepared directory or file into the folder of the first side, in one
// step, so that the time does not depend on who writes it.
func (r *round) arrive(prepared, name string) func() error {
	return func() error { return os.Rename(prepared, filepath.Join(r.folders()[0], name)) }
}

// fresh makes n files appear in the first folder.
func (r *round) fresh(ctx context.Context, name string, n, size, dirs int) error {
	prepared := filepath.Join(r.dir, "files")
	if err := r.content.fill(prepared, "files", n, size, dirs, r.seed); err != nil {
		return err
	}
	return r.do(ctx, step{name: name, change: r.arrive(prepared, "files"), expect: r.content.wants()})
}

// files is many small ones: all new, some edited, all moved.
func (r *round) files(ctx context.Context) error {
	if err := r.fresh(ctx, "10,000 files of 4 KiB, fresh", fewFiles, 4<<10, fewDirs); err != nil {
		return err
	}
	if err := r.editSome(ctx); err != nil {
		return err
	}
	from, to := filepath.Join(r.folders()[0], "files"), filepath.Join(r.folders()[0], "moved")
	return r.do(ctx, step{
		name: "rename a directory of 10,000 files", change: func() error { return os.Rename(from, to) },
		expect: r.content.move("files", "moved"),
	})
}

// editSome appends to one file in each of the directories.
func (r *round) editSome(ctx context.Context) error {
	var expect []wanted
	for path := range r.content {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.dat", &n); err != nil {
			return fmt.Errorf("number of %s: %w", path, err)
		}
		if n/fewDirs == n%fewDirs { // one in each directory
			expect = append(expect, wanted{path, r.content[path].size + int64(len(addition))})
		}
	}
	return r.do(ctx, step{name: "100 of them edited", expect: expect, change: func() error {
		for _, w := range expect {
			if err := r.append(0, w.path); err != nil {
				return err
			}
		}
		return nil
	}})
}

// addition is what an edit appends.
const addition = "one more line\n"

// append edits a file on a side.
func (r *round) append(side int, path string) error {
	full := filepath.Join(r.folders()[side], path)
	f, err := os.OpenFile(full, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // what counts is whether it arrives
	if _, err := f.WriteString(addition); err != nil {
		return err
	}
	r.content[path], err = hashFile(full)
	return err
}

// large is files that are more than one moment's work.
func (r *round) large(ctx context.Context) error {
	first, err := r.big("big-0", r.seed*2)
	if err != nil {
		return err
	}
	if _, err := r.big("big-1", r.seed*2+1); err != nil {
		return err
	}
	err = r.do(ctx, step{
		name: "2 files of 256 MiB, fresh", mb: 2 * bigSize / 1e6, expect: r.content.wants(),
		change: func() error {
			if err := r.arrive(filepath.Join(r.dir, "big-0"), "big-0")(); err != nil {
				return err
			}
			return r.arrive(filepath.Join(r.dir, "big-1"), "big-1")()
		},
	})
	if err != nil {
		return err
	}
	if err := r.replace(ctx, "1 byte inserted before 256 MiB", slices.Concat([]byte("x"), first)); err != nil {
		return err
	}
	if err := r.replace(ctx, "100 inserts of 100 bytes in 256 MiB", scatter(first, r.seed)); err != nil {
		return err
	}
	dir := r.folders()[0]
	return r.do(ctx, step{
		name: "rename a file of 256 MiB", expect: r.content.move("big-1", "renamed"),
		change: func() error { return os.Rename(filepath.Join(dir, "big-1"), filepath.Join(dir, "renamed")) },
	})
}

// big prepares a file of random bytes.
func (r *round) big(name string, seed uint64) ([]byte, error) {
	data, err := noise(bigSize, seed)
	if err != nil {
		return nil, err
	}
	return data, r.prepare(name, data)
}

func noise(size int64, seed uint64) ([]byte, error) {
	data := make([]byte, size)
	_, err := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 'b'}).Read(data)
	return data, err
}

func (r *round) prepare(name string, data []byte) error {
	r.content[name] = file{int64(len(data)), sha256.Sum256(data)}
	return os.WriteFile(filepath.Join(r.dir, name), data, 0o644)
}

// replace saves the first large file anew, as editors do.
func (r *round) replace(ctx context.Context, name string, data []byte) error {
	if err := r.prepare("big-0", data); err != nil {
		return err
	}
	return r.do(ctx, step{
		name: name, change: r.arrive(filepath.Join(r.dir, "big-0"), "big-0"),
		expect: []wanted{{"big-0", int64(len(data))}},
	})
}

// scatter inserts 100 bytes at 100 places.
func scatter(data []byte, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 5))
	places := make([]int, 100)
	for i := range places {
		places[i] = r.IntN(len(data))
	}
	slices.Sort(places)
	out := make([]byte, 0, len(data)+100*len(places))
	at := 0
	for _, place := range places {
		out = append(out, data[at:place]...)
		for range 100 {
			out = append(out, byte(r.Uint32()))
		}
		at = place
	}
	return append(out, data[at:]...)
}

// many is so many files that memory and state count.
func (r *round) many(ctx context.Context) error {
	if err := r.fresh(ctx, "100,000 files of 1 KiB, fresh", manyFiles, 1<<10, manyDirs); err != nil {
		return err
	}
	last := r.outcomes[len(r.outcomes)-1]
	r.outcomes = append(r.outcomes, outcome{Step: "most resident memory meanwhile", Who: r.who, Unit: "MiB", Got: max(last.Peak[0], last.Peak[1]), Peak: last.Peak, Sampled: last.Sampled, Anonymous: last.Anonymous})
	p, ok := r.pair.(*shoalPair)
	if !ok {
		return nil
	}
	if err := p.stop(); err != nil {
		return err
	}
	for _, name := range []string{"state.db", "index.db"} {
		sizes, err := p.stateSizes(name)
		if err != nil {
			return err
		}
		r.outcomes = append(r.outcomes, outcome{Step: name + ", the larger one", Who: r.who, Unit: "B/file", Got: float64(max(sizes[0], sizes[1])) / manyFiles})
	}
	return nil
}

// latencies is how soon a single change is on the other side, in a folder of 10,000
// files where nothing else happens.
func (r *round) latencies(ctx context.Context) error {
	if err := r.fresh(ctx, "10,000 files of 4 KiB, fresh", fewFiles, 4<<10, fewDirs); err != nil {
		return err
	}
	r.outcomes = nil // the group files has it
	const edits, others = 50, 20
	edited := slices.Sorted(func(yield func(string) bool) {
		for path := range r.content {
			if !yield(path) {
				return
			}
		}
	})[:edits]
	for _, kind := range []struct {
		name   string
		n      int
		change func(i, side int) ([]wanted, error)
	}{
		{"one edit", edits, func(i, side int) ([]wanted, error) {
			err := r.append(side, edited[i])
			return []wanted{{edited[i], r.content[edited[i]].size}}, err
		}},
		{"one new file", others, func(i, side int) ([]wanted, error) { return r.create(i, side) }},
		{"one rename", others, func(i, side int) ([]wanted, error) {
			dir := r.folders()[side]
			from, to := single("new", i), single("renamed", i)
			return r.content.move(from, to), os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))
		}},
		{"one deletion", others, func(i, side int) ([]wanted, error) {
			path := single("renamed", i)
			delete(r.content, path)
			return []wanted{{path, gone}}, os.Remove(filepath.Join(r.folders()[side], path))
		}},
	} {
		if err := r.latency(ctx, kind.name, kind.n, kind.change); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return r.check()
}

// single is the path of a file that is made, renamed and deleted.
func single(what string, i int) string {
	return filepath.Join("files", fmt.Sprintf("%03d", i), fmt.Sprintf("%s-%d.dat", what, i))
}

func (r *round) create(i, side int) ([]wanted, error) {
	path, data := single("new", i), fmt.Appendf(nil, "new file %d of run %d\n", i, r.seed)
	r.content[path] = file{int64(len(data)), sha256.Sum256(data)}
	return []wanted{{path, int64(len(data))}}, os.WriteFile(filepath.Join(r.folders()[side], path), data, 0o644)
}

// latency makes n changes, on one side after the other, and times each.
func (r *round) latency(ctx context.Context, name string, n int, change func(i, side int) ([]wanted, error)) error {
	took := make([]time.Duration, n)
	cpuBefore, wireBefore, err := r.counters(ctx)
	if err != nil {
		return err
	}
	for i := range n {
		if err := rest(ctx, r, 300*time.Millisecond); err != nil {
			return err
		}
		if took[i], err = r.timedOne(ctx, i%2, func() ([]wanted, error) { return change(i, i%2) }); err != nil {
			return err
		}
	}
	cpuAfter, wireAfter, err := r.counters(ctx)
	if err != nil {
		return err
	}
	r.outcomes = append(r.outcomes, outcome{
		Step: name + ", median", Who: r.who, Unit: "ms", Got: ms(quantile(took, .5)), P90: ms(quantile(took, .9)),
		CPU: (cpuAfter - cpuBefore).Seconds() / float64(n), Wire: (wireAfter - wireBefore) / int64(n),
	})
	return nil
}

func (r *round) timedOne(ctx context.Context, side int, change func() ([]wanted, error)) (time.Duration, error) {
	began := time.Now()
	expect, err := change()
	if err != nil {
		return 0, err
	}
	looked := make(chan error, 1)
	go func() { looked <- r.look(ctx, side, filepath.Dir(expect[0].path)) }()
	if err := r.appear(ctx, 1-side, expect, began.Add(stepWithin)); err != nil {
		return 0, err
	}
	return time.Since(began), <-looked
}
