package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// goal is what a step of shoal must come to.
type goal struct {
	value   float64
	atLeast bool
}

// syncGoals are the goals, by step.
func syncGoals() map[string]goal {
	return map[string]goal{
		"10,000 files of 4 KiB, fresh":       {value: 4},
		"100 of them edited":                 {value: 1},
		"rename a directory of 10,000 files": {value: 1},
		"rename a file of 256 MiB":           {value: .5},
		"2 files of 256 MiB, fresh":          {value: 150, atLeast: true},
		"one edit, median":                   {value: 300},
		"most resident memory meanwhile":     {value: 200},
		"state.db, the larger one":           {value: 300},
	}
}

// row is a step of one program over all runs.
type row struct {
	outcome         // medians, each figure for itself
	Runs    int     `json:"runs"`
	Best    float64 `json:"least"`
	Worst   float64 `json:"most"`
	Must    string  `json:"must,omitempty"`
	Met     *bool   `json:"met,omitempty"`
}

// summarise makes one row of all outcomes of a step and a program, in the order in
// which the steps were first met.
func summarise(all []outcome) []row {
	type key struct{ step, who string }
	var order []string
	groups := map[key][]outcome{}
	var who []string
	for _, o := range all {
		if !slices.Contains(order, o.Step) {
			order = append(order, o.Step)
		}
		if !slices.Contains(who, o.Who) {
			who = append(who, o.Who)
		}
		groups[key{o.Step, o.Who}] = append(groups[key{o.Step, o.Who}], o)
	}
	var rows []row
	for _, s := range order {
		for _, w := range who {
			if g := groups[key{s, w}]; len(g) > 0 {
				rows = append(rows, rowOf(g))
			}
		}
	}
	return rows
}

func rowOf(g []outcome) row {
	r := row{outcome: g[0], Runs: len(g)}
	of := func(field func(outcome) float64) float64 {
		values := make([]float64, len(g))
		for i, o := range g {
			values[i] = field(o)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	r.Got, r.Seen, r.CPU = of(func(o outcome) float64 { return o.Got }), of(func(o outcome) float64 { return o.Seen }), of(func(o outcome) float64 { return o.CPU })
	r.Wire = int64(of(func(o outcome) float64 { return float64(o.Wire) }))
	r.P90 = of(func(o outcome) float64 { return o.P90 })
	for i := range r.Peak {
		r.Peak[i] = of(func(o outcome) float64 { return o.Peak[i] })
		r.Sampled[i] = of(func(o outcome) float64 { return o.Sampled[i] })
		r.Anonymous[i] = of(func(o outcome) float64 { return o.Anonymous[i] })
	}
	r.Best = slices.MinFunc(g, func(a, b outcome) int { return compareGot(a, b) }).Got
	r.Worst = slices.MaxFunc(g, func(a, b outcome) int { return compareGot(a, b) }).Got
	if must, ok := syncGoals()[r.Step]; ok && r.Who == "shoal" {
		met := r.Got <= must.value
		r.Must = fmt.Sprintf("≤ %g %s", must.value, r.Unit)
		if must.atLeast {
			met, r.Must = r.Got >= must.value, fmt.Sprintf("≥ %g %s", must.value, r.Unit)
		}
		r.Met = &met
	}
	return r
}

func compareGot(a, b outcome) int {
	switch {
	case a.Got < b.Got:
		return -1
	case a.Got > b.Got:
		return 1
	}
	return 0
}

// printSync prints the rows as a table or as JSON.
func printSync(rows []row, load string, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{
			"go": runtime.Version(), "cores": runtime.NumCPU(), "date": time.Now().Format(time.DateOnly), "load": load, "rows": rows,
		})
	}
	fmt.Printf("%s, %d cores, %s, %s\n", runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly), load)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "step\twho\tmeasured\truns\tmust\t\tlast file\tCPU\twire\tpeak MiB\tanon MiB")
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.cells(), "\t"))
	}
	return t.Flush()
}

func (r row) cells() []string {
	got := fmt.Sprintf("%s %s", figure(r.Got), r.Unit)
	if r.P90 > 0 {
		got += fmt.Sprintf(" (p90 %s)", figure(r.P90))
	}
	runs, met, seen, peak, anon := "1", "", "", "", ""
	if r.Runs > 1 {
		runs = fmt.Sprintf("%d: %s–%s", r.Runs, figure(r.Best), figure(r.Worst))
	}
	if r.Met != nil && *r.Met {
		met = "pass"
	} else if r.Met != nil {
		met = "FAIL"
	}
	if r.Seen > 0 {
		seen = fmt.Sprintf("%.2f s", r.Seen)
	}
	if r.Peak[0] > 0 {
		peak, anon = fmt.Sprintf("%.0f, %.0f", r.Peak[0], r.Peak[1]), fmt.Sprintf("%.0f, %.0f", r.Anonymous[0], r.Anonymous[1])
	}
	used, wire := "", ""
	if r.CPU > 0 {
		used, wire = fmt.Sprintf("%.2f s", r.CPU), fmt.Sprintf("%.1f kB", float64(r.Wire)/1e3)
	}
	return []string{r.Step, r.Who, got, runs, r.Must, met, seen, used, wire, peak, anon}
}

// figure writes a number with three digits or so.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
