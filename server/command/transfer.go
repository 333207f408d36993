package command

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

type transfersCmd struct {
	Watch bool `help:"Show how far it is until everything is here."`
	JSON  bool `name:"json" help:"Print the API's answer."`
}

// watchPace is how often --watch asks.
const watchPace = 500 * time.Millisecond

// Run lists what is on its way to this node, or follows it.
func (t transfersCmd) Run(c *console) error {
	if t.Watch {
		if t.JSON {
			return UsageError{"transfers: --watch or --json, not both"}
		}
		pace := time.NewTicker(watchPace)
		defer pace.Stop()
		return c.watch(pace.C)
	}
	var list api.TransferList
	done, err := c.get("/api/transfers", nil, &list, t.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		folders, err := c.kept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c.Stderr, nothing(folders))
		return nil
	}
	var rows [][]string
	now := time.Now()
	for _, t := range list.Items {
		rows = append(rows, transferRow(t, now))
	}
	return table(c.Stdout, []string{"STATE", "DONE", "SIZE", "NETWORK", "DISK", "RATE", "LEFT", "ENDED", "FROM", "FOLDER", "PATH"}, rows)
}

// nothing says that no file is on its way, and what may still come.
func nothing(folders []api.Folder) string {
	var looking, paused []string
	for _, f := range folders {
		switch {
		case f.State == api.FolderStateScanning || f.State == api.FolderStateSyncing:
			looking = append(looking, f.Label)
		case f.State == api.FolderStatePaused:
			paused = append(paused, f.Label)
		}
	}
	text := "Nothing is on its way to this node, and nothing has come since it started."
	if len(looking) > 0 {
		text += " Still looking: " + enumerate(looking) + "."
	}
	if len(paused) > 0 {
		text += " Paused: " + enumerate(paused) + "."
	}
	return text
}

func transferRow(t api.Transfer, now time.Time) []string {
	state, rate, left, ended := string(t.State), "-", "-", "-"
	if t.Error != "" {
		state += ": " + t.Error
	}
	if t.Rate > 0 {
		rate = rateText(t.Rate)
	}
	if t.State == api.TransferStateRunning && t.EtaS != nil {
		left = leftText(*t.EtaS)
	}
	if t.Ended != nil {
		ended = clock(*t.Ended, now)
	}
	return []string{
		state, percent(t.BytesDone, t.BytesTotal), bytesText(t.BytesTotal), bytesText(t.BytesWire), bytesText(t.BytesReused + t.BytesResumed),
		rate, left, ended, orDash(nodeName(t.PeerName, t.Peer)), orDash(t.FolderLabel), t.Path,
	}
}

// Help says what the columns mean.
func (transfersCmd) Help() string {
	return "NETWORK is what a file took on the network, both ways. DISK is what of it was on this disk already: in an older version, in other files, or left by an attempt that was interrupted. The last 200 files that came are listed too, since this node started."
}

// watch follows what is to come until nothing is, asking at each tick.
func (c *console) watch(tick <-chan time.Time) error {
	last := ""
	for {
		line, busy, err := c.progress()
		if c.ctx.Err() != nil {
			err, busy = nil, false // the end was asked for
		}
		if err != nil {
			return err
		}
		if line != last {
			c.redraw(line, busy)
			last = line
		}
		if !busy {
			return nil
		}
		select {
		case <-tick:
		case <-c.ctx.Done():
		}
	}
}

// redraw shows how far it is: on a terminal in one line, elsewhere in a line for
// each change.
func (c *console) redraw(line string, more bool) {
	line = oneLine(line)
	if !c.style.terminal {
		fmt.Fprintln(c.Stdout, line)
		return
	}
	fmt.Fprint(c.Stdout, "\r\x1b[K"+line)
	if !more {
		fmt.Fprintln(c.Stdout)
	}
}

// progress asks how far this node is; busy is false when there is nothing to wait for.
func (c *console) progress() (line string, busy bool, err error) {
	folders, err := c.kept()
	if err != nil {
		return "", false, err
	}
	var list api.TransferList
	if _, err := c.get("/api/transfers", nil, &list, false); err != nil {
		return "", false, err
	}
	line, busy = progressLine(folders, list.Items)
	return line, busy, nil
}

// progressLine says what is to come, how fast, and how long it takes at that rate.
// Only what goes on by itself is waited for: not what is paused, held or in error.
func progressLine(folders []api.Folder, transfers []api.Transfer) (line string, busy bool) {
	var files int
	var bytes int64
	moves := map[string]bool{}
	for _, f := range folders {
		if f.State == api.FolderStateScanning || f.State == api.FolderStateSyncing {
			busy, moves[f.Id] = true, true
			files, bytes = files+f.NeedFiles, bytes+f.NeedBytes
		}
	}
	var rate float64
	var left int64 // of the files that are on their way
	current := ""
	for _, t := range transfers {
		if t.State != api.TransferStateRunning || !moves[t.Folder] {
			continue
		}
		// The folder needs a file until it is whole.
		rate, left, bytes = rate+t.Rate, left+t.BytesTotal-t.BytesDone, bytes-t.BytesDone
		if current == "" {
			current = fmt.Sprintf("%s %s", percent(t.BytesDone, t.BytesTotal), t.Path)
		}
	}
	bytes = max(bytes, left)
	switch {
	case !busy:
		return "nothing is to come", false
	case files == 0 && current == "":
		return "looking", true
	}
	parts := []string{fmt.Sprintf("%s (%s) to come", count(files, "file"), bytesText(bytes))}
	if rate > 0 {
		parts = append(parts, rateText(rate), leftText(float64(bytes)/rate)+" left")
	}
	if current != "" {
		parts = append(parts, current)
	}
	return strings.Join(parts, ", "), true
}

// percent writes how much of total is done; 100 % only when all is.
func percent(done, total int64) string {
	if total <= 0 {
		return "100%"
	}
	return fmt.Sprintf("%d%%", int(float64(min(max(done, 0), total))/float64(total)*100))
}

func rateText(rate float64) string { return bytesText(int64(min(max(rate, 0), 1e18))) + "/s" }

// leftText writes a time to wait, roughly, as it is only guessed.
func leftText(seconds float64) string {
	switch {
	case math.IsNaN(seconds) || seconds < 0 || seconds > 365*24*3600:
		return "-"
	case seconds < 60:
		return fmt.Sprintf("%.0f s", math.Ceil(seconds))
	case seconds < 3600:
		return fmt.Sprintf("%.0f min", math.Ceil(seconds/60))
	}
	return fmt.Sprintf("%.1f h", seconds/3600)
}
