package command

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

type seedCmd struct {
	File string   `arg:"" help:"The file to share; it stays where it is."`
	Name string   `placeholder:"NAME" help:"What others get it as (default: its own name)."`
	Web  []string `placeholder:"URL" sep:"none" help:"A web server that has the same file; repeatable. Of a file of more than 1000 pieces FILE.pieces is written too, to be put beside it there."`
	Base string   `placeholder:"OLD" help:"An older version of the file: the changes from it are shared too, and who has that version gets only those."`
	Out  string   `short:"o" placeholder:"FILE.seed" help:"Where the seed is written (default: beside the file, as FILE.seed); - for standard output."`
	outsideFlags
	JSON bool `name:"json" help:"Print the API's answer, and write no seed unless -o says where."`
}

// Help says what becomes of the file.
func (seedCmd) Help() string {
	return "All members of the network can get the file as soon as it has been read. The link is for them; so is the seed, a text that names the file and how each piece of it is recognised. Whoever gets the file shares it too. shoal seeds rm ends that here."
}

// Run shares a file.
func (s seedCmd) Run(c *console) error {
	if err := s.check("seed"); err != nil {
		return err
	}
	if s.Outside != nil && (s.JSON || s.Out == "-") {
		return UsageError{"seed: --outside prints a link, without --json and -o -"}
	}
	path, err := wholePath(s.File)
	if err == nil {
		// The node names it so while it reads.
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return fmt.Errorf("seed %s: %w", s.File, reasonOf(err))
	}
	body := map[string]any{"path": path}
	if s.Name != "" {
		body["name"] = s.Name
	}
	if len(s.Web) > 0 {
		body["web"] = s.Web
	}
	if s.Base != "" {
		if body["base"], err = wholePath(s.Base); err != nil {
			return err
		}
	}
	var made api.KeptSeed
	done, err := c.reading(path, func() (bool, error) {
		answer, err := c.send(patient, http.MethodPost, "/api/seeds", nil, body)
		if err != nil {
			return false, err
		}
		return c.show("/api/seeds", answer, &made, s.JSON)
	})
	if err != nil {
		return err
	}
	if done && s.Out == "" {
		return nil
	}
	return s.write(c, made, path)
}

// write prints the link, and puts the text of the seed where it belongs.
func (s seedCmd) write(c *console, made api.KeptSeed, path string) error {
	text, err := c.call(http.MethodGet, "/api/seeds/"+made.Id+"/text", nil, nil)
	if err != nil {
		return err
	}
	if s.Out == "-" {
		if !s.JSON {
			fmt.Fprintln(c.Stderr, oneLine(made.Link))
		}
		_, err := c.Stdout.Write(text)
		return err
	}
	if s.Outside != nil {
		if err := c.linkOutside(made.Id, s.outsideFlags, false); err != nil {
			return err
		}
	} else if !s.JSON {
		fmt.Fprintln(c.Stdout, oneLine(made.Link))
	}
	out := s.Out
	if out == "" {
		out = path + ".seed"
	}
	list := ""
	if len(s.Web) > 0 && made.Pieces > seed.MaxInline {
		list = strings.TrimSuffix(out, ".seed") + seed.ListSuffix
		pieces, err := c.call(http.MethodGet, "/api/seeds/"+made.Id+"/pieces", nil, nil)
		if err == nil {
			err = writeList(list, out, pieces)
		}
		if err != nil {
			return fmt.Errorf("the file is shared, but the hashes of its pieces are not written: %w", err)
		}
	}
	if err := writeSeed(out, text); err != nil {
		return fmt.Errorf("the file is shared, but its seed is not written: %w", err)
	}
	fmt.Fprintf(c.Stderr, "%s in %s; the seed is %s\n", bytesText(made.Size), count(made.Pieces, "piece"), Printable(out))
	if list != "" {
		fmt.Fprintf(c.Stderr, "Its text has no room for the hashes of so many pieces. They are %s: put that on the web server too, as %s, and the file comes from there also when nobody else has it.\n", Printable(list), Printable(seed.ListURL(s.Web[0])))
	}
	return nil
}

// maxList is how many bytes the hashes of the largest file have.
const maxList = 32 * seed.MaxSize >> 20

// writeList writes the hashes of the pieces of a seed. They take the place of those that the seed which is at another
// path now was written with, and of nothing else.
func writeList(path, seedPath string, list []byte) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(path, list, 0o666)
	}
	var old []byte
	if err == nil && st.Mode().IsRegular() && st.Size() <= maxList {
		old, err = os.ReadFile(path)
	}
	if err != nil {
		return err
	}
	if bytes.Equal(old, list) {
		return nil
	}
	if text, err := readSeed(seedPath); err == nil {
		if was, err := seed.Parse(text); err == nil && was.List == blake3.Sum256(old) {
			return os.WriteFile(path, list, 0o666)
		}
	}
	return fmt.Errorf("%s is something else: say with -o where the seed goes", path)
}

// writeSeed writes the text of a seed. It takes the place of another one, and of nothing else.
func writeSeed(path string, text []byte) error {
	if old, err := readSeed(path); err == nil {
		if _, err := seed.Parse(old); err != nil {
			return fmt.Errorf("%s is something else: say with -o where the seed goes", path)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, text, 0o666)
}

// reading runs what has the node read a file, and shows how far it is.
func (c *console) reading(path string, run func() (bool, error)) (done bool, err error) {
	m := newMeter(c)
	if !m.shown {
		return run()
	}
	over := make(chan struct{})
	go func() {
		done, err = run()
		close(over)
	}()
	tick := time.NewTicker(watchPace)
	defer tick.Stop()
	for {
		select {
		case <-over:
			m.clear()
			return done, err
		case <-tick.C:
			var list api.KeptSeedList
			if _, err := c.get("/api/seeds", nil, &list, false); err != nil {
				continue // whoever is asked to read says what is wrong
			}
			for _, s := range list.Items {
				if s.State == api.KeptSeedStateReading && s.Path == path {
					m.show(fmt.Sprintf("reading  %s  %s", bar(s.BytesDone, s.Size), bytesText(s.Size)))
				}
			}
		}
	}
}

// patient waits for as long as it takes to read a file.
var patient = &http.Client{Transport: client.Transport, CheckRedirect: client.CheckRedirect}

// reasonOf leaves out what was done with which path, which the caller says better.
func reasonOf(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
