package lesson

import (
	"context"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht/story"
	natlesson "github.com/shoal-p2p/shoal/p2p/nat/lesson"
	paxos "github.com/shoal-p2p/shoal/p2p/paxos/lesson"
	"github.com/shoal-p2p/shoal/p2p/paxos/raftlesson"
)

// stage is a subject whose stories play on the stage of package paxos/lesson.
type stage struct {
	subject string
	cast    string // with which a line of its stories begins
	stories func() ([]paxos.Story, error)
	play    func(paxos.Story) ([]paxos.Line, []p2p.Event, error)
}

var stages = [...]stage{
	{SubjectPaxos, "acceptors:", paxos.Stories, paxos.Play},
	{SubjectRaft, "nodes:", raftlesson.Stories, raftlesson.Play},
	{SubjectNAT, "homes:", natlesson.Stories, natlesson.Play},
}

func (of stage) lesson(name string, s paxos.Story) Lesson {
	return Lesson{Name: name, Title: s.Title, Subject: of.subject, File: s.File, play: func(context.Context) ([]Line, string, error) {
		lines, _, err := of.play(s)
		if err != nil {
			return nil, "", err
		}
		return staged(s, lines), paxos.Render(s, lines), nil
	}}
}

// staged puts the notes of a story where they belong.
func staged(s paxos.Story, lines []paxos.Line) []Line {
	var out []Line
	for paragraph := range strings.SplitSeq(s.Text, "\n\n") {
		out = append(out, Line{Kind: story.KindNote, Text: strings.Join(strings.Fields(paragraph), " ")})
	}
	notes := s.Notes
	note := func(upTo time.Duration) {
		for len(notes) > 0 && notes[0].At <= upTo {
			out = append(out, Line{Kind: story.KindNote, At: notes[0].At.Milliseconds(), Text: strings.Join(strings.Fields(notes[0].What), " ")})
			notes = notes[1:]
		}
	}
	for _, l := range lines {
		note(l.At)
		kind := story.KindEvent
		if len(l.To) > 0 {
			kind = story.KindMessage
		}
		out = append(out, Line{Kind: kind, At: l.At.Milliseconds(), From: l.From, To: l.To, Text: l.Text})
	}
	note(paxos.MaxTime)
	return out
}
