package main

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// plain is SymSpell as it is described, without any care: maps of strings, all
// deletions of the first seven letters, and a comparison by the whole matrix.
type plain struct {
	words   []string
	deletes map[string][]uint32
}

const plainPrefix = 7

func (p *plain) add(word string) {
	number := uint32(len(p.words))
	p.words = append(p.words, word)
	for _, r := range fastss.Residuals(cut(word), edits) {
		p.deletes[r] = append(p.deletes[r], number)
	}
}

func (p *plain) lookup(q string) (found int) {
	seen := make(map[uint32]bool)
	for _, r := range fastss.Residuals(cut(q), edits) {
		for _, number := range p.deletes[r] {
			if seen[number] {
				continue
			}
			seen[number] = true
			w := p.words[number]
			if d := len(w) - len(q); d > edits || -d > edits {
				continue
			}
			matrix := fastss.OSA.Matrix(q, w)
			if last := matrix[len(matrix)-1]; last[len(last)-1] <= edits {
				found++
			}
		}
	}
	return found
}

func cut(word string) string {
	letters := []rune(word)
	return string(letters[:min(len(letters), plainPrefix)])
}

// plainSymspell returns it as a contender.
func plainSymspell(words, queries []string) *contender {
	before, began := heap(), time.Now()
	p := &plain{deletes: make(map[string][]uint32)}
	for _, w := range words {
		p.add(w)
	}
	c := &contender{name: "SymSpell, plainly written", build: []time.Duration{time.Since(began)}}
	c.bytes = heap() - before
	c.round = timed(queries, func(q string) { p.lookup(q) })
	return c
}
