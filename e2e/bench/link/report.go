package main

import (
	"fmt"
	"io"
)

// report is all that was measured.
type report struct {
	Size, Rounds, MTU     int
	LoadBefore, LoadAfter string
	Bulk                  []bulkRow
	Calls                 []callRow
	Setup                 setupRow
	Idle                  []idleRow
	Cycles                cycleRow
}

// bulkRow is the medians of one contender.
type bulkRow struct {
	Kind        string
	Speed       float64 // MB/s
	Least, Most float64
	CPU         float64 // ns per byte, both ends
}

// print writes r for people.
func (r report) print(w io.Writer) error {
	p := &printer{w: w}
	mtu := ""
	if r.MTU != 0 {
		mtu = fmt.Sprintf(", MTU %d", r.MTU)
	}
	p.f("medians of %d rounds%s; load before %s, after %s\n", r.Rounds, mtu, r.LoadBefore, r.LoadAfter)
	var stock float64
	for _, b := range r.Bulk {
		if b.Kind == "stock" {
			stock = b.Speed
		}
		p.f("bulk %-6s %6.1f MB/s (%.1f to %.1f), %5.2f × stock, %5.1f ns of CPU per byte, both ends\n",
			b.Kind, b.Speed, b.Least, b.Most, b.Speed/max(stock, 1), b.CPU)
	}
	for _, c := range r.Calls {
		p.f("calls %-16s p50 %8v  p95 %8v  (%d)\n", c.Name, c.P50, c.P95, c.Calls)
	}
	if r.Setup.Links > 0 {
		p.f("setup p50 %v, p95 %v (%d)\n", r.Setup.P50, r.Setup.P95, r.Setup.Links)
	}
	for _, i := range r.Idle {
		p.f("idle: %d links, each %.1f goroutines, %.0f KiB of heap, %.0f KiB of stacks; %.2f %% of a core for all\n",
			i.Links, i.Goroutines, i.Heap/1024, i.Stacks/1024, 100*i.CPU)
	}
	if c := r.Cycles; c.Links > 0 {
		p.f("cycles: %d in %.0f s\n", c.Links, c.Seconds)
		for _, end := range []struct {
			name string
			s    [2]state
		}{{"near", c.Near}, {"far", c.Far}} {
			b, a := end.s[0], end.s[1]
			p.f("  %-4s before %d goroutines, %d files, %d KiB of heap; after %d, %d, %d KiB\n", end.name,
				b.Goroutines, b.Files, b.Heap/1024, a.Goroutines, a.Files, a.Heap/1024)
		}
	}
	return p.err
}

// printer keeps the first error of what is printed.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
