package query

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// shape writes an expression with all its parentheses.
func shape(e Expr) string {
	each := func(all []Expr) string {
		parts := make([]string, len(all))
		for i, e := range all {
			parts[i] = shape(e)
		}
		return strings.Join(parts, " ")
	}
	switch e := e.(type) {
	case nil:
		return "nothing"
	case Not:
		return "(not " + shape(e.Of) + ")"
	case And:
		return "(and " + each(e) + ")"
	case Or:
		return "(or " + each(e) + ")"
	}
	return e.String()
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "nothing"},
		{" \t\n ", "nothing"},
		{"network", "network"},
		{"network peers", "(and network peers)"},
		{"a AND b", "(and a b)"},
		{"a b OR c d", "(or (and a b) (and c d))"},
		{"a OR b OR c", "(or a b c)"},
		{"a OR (b OR c)", "(or a b c)"},
		{"a (b c)", "(and a b c)"},
		{"(a OR b) c", "(and (or a b) c)"},
		{"(a OR b)(c OR d)", "(and (or a b) (or c d))"},
		{"-a", "(not a)"},
		{"NOT a", "(not a)"},
		{"b -a", "(and b (not a))"},
		{"b NOT NOT a", "(and b a)"},
		{"b -(a c)", "(and b (not (and a c)))"},
		{"b AND NOT a", "(and b (not a))"},
		{`"a b" c`, `(and "a b" c)`},
		{`-"a b"`, `(not "a b")`},
		{"“a b”", `"a b"`},
		{"net*", "net*"},
		{"net* work", "(and net* work)"},
		{"(net*)", "net*"},
		{"name:report", "name:report"},
		{`title:"annual report"`, `title:"annual report"`},
		{"name:rep*", "name:rep*"},
		{"ext:pdf", "ext:pdf"},
		{"ext:.PDF,Docx", "ext:pdf,docx"},
		{`folder:"my photos",work`, `folder:"my photos",work`},
		{"-ext:pdf a", "(and (not ext:pdf) a)"},
		{"NODE:Alice", "node:Alice"},

		// What is text.
		{"rock and roll", "(and rock and roll)"},
		{"AND", "and"},
		{"OR b", "(and or b)"},
		{"a AND", "(and a and)"},
		{"a OR", "(and a or)"},
		{"a NOT", "(and a not)"},
		{"a OR AND b", "(and a or b)"},
		{"a AND OR b", "(or (and a and) b)"},
		{"a OR NOT", "(or a not)"},
		{`5" disk`, "(and 5 disk)"},
		{`12" or 7" vinyl`, "(and 12 or 7 vinyl)"},
		{`"any wa`, "(and any wa)"},
		{`"`, "nothing"},
		{`""`, "nothing"},
		{`" "`, "nothing"},
		{"-", "nothing"},
		{"a - b", "(and a b)"},
		{"wi-fi", "wi-fi"},
		{"--flag", "flag"},
		{"-)", "nothing"},
		{"c++", "c++"},
		{"main()", "main"},
		{"(call main() OR x)", "(or (and call main) x)"},
		{"f(a, b)", "(and f a, b)"},
		{":(", "nothing"},
		{"a :) b", "(and a b)"},
		{"(see below", "(and see below)"},
		{"below)", "below"},
		{"()", "nothing"},
		{"a OR ()", "a"},
		{"*", "nothing"},
		{"*a a*b", "(and a a b)"},
		{"10:30 http://x.org std::vector", "(and 10:30 http://x.org std::vector)"},
		{"size: 10", "(and size 10)"},
		{"size:", "size"},
		{"title:", "title"},
		{"ext:.", "(and ext .)"},
		{"main(size:5)", "(and main size 5)"},
		{`^\d+(foo|bar)[a-z]{2,}$`, `(and ^\d+ foo|bar [a-z]{2,}$)`},
		{"a\x00b", "(and a b)"},
		{"שלום -עולם", "(and שלום (not עולם))"},
		{"e\u0301te\u0301 \u0301", "(and e\u0301te\u0301 \u0301)"},
	} {
		e, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := shape(e); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestRanges(t *testing.T) {
	day := func(s string) int64 {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return at.UnixNano()
	}
	const low, high = math.MinInt64, math.MaxInt64
	for _, tt := range []struct {
		text     string
		from, to int64
	}{
		{"size:0", 0, 0},
		{"size:1234", 1234, 1234},
		{"size:>10mb", 10_000_001, high},
		{"size:>=10MB", 10_000_000, high},
		{"size:<10mb", low, 9_999_999},
		{"size:<=1kib", low, 1024},
		{"size:1mb..20mb", 1_000_000, 20_000_000},
		{"size:1.5k..", 1500, high},
		{"size:..2g", low, 2_000_000_000},
		{"size:10mb", 9_500_000, 10_499_999}, // what is shown so
		{"size:1.5mb", 1_450_000, 1_549_999},
		{"size:2kib", 1536, 2559},
		{"fields.Year:2024", Order(2024), Order(2024)},
		{"FIELDS.x:>-2.5", Order(-2.5) + 1, high},
		{"fields.x:<=1e3", low, Order(1000)},
		{"fields.x:-3..", Order(-3), high},
		{"fields.ä-b_c:..0", low, Order(0)},
		{"modified:2024", day("2024-01-01T00:00:00Z"), day("2025-01-01T00:00:00Z") - 1},
		{"modified:2024..2025", day("2024-01-01T00:00:00Z"), day("2026-01-01T00:00:00Z") - 1},
		{"modified:2024-02", day("2024-02-01T00:00:00Z"), day("2024-03-01T00:00:00Z") - 1},
		{"modified:>2026-01-01", day("2026-01-02T00:00:00Z"), high},
		{"modified:>=2026-01-01", day("2026-01-01T00:00:00Z"), high},
		{"modified:<2026-01-01", low, day("2026-01-01T00:00:00Z") - 1},
		{"modified:<=2025-06", low, day("2025-07-01T00:00:00Z") - 1},
		{"modified:2025-06-07T08:09", day("2025-06-07T08:09:00Z"), day("2025-06-07T08:10:00Z") - 1},
		{"modified:2025-06-07T08:09:10Z..", day("2025-06-07T08:09:10Z"), high},
	} {
		e, err := Parse(tt.text)
		r, ok := e.(Range)
		if err != nil || !ok || r.From != tt.from || r.To != tt.to {
			t.Errorf("%s: %#v, %v; want %d to %d", tt.text, e, err, tt.from, tt.to)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, tt := range []struct {
		text       string
		start, end int
		expected   string
	}{
		{"report size:>banana", 12, 19, wantSize},
		{"ä size:10xb", 7, 11, wantSize},
		{"size:..", 5, 7, wantSize},
		{"fields.x:inf", 9, 12, wantOwn},
		{"fields.x:0x1", 9, 12, wantOwn},
		{"fields.ä:1..many", 9, 16, wantOwn},
		{"fields.x:2..-1", 9, 14, wantUp},
		{"size:20mb..1mb", 5, 14, wantUp},
		{"size:<0", 5, 7, wantMore},
		{"size:1.2.3", 5, 10, wantSize},
		{"size:99999999999999999999", 5, 25, wantSize},
		{"modified:2024-13", 9, 16, wantTime},
		{"modified:yesterday", 9, 18, wantTime},
		{"modified:2025..2024", 9, 19, wantUp},
		{"modified:0001", 9, 13, wantTime},
		{"(a OR b c", 0, 1, "a ) that closes it"},
		{"x (a -b", 2, 3, "a ) that closes it"},
		{strings.Repeat("(", MaxDepth+1) + "a" + strings.Repeat(")", MaxDepth+1), MaxDepth, MaxDepth + 1, "at most 32 parentheses in each other"},
		{strings.Repeat("a ", MaxTerms+1), 2 * MaxTerms, 2*MaxTerms + 1, "at most 1024 words"},
		{strings.Repeat(`"a b" `, MaxPhrases+1), 6 * MaxPhrases, 6*MaxPhrases + 5, "at most 16 phrases"},
		{"ext:a,bb" + numbers(MaxValues), 0, 0, "at most 64 values"},
	} {
		_, err := Parse(tt.text)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%.40q: %v", tt.text, err)
			continue
		}
		if e.Expected != tt.expected || tt.end > 0 && (e.Start != tt.start || e.End != tt.end) {
			t.Errorf("%.40q: [%d, %d) expected %s; want [%d, %d) %s", tt.text, e.Start, e.End, e.Expected, tt.start, tt.end, tt.expected)
		}
	}
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", i)
	}
	return b.String()
}

// FuzzParse: whatever is typed is understood or refused with a place in it, and an
// expression is the same when it is written and read again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`network (a OR "b c") -d* name:x title:"y z" ext:pdf,doc size:1mb..2mb modified:>2024 node:a folder:"b c"`,
		`a AND NOT (b OR -c) "x`, "(((a) b) c", "a)(b", "--a -(-b)", "ext:, name:-: size::", "OR AND NOT", "“a” \u0301 \x00 \u202e", "name:a*b title:*",
		"modified:1700 modified:<1700 modified:>2200 size:0..1", "main(size:5) 5\"ext:a", "-AND (OR)", "a*) b*", "type::,a", "fields.x:-1e300..1e-300 Fields.Y:>1 fields.:1 fields.x:", "ext:a\"b\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			var at *Error
			if n := utf8.RuneCountInString(text); !errors.As(err, &at) || at.Start < 0 || at.Start >= at.End || at.End > n {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		if e == nil {
			return
		}
		again, err := Parse(e.String())
		if err != nil {
			t.Fatalf("%q is %q: %v", text, e.String(), err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("%q is %q (-first +again):\n%s", text, e.String(), diff)
		}
	})
}

// TestOrder: numbers and what stands for them are in the same order.
func TestOrder(t *testing.T) {
	all := []float64{math.Inf(-1), -math.MaxFloat64, -2024, -2, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 0.5, 1, 2, 2024, math.MaxFloat64, math.Inf(1)}
	for i, n := range all {
		if Number(Order(n)) != n {
			t.Errorf("%v is %v again", n, Number(Order(n)))
		}
		if i > 0 && Order(all[i-1]) >= Order(n) {
			t.Errorf("%v is not before %v", all[i-1], n)
		}
	}
	if Order(math.Copysign(0, -1)) != 0 || Order(math.Inf(-1)) == math.MinInt64 || Order(math.Inf(1)) == math.MaxInt64 {
		t.Error("zero, or what is beyond all")
	}
	for name, ok := range map[string]bool{"year": true, "Jahr_ä": true, "": false, "a b": false, "a:b": false, "(": false, `"`: false} {
		if _, got := Of(name); got != ok {
			t.Errorf("%q: %v", name, got)
		}
	}
}
