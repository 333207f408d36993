package story

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// world is the network of a story.
type world struct {
	network   *sim.Network
	lines     []Line
	open      bool // nodes choose their places
	root      dht.Root
	rules     dht.Rules
	replicas  int
	seed      uint64
	admitted  int // members so far: each gets another number
	last      outcome
	group     *[]writing // of the block "together" that is being read
	indexes   []*index
	published int // entries at words

	dialing sync.Mutex // held while two nodes are linked

	mu       sync.Mutex // guards all following fields, and those of nodes that say so
	now      time.Time
	nodes    []*node
	members  []dht.Member
	cuts     map[[2]p2p.ID]bool
	messages []dht.Step // that are not shown yet
	opened   int        // links so far
}

// outcome is what the last operation has come to.
type outcome struct {
	values []string
	status string
	trace  dht.Trace
	needs  int
	// segments of an index, as they are shown
	asked, kept, refused []string
	keys                 []int // that were asked in each step, or at which something was put
}

// Play plays a story, until it ends or ctx does, and returns what is to be shown, also when
// it fails. An expectation that does not hold is a line and no error: see Wrong. Errors:
// ErrStory.
func Play(ctx context.Context, s Story) ([]Line, error) {
	w := &world{
		network: sim.New(sim.Options{}), replicas: dht.DefaultReplicas, seed: 1,
		now: time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC), cuts: map[[2]p2p.ID]bool{},
	}
	defer w.end()
	for _, step := range s.steps {
		if step.note != "" {
			w.add(Line{Kind: KindNote, Text: step.note})
			continue
		}
		w.add(Line{Kind: KindDo, Text: step.text})
		if err := w.do(ctx, step.words); err != nil {
			w.flush()
			if ctx.Err() != nil {
				return w.lines, fmt.Errorf("%w: line %d: it takes too long: %w", ErrStory, step.line, ctx.Err())
			}
			return w.lines, fmt.Errorf("%w: line %d: %s: %w", ErrStory, step.line, step.words[0], err)
		}
		if len(w.lines) > maxLines {
			return w.lines[:maxLines], fmt.Errorf("%w: line %d: more than %d lines would be shown", ErrStory, step.line, maxLines)
		}
	}
	if w.group != nil {
		return w.lines, fmt.Errorf(`%w: "together" without "end"`, ErrStory)
	}
	return w.lines, nil
}

// Wrong counts expectations that did not hold.
func Wrong(lines []Line) (n int) {
	for _, l := range lines {
		if l.Kind == KindWrong {
			n++
		}
	}
	return n
}

// pass lets time pass. Each command takes a millisecond, and each turn of those that write
// together.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) end() {
	for _, n := range w.nodes {
		if n.up {
			n.stop()
		}
	}
}

func (w *world) add(l Line) { w.lines = append(w.lines, l) }

func (w *world) say(format string, args ...any) {
	w.add(Line{Kind: KindResult, Text: fmt.Sprintf(format, args...)})
}

// flush shows the messages that have been sent, by operation, round and name: those of one
// round travel at the same time.
func (w *world) flush() {
	w.mu.Lock()
	messages := w.messages
	w.messages = nil
	w.mu.Unlock()
	place := map[p2p.ID]int{}
	for i, n := range w.nodes {
		place[n.member.ID] = i
	}
	slices.SortStableFunc(messages, func(a, b dht.Step) int {
		return cmp.Or(place[a.From]-place[b.From], cmp.Compare(a.Number, b.Number), a.Round-b.Round, place[a.To]-place[b.To])
	})
	for _, s := range messages {
		w.add(Line{Kind: KindMessage, Round: s.Round, From: w.nameOf(s.From), To: w.nameOf(s.To), Text: describe(s)})
	}
}

func describe(s dht.Step) string {
	what := "record"
	if s.Proto == dht.ProtoGet {
		what = "question"
	}
	said := s.Outcome
	if s.Failed {
		said = "no answer"
	}
	if n, ok := strings.CutSuffix(said, " records"); ok {
		said = many(atoi(n), "record")
	}
	if s.Proto == tracker.Proto {
		return fmt.Sprintf("%s, %d bytes: %s, %d bytes", s.Operation, s.Out, said, s.In)
	}
	if s.From == s.To {
		return fmt.Sprintf("%s, %s, no message: %s", s.Operation, many(s.Items, what), said)
	}
	return fmt.Sprintf("%s, %s, %d bytes: %s, %d bytes", s.Operation, many(s.Items, what), s.Out, said, s.In)
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// cost says what an operation took.
func cost(t dht.Trace) string {
	return fmt.Sprintf("%s, %s, %d bytes", many(t.Rounds, "round"), many(t.Messages, "message"), t.Bytes)
}

// do carries out a command.
func (w *world) do(ctx context.Context, words []string) error {
	verbs := map[string]func(context.Context, *args) error{
		"network": w.doNetwork, "replicas": w.doReplicas, "root": w.doRoot, "rules": w.doRules, "seed": w.doSeed,
		"nodes": w.doNodes, "node": w.doNode,
		"put": w.doPut, "add": w.doPut, "append": w.doAppend, "vput": w.doVPut,
		"get": w.doGet, "digest": w.doGet, "remove": w.doRemove, "renew": w.doRenew, "and": w.doAnd,
		"together": w.doTogether, "end": w.doEnd,
		"crash": w.doCrash, "return": w.doReturn, "leave": w.doLeave, "cut": w.doCut, "mend": w.doCut,
		"repair": w.doRepair, "wait": w.doWait, "who": w.doWho, "show": w.doShow, "links": w.doLinks,
		"index": w.doIndex, "insert": w.doInsert, "range": w.doRange, "erase": w.doErase,
		"publish": w.doPublish, "find": w.doFind,
		"share": w.doShare, "withdraw": w.doWithdraw, "update": w.doUpdate, "query": w.doQuery, "get_seed": w.doGetSeed,
		"send": w.doSend, "grind": w.doGrind, "lie": w.doLie, "admissions": w.doAdmissions, "expect": w.doExpect,
	}
	do := verbs[words[0]]
	switch {
	case do == nil:
		return fmt.Errorf("there is no such command")
	case w.group != nil && !slices.Contains([]string{"put", "add", "append", "vput", "insert", "end"}, words[0]):
		return fmt.Errorf(`nothing but writes can be between "together" and "end"`)
	}
	w.pass(time.Millisecond)
	a := &args{w: w, verb: words[0], words: words[1:]}
	if err := do(ctx, a); err != nil {
		return err
	}
	if len(a.words) > 0 {
		return fmt.Errorf("%.40q is one word too many", a.words[0])
	}
	return ctx.Err()
}

// args are the words of a command that have not been read yet.
type args struct {
	w     *world
	verb  string
	words []string
}

func (a *args) next(what string) (string, error) {
	if len(a.words) == 0 {
		return "", fmt.Errorf("%s is missing", what)
	}
	word := a.words[0]
	a.words = a.words[1:]
	return word, nil
}

// is takes a word if it is the next one.
func (a *args) is(word string) bool {
	if len(a.words) == 0 || a.words[0] != word {
		return false
	}
	a.words = a.words[1:]
	return true
}

// one takes one of two words, and reports whether it is the second.
func (a *args) one(first, second string) (bool, error) {
	word, err := a.next(first + " or " + second)
	if err == nil && word != first && word != second {
		err = fmt.Errorf("%.40q is not %s or %s", word, first, second)
	}
	return word == second, err
}

func (a *args) number(what string, least, most int) (int, error) {
	word, err := a.next(what)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%.40q is not %s from %d to %d", word, what, least, most)
	}
	return n, nil
}

// node takes the name of a node, which runs.
func (a *args) node() (*node, error) {
	n, err := a.anybody()
	if err == nil && !n.up {
		err = fmt.Errorf("%s is not running", n.name)
	}
	return n, err
}

func (a *args) anybody() (*node, error) {
	word, err := a.next("the name of a node")
	if err != nil {
		return nil, err
	}
	for _, n := range a.w.nodes {
		if n.name == word {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %.40q", word)
}

// key takes the name of a key, or a place in the key space.
func (a *args) key() (p2p.Key, string, error) {
	word, err := a.next("a key")
	if err != nil {
		return p2p.Key{}, "", err
	}
	if number, ok := strings.CutPrefix(word, "#"); ok {
		k, err := placeAt(number)
		return k, word, err
	}
	return dht.KeyOf(word), word, nil
}

// placeAt returns a place in the key space, counted from its beginning.
func placeAt(number string) (k p2p.Key, err error) {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return k, fmt.Errorf("%.40q is no number of a place", number)
	}
	for i := range 4 {
		k[len(k)-1-i] = byte(n >> (8 * i))
	}
	return k, nil
}

func (a *args) value() (string, error) {
	text, err := a.next("a value")
	if err == nil && len(text) > maxValue {
		err = fmt.Errorf("a value of %d bytes, at most %d", len(text), maxValue)
	}
	return text, err
}

func (a *args) duration() (time.Duration, error) {
	word, err := a.next("a time such as 10s")
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 || d > dht.MaxTTL {
		return 0, fmt.Errorf("%.40q is no time such as 10s", word)
	}
	return d, nil
}

// options are what can stand at the end of many commands.
type options struct {
	domain, content  p2p.Key
	ttl              time.Duration
	protect          dht.Protect
	padded           int
	absent, majority bool
}

func (a *args) options() (o options, err error) {
	for len(a.words) > 0 && err == nil {
		word := a.words[0]
		a.words = a.words[1:]
		switch word {
		case "domain":
			if !a.is("of") {
				o.domain, _, err = a.key()
				continue
			}
			var n *node
			if n, err = a.anybody(); err == nil {
				o.domain = dht.KeyOfOwner(n.identity.PublicKey())
			}
		case "content":
			o.content, _, err = a.key()
		case "ttl":
			o.ttl, err = a.duration()
		case "protect":
			var entry bool
			entry, err = a.one("domain", "entry")
			o.protect |= map[bool]dht.Protect{false: dht.ProtectDomain, true: dht.ProtectEntry}[entry]
		case "padded":
			o.padded, err = a.number("a number of bytes", 1, maxValue)
		case "absent":
			o.absent = true
		case "majority":
			o.majority = true
		default:
			return o, fmt.Errorf("%.40q is no option", word)
		}
	}
	return o, err
}

// address of what a key and options name.
func (o options) address(location p2p.Key) dht.Address {
	return dht.Address{Location: location, Domain: o.domain, Content: o.content}
}

// pad makes a value longer.
func (o options) pad(value string) []byte {
	if missing := o.padded - len(value); missing > 0 {
		value += strings.Repeat(".", missing)
	}
	return []byte(value)
}

// short shows a value.
func short(value string) string {
	text := strings.TrimRight(value, ".")
	if len(value)-len(text) > 3 {
		return fmt.Sprintf("%q… (%d bytes)", text, len(value))
	}
	return strconv.Quote(value)
}

func shorts(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	var out []string
	for _, v := range values {
		out = append(out, short(v))
	}
	return strings.Join(out, ", ")
}
