package command

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// meter shows in one line how far something is, for a person who watches: what a program reads goes to
// standard output.
type meter struct {
	w     io.Writer
	shown bool // somebody can see it
	last  string
}

func newMeter(c *console) *meter {
	f, ok := c.Stderr.(*os.File)
	return &meter{w: c.Stderr, shown: ok && isatty.IsTerminal(f.Fd()) && c.Getenv("TERM") != "dumb"}
}

func (m *meter) show(line string) {
	line = oneLine(line)
	if m.shown && line != m.last {
		fmt.Fprint(m.w, "\r\x1b[K"+line)
		m.last = line
	}
}

// clear makes room for what comes next.
func (m *meter) clear() {
	if m.last != "" {
		fmt.Fprint(m.w, "\r\x1b[K")
		m.last = ""
	}
}

// barWidth is how many characters a bar has.
const barWidth = 24

// bar draws how much of total is done.
func bar(done, total int64) string {
	full := barWidth
	if total > 0 {
		full = int(float64(min(max(done, 0), total)) / float64(total) * barWidth)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] " + percent(done, total)
}
