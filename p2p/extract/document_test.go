package extract

import (
	"os"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// TestDocuments reads what other programs have written: pandoc and LibreOffice.
func TestDocuments(t *testing.T) {
	r := reader(t, Options{})
	const title = "The Herring Report"
	report := []string{"Shoals of the North Sea", "efficient fish find office work difficult.", "Grüße aus Zürich, naïve café and Œuvres", "12345", "another one about krill", "The footnote mentions anchovies", "Русский текст о сельди. Ελληνικά για ρέγγα. 鰊の群れ。"}
	catch := []string{"Name\tCatch\nHerring\t123.5\nMackerel\t77"}
	for _, tt := range []struct {
		name, title, kind string
		want              []string
	}{
		{"report.docx", title, search.TypeDocument, report},
		{"report.odt", title, search.TypeDocument, report},
		{"report.epub", title, search.TypeDocument, report},
		{"report.pptx", title, search.TypeDocument, report},
		{"report.odp", title, search.TypeDocument, report},
		{"report.pdf", title, search.TypePDF, report},
		{"catch.xlsx", "catch.xlsx", search.TypeDocument, catch},
		{"catch.ods", "catch.ods", search.TypeDocument, catch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content, err := os.ReadFile("testdata/" + tt.name)
			if err != nil {
				t.Fatal(err)
			}
			got := readBytes(t, r, tt.name, content)
			if got.Title != tt.title || got.Type != tt.kind || got.Reason != "" {
				t.Errorf("title %q, type %s, %s %s", got.Title, got.Type, got.Reason, got.Detail)
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.ReplaceAll(got.Text, "\n", " "), strings.ReplaceAll(want, "\n", " ")) {
					t.Errorf("no %q in\n%s", want, got.Text)
				}
			}
		})
	}
}
