package extract

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// office reads a document of ECMA-376: docx, pptx, xlsx.
func (a *archive) office(w *writer) (title string, err error) {
	main := a.mainPart()
	dir := path.Dir(main)
	title = a.field("docProps/core.xml", "title")
	switch {
	case strings.HasPrefix(main, "word/"):
		title, err = a.word(w, main, title)
	case strings.HasPrefix(main, "ppt/"):
		err = a.slides(w, dir)
	case strings.HasPrefix(main, "xl/"):
		err = a.sheets(w, main)
	default:
		err = fmt.Errorf("%w: an office document without a main part", errDamaged)
	}
	return title, err
}

// mainPart returns the part that the others belong to.
func (a *archive) mainPart() string {
	main := ""
	if r, err := a.open("_rels/.rels"); err == nil {
		err = eachElement(r, func() bool { return main != "" }, func(e element) {
			if e.begins && e.name == "Relationship" && strings.HasSuffix(e.attr("Type"), "/officeDocument") {
				main = joinPart("", e.attr("Target"))
			}
		}, func([]byte) {})
		if err != nil {
			main = ""
		}
	}
	for _, usual := range []string{"word/document.xml", "ppt/presentation.xml", "xl/workbook.xml"} {
		if !a.has(main) && a.has(usual) {
			main = usual
		}
	}
	return main
}

// word reads a text document. Without a title of its own its first heading is
// that.
func (a *archive) word(w *writer, main, title string) (string, error) {
	p := paragraphs{writer: w}
	err := a.each(main, w.full, p.tag, p.text)
	dir := path.Dir(main)
	for _, notes := range [][2]string{{"/footnotes", ".xml"}, {"/endnotes", ".xml"}, {"/comments", ".xml"}, {"/header", ".xml"}, {"/footer", ".xml"}} {
		for _, part := range a.numbered(dir+notes[0], notes[1]) {
			if err == nil {
				w.paragraph()
				err = a.each(part, w.full, p.tag, p.text)
			}
		}
	}
	if title == "" {
		title = p.heading
	}
	return title, err
}

// each is eachElement of a part.
func (a *archive) each(part string, full func() bool, tag func(element), text func([]byte)) error {
	r, err := a.open(part)
	if err != nil {
		return err
	}
	return eachElement(r, full, tag, text)
}

// paragraphs collects the text of a part with paragraphs: of w: and of a:.
type paragraphs struct {
	*writer
	shows   bool // text is shown
	instead int  // how deep in what is there for older programs
	cells   int  // how deep in tables
	begin   int  // of the paragraph
	styled  bool // the paragraph is a heading
	heading string
}

func (p *paragraphs) tag(e element) {
	switch e.name {
	case "Fallback":
		if e.begins {
			p.instead++
		} else {
			p.instead = max(p.instead-1, 0)
		}
	case "t":
		p.shows = e.begins
	case "tc":
		if e.begins {
			p.cells++
		} else {
			p.cells = max(p.cells-1, 0)
			p.trim()
			p.tab()
		}
	case "tr":
		if !e.begins {
			p.line()
		}
	case "p":
		p.paragraphTag(e.begins)
	}
	if !e.begins {
		return
	}
	switch e.name {
	case "pStyle":
		style := strings.ToLower(e.attr("val"))
		p.styled = strings.HasPrefix(style, "title") || strings.HasPrefix(style, "heading1") || strings.HasPrefix(style, "titel") || strings.HasPrefix(style, "berschrift1")
	case "tab":
		p.tab()
	case "br", "cr":
		p.line()
	case "noBreakHyphen":
		p.writer.text([]byte("-"))
	}
}

func (p *paragraphs) paragraphTag(begins bool) {
	switch {
	case begins:
		p.begin, p.styled = len(p.b), false
		return
	case p.cells > 0:
		p.writer.text([]byte(" "))
	default:
		p.paragraph()
	}
	if p.styled && p.heading == "" && p.begin <= len(p.b) {
		p.heading = string(p.b[p.begin:])
	}
}

func (p *paragraphs) text(s []byte) {
	if p.shows && p.instead == 0 {
		p.writer.text(s)
	}
}

// slides reads a presentation.
func (a *archive) slides(w *writer, dir string) error {
	for _, kind := range []string{"/slides/slide", "/notesSlides/notesSlide"} {
		for _, part := range a.numbered(dir+kind, ".xml") {
			p := paragraphs{writer: w}
			if err := a.each(part, w.full, p.tag, p.text); err != nil {
				return err
			}
			w.paragraph()
		}
	}
	return nil
}

// maxShared is how many bytes of strings a spreadsheet's cells can refer to.
const maxShared = 64 << 20

// sheets reads a spreadsheet: a line for each row.
func (a *archive) sheets(w *writer, main string) error {
	dir := path.Dir(main)
	shared, err := a.sharedStrings(dir + "/sharedStrings.xml")
	if err != nil {
		return err
	}
	names, err := a.sheetNames(main)
	if err != nil {
		return err
	}
	for i, part := range a.numbered(dir+"/worksheets/sheet", ".xml") {
		if i < len(names) {
			w.text([]byte(names[i]))
			w.line()
		}
		s := sheet{writer: w, shared: shared}
		if err := a.each(part, w.full, s.tag, s.add); err != nil {
			return err
		}
		w.paragraph()
	}
	return nil
}

func (a *archive) sheetNames(main string) ([]string, error) {
	var names []string
	err := a.each(main, func() bool { return len(names) > 1<<12 }, func(e element) {
		if e.begins && e.name == "sheet" {
			names = append(names, e.attr("name"))
		}
	}, func([]byte) {})
	return names, err
}

func (a *archive) sharedStrings(part string) ([]string, error) {
	var shared []string
	var item []byte
	size, shows, phonetic := 0, false, false
	err := a.each(part, func() bool { return size > maxShared }, func(e element) {
		switch e.name {
		case "t":
			shows = e.begins
		case "rPh":
			phonetic = e.begins
		case "si":
			if !e.begins {
				shared = append(shared, string(item))
				size += len(item) + 16
			}
			item = item[:0]
		}
	}, func(s []byte) {
		if shows && !phonetic {
			item = append(item, s...)
		}
	})
	if size > maxShared {
		return nil, fmt.Errorf("%w: more than %d MiB of strings", errTooLarge, maxShared>>20)
	}
	return shared, err
}

// sheet collects the cells of a worksheet.
type sheet struct {
	*writer
	shared []string
	kind   string // of the cell
	shows  bool   // within its value
	value  []byte
}

func (s *sheet) tag(e element) {
	switch e.name {
	case "c":
		if e.begins {
			s.kind, s.value = e.attr("t"), s.value[:0]
		} else {
			s.cell()
		}
	case "v", "t":
		s.shows = e.begins
	case "row":
		if !e.begins {
			s.line()
		}
	}
}

func (s *sheet) add(b []byte) {
	if s.shows && len(s.value) < 1<<20 {
		s.value = append(s.value, b...)
	}
}

func (s *sheet) cell() {
	switch s.kind {
	case "s":
		if i, err := strconv.Atoi(string(s.value)); err == nil && i >= 0 && i < len(s.shared) {
			s.text([]byte(s.shared[i]))
		}
	case "b", "e": // true and false, errors
	default:
		s.text(s.value)
	}
	s.tab()
}
