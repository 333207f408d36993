package lesson

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Delay is how long a message takes from one node to another.
const Delay = 10 * time.Millisecond

// A Line is something that happened on a stage.
type Line struct {
	At   time.Duration `json:"at"`
	From string        `json:"from"`
	To   []string      `json:"to,omitempty"` // of a message
	Text string        `json:"text"`
}

// Stage is a network of named nodes in virtual time. Whatever happens on it is a Line.
type Stage struct {
	now   time.Duration
	queue queue
	seq   int
	down  map[string]bool
	cut   map[[2]string]bool
	lines []Line
}

// NewStage returns a stage on which nothing has happened.
func NewStage() *Stage {
	return &Stage{down: map[string]bool{}, cut: map[[2]string]bool{}}
}

// After does something later.
func (s *Stage) After(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now + d, s.seq, do})
}

// Send carries a message. Who is down, or cut off, does not get it.
func (s *Stage) Send(from, to, text string, deliver func()) {
	s.add(Line{At: s.now, From: from, To: []string{to}, Text: text})
	lost := s.cut[[2]string{from, to}] || s.cut[[2]string{to, from}]
	s.After(Delay, func() {
		if lost || s.down[to] {
			s.Say(to, "does not get it: "+text)
			return
		}
		deliver()
	})
}

// Say writes down what a node does or finds out.
func (s *Stage) Say(who, text string) { s.add(Line{At: s.now, From: who, Text: text}) }

// Down switches a node off, or on again.
func (s *Stage) Down(who string, off bool) { s.down[who] = off }

// IsDown reports whether a node is off.
func (s *Stage) IsDown(who string) bool { return s.down[who] }

// Cut parts two nodes, or brings them together again.
func (s *Stage) Cut(a, b string, off bool) { s.cut[[2]string{a, b}] = off }

// add joins messages that one node sends to several at once.
func (s *Stage) add(l Line) {
	if n := len(s.lines) - 1; n >= 0 && len(l.To) > 0 {
		last := &s.lines[n]
		if last.At == l.At && last.From == l.From && last.Text == l.Text && len(last.To) > 0 && !slices.Contains(last.To, l.To[0]) {
			last.To = append(last.To, l.To...)
			return
		}
	}
	s.lines = append(s.lines, l)
}

// Run lets everything happen up to a time, or until nothing is left to happen.
func (s *Stage) Run(until time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= until {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
}

// Lines returns what has happened.
func (s *Stage) Lines() []Line { return s.lines }

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

// Render returns what a story shows: its title, its text, and what happens, with the
// notes where they belong.
func Render(s Story, lines []Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\n", s.Title, s.Text)
	notes := s.Notes
	note := func(upTo time.Duration) {
		for len(notes) > 0 && notes[0].At <= upTo {
			fmt.Fprintf(&b, "\n%s\n\n", indent(notes[0].What, "          "))
			notes = notes[1:]
		}
	}
	for _, l := range lines {
		note(l.At)
		who := l.From
		if len(l.To) > 0 {
			who += " → " + strings.Join(l.To, ", ")
		}
		fmt.Fprintf(&b, "%5d ms  %-14s %s\n", l.At.Milliseconds(), who, l.Text)
	}
	note(1 << 62)
	return b.String()
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(text, "\n", "\n"+by)
}
