package main

import "fmt"

// must is what a figure has to come to.
type must struct {
	What string `json:"what"`
	Must string `json:"must"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

func (m must) verdict() string {
	if m.Met {
		return "pass"
	}
	return "FAIL"
}

// wantedSize is the length of files for which seconds are promised, in bytes.
const wantedSize = 256 << 20

// judge compares what was measured with what was promised. What was not measured is
// left out.
func (r *report) judge() {
	r.judgeEngine()
	r.judgeSimilar()
	r.judgeUnrelated()
	r.judgeAdversarial()
	r.judgeMemory()
}

func (r *report) add(what, want, got string, met bool) {
	r.Musts = append(r.Musts, must{what, want, got, met})
}

func (r *report) atLeast(what string, limit, got float64, unit string) {
	r.add(what, fmt.Sprintf("≥ %.4g %s", limit, unit), fmt.Sprintf("%.4g", got), got >= limit)
}

func (r *report) atMost(what string, limit, got float64, unit string) {
	r.add(what, fmt.Sprintf("≤ %.3g %s", limit, unit), fmt.Sprintf("%.3g", got), got <= limit)
}

// row finds one; zero if it was not measured.
func (r *report) row(name, who, step string) (row, bool) {
	for _, x := range r.Rows {
		if x.Case == name && x.Who == who && x.Step == step {
			return x, true
		}
	}
	return row{}, false
}

func (r *report) judgeEngine() {
	rates := map[string]rate{}
	for _, e := range r.Engine {
		rates[fmt.Sprint(e.Case, e.What, e.Procs)] = e
	}
	for _, c := range engineCases(r.Size) {
		with, without := 2500.0, 6000.0
		if c.name == "unrelated" {
			with, without = 750, 1000
		}
		if e, ok := rates[fmt.Sprint(c.name, engineSign, 1)]; ok && c.name == "same" {
			r.atLeast("sign, one core", 2500, e.CPU, "MB/s")
		}
		if e, ok := rates[fmt.Sprint(c.name, engineDiff, 1)]; ok {
			r.atLeast(c.name+": diff without the result's hash, one core", without, e.CPU, "MB/s")
		}
		if e, ok := rates[fmt.Sprint(c.name, engineEncode, 1)]; ok {
			r.atLeast(c.name+": diff with the result's hash, one core", with, e.CPU, "MB/s")
		}
	}
	one, ok := rates[fmt.Sprint("unrelated", engineDiff, 1)]
	if two, both := rates[fmt.Sprint("unrelated", engineDiff, 2)]; ok && both {
		r.atLeast("unrelated: diff, two cores by one", 1.8, two.Wall/one.Wall, "×")
	}
}

// judgeSimilar: sign and diff take no more CPU than rsync's whole job.
func (r *report) judgeSimilar() {
	block := fmt.Sprint(" ", blockSize)
	for i, limit := range []float64{.20, .21, .22} {
		name := engineCases(r.Size)[i].name
		for _, b := range []string{"", block} {
			ours, ok := r.row(name, toolShoal+b, signAndDiff)
			if !ok {
				continue
			}
			what := fmt.Sprintf("%s: CPU of %s, sign + diff", name, ours.Who)
			if r.Size == wantedSize {
				r.atMost(what, limit, ours.CPU, "s")
			}
			if theirs, ok := r.row(name, toolRsync+b, wholeJob); ok {
				r.atMost(what+fmt.Sprintf(", by %s in this run", theirs.Who), theirs.CPU, ours.CPU, "s")
			}
		}
	}
	for _, c := range cases(r.Size) {
		for _, b := range c.blocks {
			suffix := fmt.Sprint(" ", b)
			ours, ok := r.row(c.name, toolShoal+suffix, "diff")
			theirs, both := r.row(c.name, toolRdiff+suffix, "diff")
			if ok && both {
				// Of a delta that brings nothing there are only the heads of the files to compare.
				limit := float64(theirs.Bytes)*1.05 + 1024
				r.add(c.name+": length of the delta", fmt.Sprintf("≤ %.0f bytes (rdiff's and 5 %%)", limit), fmt.Sprint(ours.Bytes), float64(ours.Bytes) <= limit)
			}
		}
	}
}

// judgeUnrelated: what does not match is looked through many times faster.
func (r *report) judgeUnrelated() {
	block := fmt.Sprint(" ", blockSize)
	for _, x := range []struct{ who, theirs, ours string }{{toolRdiff, "diff", "diff"}, {toolRsync, wholeJob, signAndDiff}} {
		theirs, ok := r.row("unrelated", x.who+block, x.theirs)
		ours, both := r.row("unrelated", toolShoal+block, x.ours)
		if ok && both {
			r.atLeast(fmt.Sprintf("unrelated: CPU of %s, %s, by that of %s, %s", theirs.Who, x.theirs, ours.Who, x.ours), 10, theirs.CPU/ours.CPU, "×")
		}
	}
}

// judgeAdversarial: no file makes any step slow.
func (r *report) judgeAdversarial() {
	for _, c := range cases(r.Size)[4:] {
		for _, s := range []string{signAndDiff, "patch"} {
			if x, ok := r.row(c.name, fmt.Sprint(toolShoal, " ", c.blocks[0]), s); ok {
				r.atMost(c.name+": CPU of "+s, float64(r.Size)/wantedSize, x.CPU, "s")
			}
		}
	}
	for _, h := range r.Hostile {
		r.add(h.What, fmt.Sprintf("refused in %v with %.0f MiB", hostileWall, hostilePeak), fmt.Sprintf("%.3f s, %.0f MiB, refused: %v", h.Wall, h.Peak, h.Refused),
			h.Refused && h.Wall <= hostileWall.Seconds() && h.Peak <= hostilePeak)
	}
}

// judgeMemory looks at the step that took most. Signatures here are below 1 MiB, but
// where blocks are very short.
func (r *report) judgeMemory() {
	var most row
	for _, x := range r.Rows {
		if x.Peak > most.Peak && len(x.Who) >= len(toolShoal) && x.Who[:len(toolShoal)] == toolShoal {
			most = x
		}
	}
	if most.Peak > 0 {
		r.atMost(fmt.Sprintf("most memory of a process (%s, %s of %q)", most.Who, most.Step, most.Case), 64, most.Peak, "MiB")
	}
}
