package extract

import (
	"fmt"
	"net/url"
	"strings"
)

const (
	// maxChapters is how many chapters of a book are read.
	maxChapters = 1 << 12
	// maxChapter is how long one may be.
	maxChapter = 32 << 20
)

// epub reads a book: its chapters in the order of its spine.
func (a *archive) epub(w *writer) (title string, err error) {
	root := ""
	err = a.each("META-INF/container.xml", func() bool { return root != "" }, func(e element) {
		if e.begins && e.name == "rootfile" {
			root = joinPart("", e.attr("full-path"))
		}
	}, func([]byte) {})
	if err != nil {
		return "", err
	}
	if !a.has(root) {
		return "", fmt.Errorf("%w: a book without a table of contents", errDamaged)
	}
	title = a.field(root, "title")
	chapters, err := a.spine(root)
	if err != nil {
		return title, err
	}
	for _, part := range chapters {
		b, err := a.read(part, maxChapter)
		if err != nil {
			return title, err
		}
		page, _ := decode(b, false, true)
		_, text, err := stripHTML(page)
		w.text([]byte(text))
		w.paragraph()
		if err != nil {
			return title, fmt.Errorf("%w: %s: %w", errDamaged, part, err)
		}
		if w.full() {
			break
		}
	}
	if len(w.b) == 0 && a.has("META-INF/encryption.xml") {
		return title, errEncrypted
	}
	return title, nil
}

// spine returns the parts that are chapters.
func (a *archive) spine(root string) ([]string, error) {
	items := make(map[string]string)
	var order []string
	err := a.each(root, func() bool { return len(order) >= maxChapters }, func(e element) {
		switch {
		case !e.begins:
		case e.name == "item" && len(items) < maxChapters:
			if kind := e.attr("media-type"); strings.Contains(kind, "html") || kind == "" {
				if href, err := url.PathUnescape(e.attr("href")); err == nil {
					items[e.attr("id")] = joinPart(root, href)
				}
			}
		case e.name == "itemref":
			if part, ok := items[e.attr("idref")]; ok && a.has(part) {
				order = append(order, part)
			}
		}
	}, func([]byte) {})
	if len(order) == 0 && err == nil {
		err = fmt.Errorf("%w: a book without chapters", errDamaged)
	}
	return order, err
}
