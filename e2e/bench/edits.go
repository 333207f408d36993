package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// editOptions are the flags of `bench edits`.
type editOptions struct {
	rounds  int
	size    int64 // of the file, in bytes
	program string
	asJSON  bool
	alone   bool // this process has a network of its own
}

func editFlags(args []string) (o editOptions, err error) {
	f := flag.NewFlagSet("bench edits", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often each edit is made")
	mib := f.Int64("size", 256, "of the file, in MiB")
	f.StringVar(&o.program, "program", "", "the shoal to measure (default: built from the sources here)")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.BoolVar(&o.alone, "alone", false, "what goes over the loopback interface is of this process and its children only (it starts itself again with this)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.rounds < 1 || *mib < 1 {
		return o, errors.New("edits: it takes flags only, at least one round and at least 1 MiB")
	}
	o.size = *mib << 20
	return o, nil
}

// edit is what one small change of a large file has cost. Everything but Wire and
// Reused goes both ways.
type edit struct {
	Name    string  `json:"edit"`
	Seen    float64 `json:"seen_s"`         // until the new file was visible
	Durable float64 `json:"durable_s"`      // until the receiver has recorded it, which it does when all is on the disk
	Wire    int64   `json:"bytes_wire"`     // as the receiver tells of its transfer
	Reused  int64   `json:"bytes_reused"`   // the same
	Payload int64   `json:"payload_bytes"`  // of datagrams, as the sender counts them for its links
	Kernel  int64   `json:"loopback_bytes"` // as the kernel counts them, with all headers, without Idle; -1: it does not know
	Idle    int64   `json:"idle_bytes"`     // what flows in that time when nothing happens
}

// quiet is for how long nobody asks the nodes anything while the kernel counts.
const quiet = 2 * time.Second

// editGoal is what an edit may cost.
type editGoal struct {
	bytes   int64
	seconds float64 // 0: as long as it takes
}

const (
	insertEdit  = "1 byte inserted at the front"
	scatterEdit = "100 inserts of 100 bytes"
)

func editGoals() map[string]editGoal {
	return map[string]editGoal{insertEdit: {20_000, 1.5}, scatterEdit: {bytes: 400_000}}
}

// measureEdits measures what small changes of a large file cost two nodes. It does so
// in a network of its own, if it may have one: there the kernel counts what the
// nodes send, and nothing else.
func measureEdits(ctx context.Context, args []string) error {
	o, err := editFlags(args)
	if err != nil {
		return err
	}
	return withBench(ctx, o.program, "", func(b *bench) error {
		if !o.alone {
			cmd, err := aloneCommand(ctx, append([]string{"edits", "-alone", "-program", b.binary}, args...))
			if err == nil {
				cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
				if err = cmd.Start(); err == nil {
					return cmd.Wait()
				}
			}
			fmt.Fprintln(os.Stderr, "no network of its own, so the kernel's figure is left out:", err)
		} else if err := loopbackUp(); err != nil {
			return err
		}
		load := loadAverage()
		all, err := b.edits(ctx, o)
		if err != nil {
			return err
		}
		return printEdits(all, o, fmt.Sprintf("load average %s before, %s after", load, loadAverage()))
	})
}

// edits has a pair of nodes share a large file, and edits it again and again.
func (b *bench) edits(ctx context.Context, o editOptions) (all []edit, err error) {
	dir, err := os.MkdirTemp(b.dir, "work-")
	if err != nil {
		return nil, err
	}
	p, err := openShoal(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	r := &round{pair: p, who: "shoal", dir: dir, content: tree{}}
	data, err := noise(o.size, 0)
	if err != nil {
		return nil, err
	}
	if err := r.prepare("big", data); err != nil {
		return nil, err
	}
	if err := r.do(ctx, step{name: "fresh", change: r.arrive(filepath.Join(dir, "big"), "big"), expect: r.content.wants()}); err != nil {
		return nil, err
	}
	for i := range o.rounds {
		for _, e := range []struct {
			name string
			make func() []byte
		}{
			{insertEdit, func() []byte { return slices.Concat([]byte{byte('a' + i%26)}, data) }},
			{scatterEdit, func() []byte { return scatter(data, uint64(i)) }},
		} {
			fmt.Fprintf(os.Stderr, "%s, round %d of %d\n", e.name, i+1, o.rounds)
			data = e.make()
			got, err := r.edit(ctx, e.name, data, o.alone)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			all = append(all, got)
		}
	}
	return all, nil
}

// edit saves the file anew, and takes all figures.
func (r *round) edit(ctx context.Context, name string, data []byte, alone bool) (e edit, err error) {
	if err := r.prepare("big", data); err != nil {
		return e, err
	}
	if err := rest(ctx, r, time.Second); err != nil {
		return e, err
	}
	p, ok := r.pair.(*shoalPair)
	if !ok {
		return e, errors.New("only shoal tells what it has sent")
	}
	receiver := p.nodes[1]
	var log eventList
	if err := receiver.call(ctx, "GET", "/api/events?timeout=0&topics=folder.applied", nil, &log); err != nil {
		return e, err
	}
	idle, err := loopbackOver(alone, func() error { return pause(ctx, quiet) })
	if err != nil {
		return e, err
	}
	payload, err := r.wire(ctx)
	if err != nil {
		return e, err
	}
	began := time.Now()
	kernel, err := loopbackOver(alone, func() error {
		if err := r.arrive(filepath.Join(r.dir, "big"), "big")(); err != nil {
			return err
		}
		if err := r.appear(ctx, 1, []wanted{{"big", int64(len(data))}}, began.Add(stepWithin)); err != nil {
			return err
		}
		e.Seen = time.Since(began).Seconds()
		return pause(ctx, quiet)
	})
	if err != nil {
		return e, err
	}
	e.Name, e.Kernel = name, -1
	if alone {
		e.Idle = int64(float64(idle) * time.Since(began).Seconds() / quiet.Seconds())
		e.Kernel = kernel - e.Idle
	}
	after, err := r.wire(ctx)
	if err != nil {
		return e, err
	}
	e.Payload = after - payload
	if e.Durable, err = log.recorded(ctx, receiver, began); err != nil {
		return e, err
	}
	if e.Wire, e.Reused, err = transferred(ctx, receiver, began); err != nil {
		return e, err
	}
	return e, r.check()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type eventList struct {
	Items []struct{ Time time.Time }
	Next  string
}

// recorded is how long after began a node has told that it has done what came.
func (l eventList) recorded(ctx context.Context, p *process, began time.Time) (float64, error) {
	var got eventList
	if err := p.call(ctx, "GET", "/api/events?timeout=5&topics=folder.applied&since="+url.QueryEscape(l.Next), nil, &got); err != nil {
		return 0, err
	}
	if len(got.Items) == 0 {
		return 0, errors.New("the receiver does not tell that it has done anything")
	}
	return got.Items[len(got.Items)-1].Time.Sub(began).Seconds(), nil
}

// transferred is what a node tells of the transfers that have begun since then.
func transferred(ctx context.Context, p *process, since time.Time) (wire, reused int64, err error) {
	var list struct {
		Items []struct {
			Began       time.Time
			State       string
			BytesWire   int64 `json:"bytes_wire"`
			BytesReused int64 `json:"bytes_reused"`
		}
	}
	if err := p.call(ctx, "GET", "/api/transfers", nil, &list); err != nil {
		return 0, 0, err
	}
	for _, t := range list.Items {
		if !t.Began.Before(since.Truncate(time.Millisecond)) {
			wire, reused = wire+t.BytesWire, reused+t.BytesReused
		}
	}
	return wire, reused, nil
}

// aloneCommand is this program again, in a network of its own.
func aloneCommand(ctx context.Context, args []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it deletes its files
	return cmd, ownNetwork(cmd)
}

// editRow is the medians of an edit, each figure for itself.
type editRow struct {
	edit
	Runs  int    `json:"runs"`
	Must  string `json:"must"`
	Met   bool   `json:"met"`
	Agree bool   `json:"counters_agree"`
}

func editRows(all []edit) (rows []editRow) {
	for _, name := range []string{insertEdit, scatterEdit} {
		var g []edit
		for _, e := range all {
			if e.Name == name {
				g = append(g, e)
			}
		}
		r := editRow{Runs: len(g)}
		r.Name = name
		r.Seen, r.Durable = middle(g, func(e edit) float64 { return e.Seen }), middle(g, func(e edit) float64 { return e.Durable })
		r.Wire, r.Reused = middle(g, func(e edit) int64 { return e.Wire }), middle(g, func(e edit) int64 { return e.Reused })
		r.Payload, r.Kernel = middle(g, func(e edit) int64 { return e.Payload }), middle(g, func(e edit) int64 { return e.Kernel })
		r.Idle = middle(g, func(e edit) int64 { return e.Idle })
		goal := editGoals()[name]
		r.Must, r.Met = fmt.Sprintf("≤ %d kB", goal.bytes/1000), r.Payload <= goal.bytes && r.Wire <= goal.bytes
		if goal.seconds > 0 {
			r.Must, r.Met = fmt.Sprintf("%s, ≤ %g s", r.Must, goal.seconds), r.Met && r.Durable <= goal.seconds
		}
		// A datagram has headers, and some only say that others have come. The members also
		// tell each other that there is another version.
		r.Agree = r.Wire <= r.Payload && float64(r.Payload) <= 1.15*float64(r.Wire)+10_000
		if r.Kernel >= 0 {
			r.Agree = r.Agree && r.Payload <= r.Kernel+r.Idle && float64(r.Kernel) <= 1.1*float64(r.Payload)
		}
		rows = append(rows, r)
	}
	return rows
}

func middle[T int64 | float64](g []edit, field func(edit) T) T {
	values := make([]T, len(g))
	for i, e := range g {
		values[i] = field(e)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func printEdits(all []edit, o editOptions, load string) error {
	rows := editRows(all)
	if o.asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{
			"go": runtime.Version(), "cores": runtime.NumCPU(), "date": time.Now().Format(time.DateOnly), "load": load, "size": o.size, "rows": rows, "rounds": all,
		})
	}
	fmt.Printf("%s, %d cores, %s, %s; a file of %d MiB, medians of %d\n", runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly), load, o.size>>20, o.rounds)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "edit\tvisible\tdurable\tbytes_wire\tbytes_reused\tdatagrams\tloopback\tmust\t\tcounters")
	for _, r := range rows {
		kernel, met, agree := "", "FAIL", "differ"
		if r.Kernel >= 0 {
			kernel = fmt.Sprint(r.Kernel)
		}
		if r.Met {
			met = "pass"
		}
		if r.Agree {
			agree = "agree"
		}
		fmt.Fprintf(t, "%s\t%.2f s\t%.2f s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", r.Name, r.Seen, r.Durable, r.Wire, r.Reused, r.Payload, kernel, r.Must, met, agree)
	}
	return t.Flush()
}
