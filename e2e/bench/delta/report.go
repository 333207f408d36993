package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a step of a contender in a case: medians of all rounds.
type row struct {
	Case  string  `json:"case"`
	Who   string  `json:"who"`
	Step  string  `json:"step"`
	CPU   float64 `json:"cpu_s"` // user and system
	Wall  float64 `json:"wall_s"`
	Speed float64 `json:"mb_per_cpu_s"` // of the new file, for each second of CPU
	Peak  float64 `json:"peak_mib"`
	Bytes int64   `json:"bytes,omitempty"` // for the other side; of rsync what went both ways
	Over  bool    `json:"over,omitempty"`  // it was ended after Wall
}

type report struct {
	Go         string    `json:"go"`
	Cores      int       `json:"cores"`
	Date       string    `json:"date"`
	LoadBefore string    `json:"load_before"`
	LoadAfter  string    `json:"load_after"`
	Size       int64     `json:"size"`
	Rounds     int       `json:"rounds"`
	Tools      []tool    `json:"tools"`
	Rows       []row     `json:"rows"`
	Hostile    []hostile `json:"hostile"`
	Engine     []rate    `json:"engine"`
	Musts      []must    `json:"musts"`
}

func (x *contender) rows(name string, size int64) (out []row) {
	order := []string{x.steps[0].name}
	if len(x.steps) > 1 {
		order = []string{x.steps[0].name, x.steps[1].name, signAndDiff, x.steps[2].name}
	}
	for _, s := range order {
		got := x.samples[s]
		if len(got) == 0 {
			continue
		}
		of := func(field func(sample) float64) float64 {
			values := make([]float64, len(got))
			for i, g := range got {
				values[i] = field(g)
			}
			return median(values)
		}
		r := row{
			Case: name, Who: x.name, Step: s, Over: x.over == s,
			CPU:  of(func(g sample) float64 { return g.cpu.Seconds() }),
			Wall: of(func(g sample) float64 { return g.wall.Seconds() }),
			Peak: of(func(g sample) float64 { return g.peak }), Bytes: got[0].sent,
		}
		if r.CPU > 0 {
			r.Speed = float64(size) / 1e6 / r.CPU
		}
		out = append(out, r)
	}
	return out
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// print prints tables, or all of it as JSON.
func (r *report) print(w io.Writer, asJSON bool) error {
	r.Go, r.Cores, r.Date = runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly)
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(w, "%s, %d cores, %s, load average %s before, %s after; %d MiB, medians of %d\n", r.Go, r.Cores, r.Date, r.LoadBefore, r.LoadAfter, r.Size>>20, r.Rounds)
	for _, t := range r.Tools {
		fmt.Fprintf(w, "%s: %s\n", t.Name, t.Version)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for _, x := range r.Rows {
		if x.Case != last {
			fmt.Fprintf(t, "\n%s\t\tCPU s\twall s\tMB/s of CPU\tpeak MiB\tbytes sent\n", x.Case)
			last = x.Case
		}
		if x.Over {
			fmt.Fprintf(t, "  %s\t%s\tended\tafter %.0f\t\t\t\n", x.Who, x.Step, x.Wall)
			continue
		}
		sent := ""
		if x.Bytes > 0 {
			sent = fmt.Sprint(x.Bytes)
		}
		fmt.Fprintf(t, "  %s\t%s\t%.3f\t%.3f\t%.0f\t%.0f\t%s\n", x.Who, x.Step, x.CPU, x.Wall, x.Speed, x.Peak, sent)
	}
	if len(r.Hostile) > 0 {
		fmt.Fprint(t, "\nhostile files\t\tCPU s\twall s\t\tpeak MiB\t\n")
	}
	for _, h := range r.Hostile {
		fmt.Fprintf(t, "  %s\trefused: %v\t\t%.3f\t\t%.0f\t\n", h.What, h.Refused, h.Wall, h.Peak)
	}
	if len(r.Engine) > 0 {
		fmt.Fprintf(t, "\nin memory, blocks of %d bytes\t\tcores\t\tMB/s of CPU\tMB/s\t\n", blockSize)
	}
	for _, e := range r.Engine {
		fmt.Fprintf(t, "  %s\t%s\t%d\t\t%.0f\t%.0f\t\n", e.Case, e.What, e.Procs, e.CPU, e.Wall)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, m := range r.Musts {
		fmt.Fprintf(t, "%s\tmust be %s\tis %s\t%s\n", m.What, m.Must, m.Got, m.verdict())
	}
	return t.Flush()
}
