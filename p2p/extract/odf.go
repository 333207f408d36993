package extract

import (
	"strconv"
	"strings"
)

// openDocument reads a document of ISO/IEC 26300: odt, ods, odp, odg.
func (a *archive) openDocument(w *writer) (title string, err error) {
	locked := false
	err = a.each("META-INF/manifest.xml", func() bool { return locked }, func(e element) {
		locked = locked || e.name == "encryption-data"
	}, func([]byte) {})
	if err != nil {
		return "", err
	}
	if locked {
		return "", errEncrypted
	}
	title = a.field("meta.xml", "title")
	o := openText{writer: w}
	err = a.each("content.xml", w.full, o.tag, o.text)
	if title == "" {
		title = o.heading
	}
	return title, err
}

// openText collects the text of content.xml.
type openText struct {
	*writer
	within  int // paragraphs: notes have paragraphs within one
	cells   int
	deleted int // within what was deleted
	begin   int // of the heading
	heading string
}

// maxSpaces is how many spaces one element may stand for.
const maxSpaces = 64

func (o *openText) tag(e element) {
	step := -1
	if e.begins {
		step = 1
	}
	switch e.name {
	case "p", "h":
		if e.space != "text" {
			return
		}
		o.within = max(o.within+step, 0)
		if e.begins {
			o.begin = len(o.b)
			return
		}
		if e.name == "h" && o.heading == "" && o.begin <= len(o.b) {
			o.heading = string(o.b[o.begin:])
		}
		if o.cells > 0 {
			o.writer.text([]byte(" "))
		} else {
			o.paragraph()
		}
	case "table-cell":
		if o.cells = max(o.cells+step, 0); !e.begins {
			o.trim()
			o.tab()
		}
	case "table-row":
		if !e.begins {
			o.line()
		}
	case "note", "note-body":
		o.writer.text([]byte(" "))
	case "tracked-changes":
		o.deleted = max(o.deleted+step, 0)
	case "table", "page":
		if e.begins {
			if name := e.attr("name"); e.name == "table" && name != "" && !strings.HasPrefix(name, "Table") {
				o.line()
				o.writer.text([]byte(name))
			}
			o.line()
		} else {
			o.paragraph()
		}
	case "s":
		if e.begins {
			n, err := strconv.Atoi(e.attr("c"))
			if err != nil {
				n = 1
			}
			o.writer.text([]byte(strings.Repeat(" ", min(max(n, 1), maxSpaces))))
		}
	case "tab":
		if e.begins {
			o.tab()
		}
	case "line-break":
		if e.begins {
			o.line()
		}
	}
}

func (o *openText) text(s []byte) {
	if o.within > 0 && o.deleted == 0 {
		o.writer.text(s)
	}
}
