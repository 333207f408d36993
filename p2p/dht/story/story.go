package story

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed stories/*.story
var files embed.FS

// ErrStory: a story that cannot be played. What is returned wraps it and says why, and in
// which line.
var ErrStory = errors.New("not a story")

// Limits of a story: it is looked at by a person, and may come from a stranger.
const (
	MaxStory    = 64 << 10 // bytes
	MaxNodes    = 64       // that there ever are
	MaxCommands = 500
	maxValue    = 1 << 10 // bytes
	maxLines    = 10_000  // of what is shown
)

// A Story is commands and what is told between them.
type Story struct {
	Name  string
	Title string
	File  string // all of it, as it was read
	steps []step
}

// step is a command, or a paragraph of the narration.
type step struct {
	line  int    // of the file
	note  string // a paragraph; "": a command
	text  string // of the command
	words []string
}

// Stories returns those that come with the program, in their order. Errors: ErrStory.
func Stories() ([]Story, error) {
	entries, err := files.ReadDir("stories")
	if err != nil {
		return nil, fmt.Errorf("story: list: %w", err)
	}
	var out []Story
	for _, e := range entries {
		text, err := files.ReadFile("stories/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("story: read %s: %w", e.Name(), err)
		}
		s, err := ParseStory(string(text))
		if err != nil {
			return nil, fmt.Errorf("story %s: %w", e.Name(), err)
		}
		s.Name = strings.TrimSuffix(path.Base(e.Name()), ".story")
		out = append(out, s)
	}
	return out, nil
}

// ParseStory reads a story: a command in each line, the first of which is "title TEXT".
// Lines that begin with # are the narration, which ends a paragraph with an empty line or a
// command. Words with spaces are in double quotes, with the escapes of Go. KEY is a name, or
// # and a number, which is a place in the key space. The commands:
//
//	network open|closed             who decides where a node stands: it does, or its admission
//	replicas N                      how many are to keep a record
//	root zero|every                 who sees to the copies
//	rules domain|entry all|none master|first
//	seed N                          of the order in which those of "together" come
//	nodes N                         N more nodes, with names
//	node NAME [position P]          one more, at P if that is given: a number, or beside KEY
//	put NODE KEY VALUE [OPTION…]    add NODE KEY VALUE [OPTION…]
//	get NODE KEY [OPTION…]          digest NODE KEY [OPTION…]
//	remove NODE KEY [OPTION…]       renew NODE KEY ttl 20s [OPTION…]
//	and NODE KEY KEY                what is in two sets
//	append NODE KEY TEXT            get, then put with more text
//	vput NODE KEY set VALUE | append TEXT | merge [optimistic]
//	index NAME dst|pht|buckets keys FROM..TO [OPTION…]
//	                                an order of entries; options: leaf N (keys of the smallest
//	                                segments), room N (entries of a segment)
//	insert NODE INDEX KEY VALUE     erase NODE INDEX KEY VALUE
//	range NODE INDEX FROM..TO [descending] [limit N]
//	show index INDEX                what is at which segment
//	publish NODE DOCUMENT at "WORD …" [OPTION…]
//	                                a document at its words; FROM..TO is one for each number.
//	                                Options: pairs (each two words too), similar N (edits that
//	                                words can be away), padded N
//	find NODE "WORD …" [any] [by lists|sequential|parallel|pairs] [similar N]
//	share NODE FILE [part|wanted] [tracker NODE…]
//	                                it has a seed, a part of it, or nothing yet, and says so
//	update NODE                     it says what has changed, and that the rest holds
//	query NODE FILE                 who has it?
//	get_seed NODE FILE              what is it?
//	withdraw NODE FILE
//	together … end                  the writes between them at the same time
//	crash NODE, return NODE, leave NODE, cut NODE NODE, mend NODE NODE
//	repair [NODE], wait 10s, who KEY, show copies KEY, links
//	send NODE NODE TEXT             a message past the table
//	grind NAME N KEY                a node with the best of N identities for standing beside KEY
//	lie NODE… KEY VALUE             from now on these say VALUE, together
//	admissions KEY                  how many an attacker would need
//	expect …                        see below
//
// Options are: domain of NODE, domain NAME, content NAME, ttl 10s, protect domain, protect
// entry, absent, padded N (to so many bytes), majority (of reads).
//
// Expectations are: status TEXT; value VALUE…; values N; nothing; has WORD… and lost WORD…
// (all of them, not all of them are in what the last get has found); messages N; rounds N; links
// N; copies KEY N; keeps KEY NODE… (nearest first); needs N (at least so many admissions);
// kept SEGMENT… and refused SEGMENT… (of the last insert), asked SEGMENT… (of the last range);
// keys N… (at which the last publish has put something; that the last find has asked, in each step).
//
// Errors: ErrStory.
func ParseStory(text string) (Story, error) {
	s := Story{File: text}
	switch {
	case len(text) > MaxStory:
		return s, fmt.Errorf("%w: %d bytes, at most %d", ErrStory, len(text), MaxStory)
	case !utf8.ValidString(text):
		return s, fmt.Errorf("%w: not UTF-8", ErrStory)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) && !strings.ContainsRune("\n\r\t", r) }):
		return s, fmt.Errorf("%w: a character that cannot be shown", ErrStory)
	}
	var note []string
	commands := 0
	endNote := func(line int) {
		if len(note) > 0 {
			s.steps = append(s.steps, step{line: line, note: strings.Join(note, " ")})
		}
		note = nil
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "#"); ok {
			if said = strings.TrimSpace(said); said != "" {
				note = append(note, said)
			} else {
				endNote(i + 1)
			}
			continue
		}
		endNote(i)
		if line == "" {
			continue
		}
		if title, ok := strings.CutPrefix(line, "title "); ok && s.Title == "" {
			s.Title = strings.TrimSpace(title)
			continue
		}
		words, err := split(line)
		if err != nil {
			return s, fmt.Errorf("%w: line %d: %w", ErrStory, i+1, err)
		}
		if commands++; commands > MaxCommands {
			return s, fmt.Errorf("%w: more than %d commands", ErrStory, MaxCommands)
		}
		s.steps = append(s.steps, step{line: i + 1, text: line, words: words})
	}
	endNote(0)
	if s.Title == "" {
		return s, fmt.Errorf(`%w: no line "title …"`, ErrStory)
	}
	return s, nil
}

// split cuts a line into words.
func split(line string) (words []string, err error) {
	for line != "" {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, errors.New("quotes that do not end")
			}
			word, err := strconv.Unquote(quoted)
			if err != nil || !utf8.ValidString(word) {
				return nil, fmt.Errorf("%s is no text in double quotes", quoted)
			}
			words, line = append(words, word), strings.TrimLeft(line[len(quoted):], " \t")
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), strings.TrimLeft(line[end:], " \t")
	}
	return words, nil
}
