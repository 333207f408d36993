package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stepWithin is how long one step may take.
const stepWithin = 5 * time.Minute

// outcome is what one step of one run came to.
type outcome struct {
	Step string  `json:"step"`
	Who  string  `json:"who"`
	Unit string  `json:"unit"`
	Got  float64 `json:"got"`

	Seen      float64    `json:"seen_s"` // when the last file was there; Got is until the sides are done as well
	CPU       float64    `json:"cpu_s"`  // of both sides, until they rest
	Wire      int64      `json:"wire_bytes"`
	Peak      [2]float64 `json:"peak_mib"`    // resident, of each side
	Sampled   [2]float64 `json:"sampled_mib"` // the most that a look every 50 ms has seen
	Anonymous [2]float64 `json:"anon_mib"`    // of that, what is no page of a file
	P90       float64    `json:"p90,omitempty"`
}

// step is one change and what must come of it.
type step struct {
	name   string
	from   int    // the side that changes something
	scan   string // below which path
	change func() error
	expect []wanted
	mb     float64 // not zero: the figure is this by the time it took
}

// do measures a step, and checks the content of both folders afterwards.
func (r *round) do(ctx context.Context, s step) error {
	fail := func(err error) error { return fmt.Errorf("%s: %w", s.name, err) }
	if err := rest(ctx, r, time.Second); err != nil {
		return fail(err)
	}
	if err := forgetPeaks(r); err != nil {
		return fail(err)
	}
	cpuBefore, wireBefore, err := r.counters(ctx)
	if err != nil {
		return fail(err)
	}
	watch := watchMemory(ctx, r)
	seen, done, err := r.profiled(ctx, s)
	if err != nil {
		return fail(errors.Join(err, watch.end()))
	}
	if err := rest(ctx, r, time.Second); err != nil {
		return fail(errors.Join(err, watch.end()))
	}
	if err := watch.end(); err != nil {
		return fail(err)
	}
	cpuAfter, wireAfter, err := r.counters(ctx)
	if err != nil {
		return fail(err)
	}
	out := outcome{
		Step: s.name, Who: r.who, Unit: "s", Got: done.Seconds(), Seen: seen.Seconds(), CPU: (cpuAfter - cpuBefore).Seconds(),
		Wire: wireAfter - wireBefore, Peak: watch.peak, Sampled: watch.resident, Anonymous: watch.anonymous,
	}
	if s.mb > 0 {
		out.Unit, out.Got = "MB/s", s.mb/done.Seconds()
	}
	r.outcomes = append(r.outcomes, out)
	return r.check()
}

// profiled is timed, with a profile if one is wanted.
func (r *round) profiled(ctx context.Context, s step) (seen, done time.Duration, err error) {
	sides, ok := r.pair.(*shoalPair)
	if !ok || r.profiler == nil {
		return r.timed(ctx, s)
	}
	end, err := r.profiler.begin(ctx, s, sides)
	if err != nil {
		return 0, 0, err
	}
	seen, done, err = r.timed(ctx, s)
	return seen, done, errors.Join(err, end())
}

func (r *round) check() error {
	for _, dir := range r.folders() {
		if err := r.content.check(dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) counters(ctx context.Context) (used time.Duration, wire int64, err error) {
	if used, err = usedCPU(r); err == nil {
		wire, err = r.wire(ctx)
	}
	return used, wire, err
}

// timed makes a change and returns how long it took until the other side had all
// files, and until it also said that it lacks nothing.
func (r *round) timed(ctx context.Context, s step) (seen, done time.Duration, err error) {
	began := time.Now()
	if err := s.change(); err != nil {
		return 0, 0, err
	}
	looked := make(chan error, 1)
	go func() { looked <- r.look(ctx, s.from, s.scan) }()
	err = r.appear(ctx, 1-s.from, s.expect, began.Add(stepWithin))
	seen = time.Since(began)
	if err = errors.Join(err, <-looked); err != nil {
		return 0, 0, err
	}
	for {
		ok, err := r.settled(ctx)
		done = time.Since(began)
		switch {
		case err != nil || ok:
			return seen, done, err
		case done > stepWithin:
			return seen, done, fmt.Errorf("all files are there, but it says otherwise for %v: %s", done-seen, r.state(ctx))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// appear waits until a side has all files. It looks at each only until it is there.
func (r *round) appear(ctx context.Context, side int, all []wanted, end time.Time) error {
	dir := r.folders()[side]
	for i := 0; i < len(all); {
		ok, err := all[i].there(dir)
		switch {
		case err != nil:
			return err
		case ok:
			i++
		case time.Now().After(end):
			return fmt.Errorf("%s is not as it should be (%d bytes) within %v; %d of %d are; %s", all[i].path, all[i].size, stepWithin, i, len(all), r.state(ctx))
		default:
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}
