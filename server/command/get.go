package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

type getCmd struct {
	Seed   string   `arg:"" help:"A link, a file FILE.seed or - for standard input, or the ID or the name of a seed that shoal seeds --network lists."`
	Out    string   `short:"o" placeholder:"DIR" help:"The directory where it is put, which must be there (default: the node's downloads)."`
	Web    []string `placeholder:"URL" sep:"none" help:"A web server that has the same file; repeatable."`
	NoWait bool     `help:"Begin, and leave the rest to the node."`
	JSON   bool     `name:"json" help:"Print the API's answer, at the end."`
}

// Help says what goes on when the verb ends.
func (getCmd) Help() string {
	return "The file comes from all who have it at once, and each piece is verified as it comes. When all is here, its path is printed. The node does it: Ctrl-C ends the watching only, and to go on with a download that was paused, get it again. Exit codes: 0 all is here (with --no-wait: it has begun), 1 it cannot go on, 4 nobody knows such a seed, 130 interrupted."
}

// Run gets a file.
func (g getCmd) Run(c *console) error {
	body, err := g.wanted(c)
	if err != nil {
		return err
	}
	if g.Out != "" {
		if body["to"], err = wholePath(g.Out); err != nil {
			return err
		}
	}
	if len(g.Web) > 0 {
		body["web"] = g.Web
	}
	var st api.KeptSeed
	done, err := c.post("/api/downloads", body, &st, g.JSON && g.NoWait)
	if done || err != nil {
		return err
	}
	if g.NoWait {
		fmt.Fprintln(c.Stdout, Printable(st.Path))
		return nil
	}
	return c.follow(st, g.JSON, filepath.Dir(st.Path))
}

// wanted is how a request names the seed.
func (g getCmd) wanted(c *console) (map[string]any, error) {
	text := strings.TrimSpace(g.Seed)
	scheme, _, _ := strings.Cut(strings.ToLower(text), ":")
	_, isID := seed.ParseID(strings.ToLower(text))
	switch {
	case scheme == "shoal" || scheme == "http" || scheme == "https":
		if _, err := seed.ParseLink(text); err != nil {
			return nil, UsageError{fmt.Sprintf("get: %v: copy the whole link, in quotes", plainSeed(err))}
		}
		return map[string]any{"link": text}, nil
	case text == "-":
		return seedIn("standard input", func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.Stdin, seed.MaxText+1)) })
	case isID == nil:
		return map[string]any{"id": strings.ToLower(text)}, nil
	case strings.HasSuffix(strings.ToLower(text), ".seed") || strings.ContainsRune(text, os.PathSeparator):
		return seedIn(text, func() ([]byte, error) {
			path, err := wholePath(text)
			if err != nil {
				return nil, err
			}
			return readSeed(path)
		})
	}
	id, err := c.seed(text)
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": id}, nil
}

// seedIn reads the text of a seed here, so that what is wrong with it is said with its line.
func seedIn(where string, read func() ([]byte, error)) (map[string]any, error) {
	text, err := read()
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	if _, err := seed.Parse(text); err != nil {
		return nil, fmt.Errorf("%s is no seed: %w", where, plainSeed(err))
	}
	return map[string]any{"seed": string(text)}, nil
}

// plainSeed leaves out the name of the package, which helps nobody.
func plainSeed(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "seed: "))
}

// readSeed reads a file that may be a seed: a little more than one has at most.
func readSeed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	return io.ReadAll(io.LimitReader(f, seed.MaxText+1))
}

// follow waits until a download has come to a directory, or cannot go on.
func (c *console) follow(st api.KeptSeed, asJSON bool, dir string) error {
	m := newMeter(c)
	defer m.clear()
	tick := time.NewTicker(watchPace)
	defer tick.Stop()
	path, said := "/api/seeds/"+st.Id, ""
	for {
		switch st.State {
		case api.KeptSeedStateSeeding:
			at, waits, err := fileIn(st, dir)
			if waits {
				break
			}
			m.clear()
			if err != nil {
				return err
			}
			st.Path = at
			return c.arrived(st, asJSON)
		case api.KeptSeedStateError, api.KeptSeedStateChanged:
			return fmt.Errorf("%s: %s (to go on: shoal seeds resume %s)", st.Name, sentence(st.Error), shortID(st.Id))
		case api.KeptSeedStatePaused:
			return fmt.Errorf("%s: paused (to go on: shoal seeds resume %s)", st.Name, shortID(st.Id))
		}
		if st.Error != said {
			if said = st.Error; said != "" {
				m.clear()
				fmt.Fprintf(c.Stderr, "%s: waiting: %s\n", Printable(st.Name), Printable(said))
			}
		}
		m.show(getLine(st))
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			m.clear()
			fmt.Fprintf(c.Stderr, "The node goes on with it: shoal seeds shows how far it is, shoal seeds pause %s stops it.\n", shortID(st.Id))
			return fmt.Errorf("get: %w", context.Canceled)
		}
		if _, err := c.get(path, nil, &st, false); err != nil && c.ctx.Err() == nil {
			return err
		}
	}
}

// fileIn returns the path of a file in one of the directories where it was wanted, or that it is not there yet.
func fileIn(st api.KeptSeed, dir string) (path string, waits bool, err error) {
	for _, c := range st.Copies {
		if c.Directory == dir {
			return c.Path, c.Path == "", nil
		}
	}
	if filepath.Dir(st.Path) == dir {
		return st.Path, false, nil
	}
	return "", false, fmt.Errorf("%s is in %s, and no copy of it could be made in %s: is there room?", st.Name, Printable(st.Path), Printable(dir))
}

// getLine says how far a download is.
func getLine(st api.KeptSeed) string {
	parts := []string{oneLine(st.Name), bar(st.BytesDone, st.Size)}
	switch {
	case st.State == api.KeptSeedStateSeeding:
		parts = append(parts, "being copied")
	case st.State == api.KeptSeedStateWaiting && st.Sources == 0:
		parts = append(parts, "waiting for somebody who has it")
	default:
		parts = append(parts, rateText(float64(st.RateDown)), count(st.Sources, "source"))
	}
	if st.EtaS != nil {
		parts = append(parts, leftText(*st.EtaS)+" left")
	}
	return strings.Join(parts, "  ")
}

// arrived says where the file is.
func (c *console) arrived(st api.KeptSeed, asJSON bool) error {
	if asJSON {
		answer, err := c.call(http.MethodGet, "/api/seeds/"+st.Id, nil, nil)
		if err != nil {
			return err
		}
		_, err = c.show("", answer, &st, true)
		return err
	}
	fmt.Fprintln(c.Stdout, Printable(st.Path))
	if st.Ended == nil {
		return nil
	}
	text := fmt.Sprintf("%s in %s", bytesText(st.Size), tookText(st.Ended.Sub(st.Added)))
	if st.BytesReused > 0 {
		text += fmt.Sprintf(", %s of it from files of this computer", bytesText(st.BytesReused))
	}
	if st.BytesWasted > 0 {
		text += fmt.Sprintf(", %s came twice or wrong", bytesText(st.BytesWasted))
	}
	fmt.Fprintln(c.Stderr, text+"; it is shared from here too")
	return nil
}

// tookText writes how long something took.
func tookText(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
