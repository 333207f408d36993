package extract

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// BenchmarkRead reads small files: text, which needs no child, and documents, by a
// child and, to see what it costs, without one.
func BenchmarkRead(b *testing.B) {
	r := reader(b, Options{})
	text := []byte(strings.Repeat("Herring swim in shoals of several million animals.\n", 80))
	page := append([]byte("<html><title>Herring</title><p>"), text...)
	files := map[string][]byte{"text.txt": text, "page.html": page}
	for _, name := range []string{"report.docx", "report.odt", "report.epub", "report.pptx", "catch.xlsx", "report.pdf"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			b.Fatal(err)
		}
		files[name] = content
	}
	for name, content := range files {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if t := readBytes(b, r, name, content); t.Text == "" {
					b.Fatal(t.Reason, t.Detail)
				}
			}
		})
		if canRead(name) {
			b.Run(name+"/no child", func(b *testing.B) {
				b.SetBytes(int64(len(content)))
				for b.Loop() {
					if _, err := document(name, bytes.NewReader(content), int64(len(content)), 4<<20); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	// As the second to last line of BENCHMARKS.md has it: long documents.
	for name, content := range map[string][]byte{
		"long.docx": wordOf(b, repeated("<w:p><w:r><w:t>Herring swim in shoals of several million animals.</w:t></w:r></w:p>", 6<<20)),
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n += len(readBytes(b, r, name, content).Text)
			}
			b.ReportMetric(float64(n)/1e6/b.Elapsed().Seconds(), "MB-text/s")
		})
	}
}

// BenchmarkStart is what the first document after a rest costs more.
func BenchmarkStart(b *testing.B) {
	content, err := os.ReadFile("testdata/report.docx")
	if err != nil {
		b.Fatal(err)
	}
	r := reader(b, Options{Files: 1})
	for b.Loop() {
		readBytes(b, r, "a.docx", content)
	}
}
