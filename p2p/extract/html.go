package extract

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// stripHTML returns the title of a page, else its first heading, and its text.
// With an error it returns what came before. It reads tokens, not a tree, so
// nothing grows with how deep a page is nested.
func stripHTML(page string) (title, text string, err error) {
	z := html.NewTokenizer(strings.NewReader(page))
	z.SetMaxBuf(len(page) + 1)
	p := pageText{}
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return p.name(), p.text.String(), fmt.Errorf("after %d bytes of text: %w", p.text.Len(), err)
			}
			return p.name(), p.text.String(), nil
		case html.TextToken:
			p.write(string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := z.TagName()
			p.tag(atom.Lookup(name), kind)
		}
	}
}

// pageText collects what a page shows.
type pageText struct {
	text           strings.Builder
	title, heading strings.Builder
	within         atom.Atom // the element whose text goes elsewhere: hidden, title or first heading
	headed         bool      // the first heading is complete
}

func (p *pageText) name() string {
	if title := oneLine(p.title.String(), 4*search.MaxTitle); title != "" {
		return title
	}
	return p.heading.String()
}

func (p *pageText) write(s string) {
	switch p.within {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe:
		return
	case atom.Title:
		p.title.WriteString(s)
		return
	case atom.H1, atom.H2:
		if !p.headed {
			p.heading.WriteString(s)
		}
	}
	p.text.WriteString(s)
}

func (p *pageText) tag(name atom.Atom, kind html.TokenType) {
	switch name {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe, atom.Title, atom.H1, atom.H2:
		if kind == html.StartTagToken && p.within == 0 {
			p.within = name
		} else if kind == html.EndTagToken && p.within == name {
			p.headed = p.headed || (name == atom.H1 || name == atom.H2) && strings.TrimSpace(p.heading.String()) != ""
			p.within = 0
		}
	}
	switch name {
	case atom.A, atom.B, atom.I, atom.Em, atom.Strong, atom.Span, atom.Code, atom.Small, atom.Sub, atom.Sup, atom.U,
		atom.Mark, atom.Abbr, atom.Font, atom.Wbr, atom.Q, atom.S, atom.Kbd, atom.Var, atom.Cite, atom.Dfn:
		return // these do not end a word
	}
	if n := p.text.Len(); n > 0 && p.within == 0 && p.text.String()[n-1] != '\n' {
		p.text.WriteByte('\n')
	}
}
