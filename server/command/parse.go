package command

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// values reads the values of flags whose own packages refuse them in words for
// programmers.
func values() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		for _, o := range []kong.Option{
			value("not a range such as 192.168.1.0/24", netip.ParsePrefix),
			value("not an address with a port such as 203.0.113.7:4747", netip.ParseAddrPort),
			value("not a time such as 90m or 24h", time.ParseDuration),
			value("not a whole number", strconv.Atoi),
			value("debug, info, warn or error", level),
			value("auto, or a number from 1 to 20", parseCopies),
			value(wantRate, parseRate),
			kong.TypeMapper(reflect.TypeFor[blockLength](), kong.MapperFunc(decodeBlock)),
		} {
			if err := o.Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// value has all flags of type T read by parse; want is said of what it refuses.
func value[T any](want string, parse func(string) (T, error)) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue(ctx.Value.Name)
		if err != nil {
			return err
		}
		text := strings.TrimSpace(token.String())
		v, err := parse(text)
		if err != nil {
			return UsageError{fmt.Sprintf("--%s %s: %s", ctx.Value.Name, text, want)}
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}))
}

// blockLength is the length of blocks that was asked for.
type blockLength int

// decodeBlock reads a number that may be negative: kong takes that for a flag. What
// is wrong with it is said by of.
func decodeBlock(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Pop()
	if token.Type == kong.EOLToken {
		return UsageError{"--block: a value is missing"}
	}
	text := strings.TrimSpace(token.String())
	n, err := strconv.Atoi(text)
	if err != nil {
		return UsageError{fmt.Sprintf("--block %s: not a number of bytes", text)}
	}
	target.Set(reflect.ValueOf(blockLength(n)))
	return nil
}

// of returns the length, or 0 if none was given. It is from 1 to most.
func (b *blockLength) of(most int) (int, error) {
	switch {
	case b == nil:
		return 0, nil
	case *b < 1 || int(*b) > most:
		return 0, UsageError{fmt.Sprintf("--block %d: it is from 1 to %d bytes", *b, most)}
	}
	return int(*b), nil
}

// level reads a level by its name; slog would take INFO+2 too.
func level(text string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(text, l.String()) {
			return l, nil
		}
	}
	return 0, errors.New("no such level")
}

// mistake says what is wrong with a command line in the words of the one who typed
// it.
func mistake(err error) error {
	var usage UsageError
	if errors.As(err, &usage) {
		return usage
	}
	var parse *kong.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	if flag, rest, found := strings.Cut(err.Error(), ": expected "); found && strings.Contains(rest, ` value but got "EOL"`) {
		return UsageError{flag + ": a value is missing"}
	}
	if commandMissing(parse) {
		return UsageError{parse.Context.Selected().Name + ": which command?"}
	}
	word, found := strings.CutPrefix(err.Error(), "unexpected argument ")
	if group := groupOf(parse.Context); found && group != nil {
		return UsageError{unknownCommand(group, word)}
	}
	return err
}

// groupOf returns the node whose command was to be named but was not, so that kong
// went on with the default one; nil if that is not so.
func groupOf(c *kong.Context) *kong.Node {
	at := c.Selected()
	if at == nil || at.Parent == nil || at.Parent.DefaultCmd != at {
		return nil
	}
	for _, name := range append([]string{at.Name}, at.Aliases...) {
		if slices.Contains(c.Args, name) {
			return nil
		}
	}
	return at.Parent
}

// unknownCommand proposes the command of group that word may have been meant for:
// one that begins so, or is two edits away at most.
func unknownCommand(group *kong.Node, word string) string {
	path := ""
	for n := group; n.Parent != nil; n = n.Parent {
		path = n.Name + " " + path
	}
	best, distance := "", 3
	for _, n := range group.Children {
		for _, name := range append([]string{n.Name}, n.Aliases...) {
			d := fastss.Distance(word, name)
			if strings.HasPrefix(name, word) {
				d = min(d, 1)
			}
			if d < min(distance, utf8.RuneCountInString(word)) {
				best, distance = name, d
			}
		}
	}
	if best == "" {
		return fmt.Sprintf("unknown command %s%s", path, word)
	}
	return fmt.Sprintf("unknown command %s%s, did you mean %s%s?", path, word, path, best)
}
