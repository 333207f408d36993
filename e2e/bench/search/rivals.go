package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// rivals starts the process of the other programs, which end ends.
func rivals(ctx context.Context, dir string, words, queries []string) (all []*contender, end func(), err error) {
	files := map[string][]string{"words.txt": words, "queries.txt": queries}
	for name, list := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(list, "\n")), 0o644); err != nil {
			return nil, nil, err
		}
	}
	program := filepath.Join(dir, "rivals")
	build := exec.CommandContext(ctx, "go", "build", "-C", "e2e/bench/search/rivals", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("go build (run this from the root of the repository): %w: %s", err, out)
	}
	c := exec.CommandContext(ctx, program, filepath.Join(dir, "words.txt"), filepath.Join(dir, "queries.txt"))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	end = func() {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			fmt.Fprintln(os.Stderr, "rivals:", err)
		}
	}
	answers := json.NewDecoder(bufio.NewReader(out))
	for range 2 {
		var r struct {
			Name  string
			Build time.Duration
			Bytes int64
			Found int
		}
		if err := answers.Decode(&r); err != nil {
			end()
			return nil, nil, fmt.Errorf("rivals: %w", err)
		}
		all = append(all, &contender{
			name: r.Name, build: []time.Duration{r.Build}, bytes: r.Bytes, note: fmt.Sprint(r.Found, " words found for all queries"),
			round: func() (times []time.Duration, err error) {
				if _, err := io.WriteString(in, r.Name+"\n"); err != nil {
					return nil, err
				}
				err = answers.Decode(&times)
				return times, err
			},
		})
	}
	return all, end, nil
}

// more adds the words of a file of a Debian package, whose name is the first part of the
// path.
func more(ctx context.Context, dir, path string, l *lexicon) error {
	name, file, _ := strings.Cut(path, "/")
	at, err := deb(ctx, dir, name)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(at, file))
	if err != nil {
		return err
	}
	return errors.Join(lines(f, func(line string) { l.add(strings.ToLower(line), 1) }), f.Close())
}
