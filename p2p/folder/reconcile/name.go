package reconcile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// oldMark is the mark that a conflict name already carries.
var oldMark = regexp.MustCompile(` \(conflict [a-z2-7]{12} [0-9a-f]{8}( \d+)?\)`)

// conflictName returns the name of a conflict copy of name: with the member who
// wrote the content and the first digits of its hash before the extension, and
// with a number if the first tries were taken. A mark that is there already is
// replaced, and the name is cut so that it is never longer than MaxName.
func conflictName(name string, c Content, try int) string {
	mark := fmt.Sprintf(" (conflict %s %s", c.Made.Member.Short(), c.Hash.String()[:8])
	if try > 0 {
		mark += fmt.Sprintf(" %d", try+1)
	}
	mark += ")"
	return Marked(oldMark.ReplaceAllString(name, ""), mark)
}

// Marked returns name with a mark before its extension, cut so that it is never longer
// than MaxName.
func Marked(name, mark string) string {
	stem, ext := name, ""
	// A leading dot does not begin an extension, and nobody's extension is long.
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 32 {
		stem, ext = name[:i], name[i:]
	}
	return Cut(stem, MaxName-len(mark)-len(ext)) + mark + ext
}

// Cut returns the longest prefix of s that has at most n bytes and whole runes.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Twins returns the groups of paths in v that a file system cannot hold side by
// side. fold maps a name to what the file system compares, for example FoldCase,
// or Unicode's NFC of it; nil means that it compares bytes, and that there are
// none. Only the names of one directory are compared, where directories that are
// twins count as one.
func (v View) Twins(fold func(name string) string) [][]string {
	if fold == nil {
		return nil
	}
	groups := map[string][]string{}
	for p := range v.At {
		key := foldPath(p, fold)
		groups[key] = append(groups[key], p)
	}
	var out [][]string
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if group := groups[key]; len(group) > 1 {
			slices.Sort(group)
			out = append(out, group)
		}
	}
	return out
}

func foldPath(p string, fold func(string) string) string {
	names := strings.Split(p, "/")
	for i, name := range names {
		names[i] = fold(name)
	}
	return strings.Join(names, "/")
}

// FoldCase maps names that differ in case only to one: every rune becomes the
// smallest of those that Unicode's simple folding makes equal.
func FoldCase(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}
