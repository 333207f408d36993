package pdf

import (
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/unicode/norm"
)

// font says what codes of a string mean and how wide they are (9.6, 9.7).
type font struct {
	wide    bool              // codes have two bytes
	unicode *cmap             // what the file says, nil: nothing
	simple  [256]string       // what the encoding says of single bytes
	coded   encoding.Encoding // of a whole string of two-byte codes; nil: unknown
	utf16   bool              // codes are UTF-16
	widths  map[int]float64   // in thousandths of the size
	usual   float64           // width of the others
}

// glyph is a code of a string.
type glyph struct {
	text  string
	width float64 // in thousandths of the size
	space bool    // it is the single byte 32, to which word spacing applies
}

// maxWidths is how many widths of a font are read.
const maxWidths = 1 << 17

func (f *file) font(d dict) *font {
	t := &font{widths: make(map[int]float64), usual: 500}
	if s, ok := f.resolve(d["ToUnicode"]).(*stream); ok {
		if data, err := f.decode(s); err == nil {
			t.unicode = readCMap(data)
		}
	}
	if f.resolve(d["Subtype"]) == name("Type0") {
		f.composite(t, d)
		return t
	}
	f.encoding(t, d)
	scale := 1.0
	if f.resolve(d["Subtype"]) == name("Type3") {
		if m := f.list(d["FontMatrix"]); len(m) == 6 {
			scale = 1000 * f.number(m[0], 0.001)
		}
	}
	if strings.Contains(string(f.named(d["BaseFont"])), "Courier") {
		t.usual = 600
	}
	t.usual = f.number(f.dict(d["FontDescriptor"])["MissingWidth"], t.usual)
	first := f.integer(d["FirstChar"], 0)
	for i, w := range f.list(d["Widths"]) {
		if i > 255 {
			break
		}
		t.widths[first+i] = scale * f.number(w, 0)
	}
	return t
}

func (f *file) named(x object) name {
	n, _ := f.resolve(x).(name)
	return n
}

// composite reads a font of many glyphs.
func (f *file) composite(t *font, d dict) {
	t.wide, t.usual = true, 1000
	var inner dict
	if list := f.list(d["DescendantFonts"]); len(list) > 0 {
		inner = f.dict(list[0])
	}
	t.usual = f.number(inner["DW"], 1000)
	list := f.list(inner["W"])
	for len(list) > 1 && len(t.widths) < maxWidths {
		first := f.integer(list[0], 0)
		if ws, ok := f.resolve(list[1]).(array); ok {
			for i, w := range ws {
				t.widths[first+i] = f.number(w, t.usual)
			}
			list = list[2:]
			continue
		}
		if len(list) < 3 {
			break
		}
		w := f.number(list[2], t.usual)
		for c := first; c <= min(f.integer(list[1], 0), first+0xffff); c++ {
			t.widths[c] = w
		}
		list = list[3:]
	}
	switch e := string(f.named(d["Encoding"])); {
	case strings.Contains(e, "UCS2"), strings.Contains(e, "UTF16"):
		t.utf16 = true
	case strings.HasPrefix(e, "GB"):
		t.coded = simplifiedchinese.GB18030
	case strings.Contains(e, "RKSJ"):
		t.coded = japanese.ShiftJIS
	case strings.HasPrefix(e, "EUC-"):
		t.coded = japanese.EUCJP
	case strings.HasPrefix(e, "KSC"):
		t.coded = korean.EUCKR
	case strings.HasPrefix(e, "B5"), strings.HasPrefix(e, "ETen"), strings.HasPrefix(e, "HKscs"):
		t.coded = traditionalchinese.Big5
	}
}

// encoding reads what a simple font's codes mean.
func (f *file) encoding(t *font, d dict) {
	base := f.named(d["Encoding"])
	var differences array
	if e := f.dict(d["Encoding"]); e != nil {
		base, differences = f.named(e["BaseEncoding"]), f.list(e["Differences"])
	}
	table := charmap.Windows1252
	if base == "MacRomanEncoding" {
		table = charmap.Macintosh
	}
	for c := range t.simple {
		t.simple[c] = string(table.DecodeByte(byte(c)))
	}
	if base == "" || base == "StandardEncoding" { // where it differs from WinAnsi and is used
		for c, s := range map[int]string{
			0x27: "’", 0x60: "‘", 0xae: "fi", 0xaf: "fl", 0xa9: "'", 0xaa: "“", 0xba: "”", 0xb1: "–", 0xd0: "—",
			0xb7: "•", 0xbc: "…", 0xf5: "ı", 0xfb: "ß", 0xf9: "ø", 0xfa: "œ", 0xf1: "æ", 0xe1: "Æ", 0xea: "Œ", 0xe9: "Ø",
			0xad: "›", 0xac: "‹", 0xb9: "„", 0xb8: "‚",
		} {
			t.simple[c] = s
		}
	}
	code := 0
	for _, x := range differences {
		switch x := f.resolve(x).(type) {
		case int64:
			code = int(x)
		case name:
			if code >= 0 && code < 256 {
				t.simple[code] = glyphName(string(x))
			}
			code++
		}
	}
}

// decode returns the glyphs of a string.
func (t *font) decode(s string) []glyph {
	out := make([]glyph, 0, len(s))
	for len(s) > 0 {
		n := 1
		if t.wide {
			n = min(2, len(s))
		}
		if t.wide && t.coded != nil && s[0] < 0x80 {
			n = 1
		}
		text, ok := "", false
		if t.unicode != nil {
			if k := t.unicode.length(s); k > 0 && t.wide {
				n = k
			}
			text, ok = t.unicode.text(s[:n])
		}
		code := int(bigEndian([]byte(s[:n])))
		if !ok {
			text = t.fallback(s[:n], code)
		}
		width, known := t.widths[code]
		if !known {
			width = t.usual
		}
		out = append(out, glyph{text: text, width: width, space: n == 1 && s[0] == ' '})
		s = s[n:]
	}
	return out
}

// fallback returns what a code means where the file does not say it.
func (t *font) fallback(s string, code int) string {
	switch {
	case !t.wide:
		return t.simple[code]
	case t.utf16:
		return string(utf16.Decode([]uint16{uint16(code)}))
	case t.coded != nil:
		text, err := t.coded.NewDecoder().String(s)
		if err == nil {
			return text
		}
	}
	return ""
}

// cmap is a table from codes to text (9.10.3).
type cmap struct {
	spaces []codeRange
	chars  map[string]string
	ranges []textRange
}

type codeRange struct{ low, high string }

type textRange struct {
	codeRange
	text string
}

const (
	maxSpaces = 64
	maxChars  = 1 << 17 // entries
	maxRanges = 1 << 12
)

func readCMap(data []byte) *cmap {
	m := &cmap{chars: make(map[string]string)}
	l := lexBytes(data)
	var stack array
	for {
		x := l.object()
		op, ok := x.(keyword)
		if !ok {
			if len(stack) < 1024 {
				stack = append(stack, x)
			}
			continue
		}
		switch op {
		case "":
			return m
		case "endcodespacerange":
			for ; len(stack) > 1; stack = stack[2:] {
				if r, ok := rangeOf(stack); ok && len(m.spaces) < maxSpaces {
					m.spaces = append(m.spaces, r)
				}
			}
		case "endbfchar":
			for ; len(stack) > 1 && len(m.chars) < maxChars; stack = stack[2:] {
				code, ok := stack[0].(string)
				text, ok2 := stack[1].(string)
				if ok && ok2 {
					m.chars[code] = utf16Text(text)
				}
			}
		case "endbfrange":
			for ; len(stack) > 2; stack = stack[3:] {
				m.add(stack)
			}
		}
		stack = stack[:0]
	}
}

func rangeOf(a array) (r codeRange, ok bool) {
	low, ok := a[0].(string)
	high, ok2 := a[1].(string)
	return codeRange{low, high}, ok && ok2 && len(low) == len(high) && len(low) > 0 && len(low) <= 4
}

func (m *cmap) add(a array) {
	r, ok := rangeOf(a)
	if !ok {
		return
	}
	switch to := a[2].(type) {
	case string:
		if len(m.ranges) < maxRanges {
			m.ranges = append(m.ranges, textRange{r, to})
		}
	case array:
		for i, x := range to {
			text, ok := x.(string)
			if !ok || len(m.chars) >= maxChars {
				return
			}
			m.chars[plus(r.low, i)] = utf16Text(text)
		}
	}
}

// plus returns a big-endian number that is larger by n.
func plus(s string, n int) string {
	b := []byte(s)
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	return string(b)
}

// length returns how long the code at the beginning of s is; 0: unknown.
func (m *cmap) length(s string) int {
	for n := 1; n <= min(4, len(s)); n++ {
		for _, r := range m.spaces {
			if len(r.low) == n && r.low <= s[:n] && s[:n] <= r.high {
				return n
			}
		}
	}
	return 0
}

func (m *cmap) text(code string) (string, bool) {
	if text, ok := m.chars[code]; ok {
		return text, true
	}
	for _, r := range m.ranges {
		if len(code) == len(r.low) && r.low <= code && code <= r.high {
			text := utf16Text(plus(r.text, int(bigEndian([]byte(code))-bigEndian([]byte(r.low)))))
			if len(m.chars) < maxChars {
				m.chars[code] = text
			}
			return text, true
		}
	}
	return "", false
}

func utf16Text(s string) string {
	units := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
	}
	if len(s) == 1 {
		units = append(units, uint16(s[0]))
	}
	return string(utf16.Decode(units))
}

// glyphName returns what the name of a glyph means, as far as fonts for text go
// (Adobe Glyph List; what has an accent is composed).
func glyphName(s string) string {
	s, _, _ = strings.Cut(s, ".")
	if text, ok := glyphNames[s]; ok {
		return text
	}
	if len(s) == 1 {
		return s
	}
	var n rune
	switch {
	case strings.HasPrefix(s, "uni") && len(s) >= 7:
		n = hexRune(s[3:7])
	case len(s) >= 5 && s[0] == 'u':
		n = hexRune(s[1:])
	case strings.HasPrefix(s, "afii") && len(s) == 9:
		n = cyrillic(s[4:])
	}
	if n > 0 {
		return string(n)
	}
	for suffix, accent := range accents {
		if base, ok := strings.CutSuffix(s, suffix); ok && base != "" {
			if base == "dotlessi" {
				base = "i"
			}
			if c := norm.NFC.String(base + accent); len(base) <= 2 {
				return c
			}
		}
	}
	return ""
}

func hexRune(s string) rune {
	if len(s) > 6 {
		return 0
	}
	var n rune
	for i := range len(s) {
		d := hexDigit(int(s[i]))
		if d < 0 {
			return 0
		}
		n = n<<4 | rune(d)
	}
	return n
}

func cyrillic(digits string) rune {
	var n rune
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + c - '0'
	}
	switch {
	case n >= 10017 && n <= 10022:
		return n - 10017 + 'А'
	case n == 10023:
		return 'Ё'
	case n >= 10024 && n <= 10049:
		return n - 10024 + 'Ж'
	case n >= 10065 && n <= 10070:
		return n - 10065 + 'а'
	case n == 10071:
		return 'ё'
	case n >= 10072 && n <= 10097:
		return n - 10072 + 'ж'
	}
	return 0
}

var accents = map[string]string{
	"acute": "\u0301", "grave": "\u0300", "circumflex": "\u0302", "dieresis": "\u0308", "tilde": "\u0303",
	"ring": "\u030a", "cedilla": "\u0327", "caron": "\u030c", "breve": "\u0306", "macron": "\u0304",
	"ogonek": "\u0328", "dotaccent": "\u0307", "hungarumlaut": "\u030b", "commaaccent": "\u0326",
}

var glyphNames = map[string]string{
	"space": " ", "nbspace": " ", "exclam": "!", "quotedbl": `"`, "numbersign": "#", "dollar": "$", "percent": "%", "ampersand": "&",
	"quotesingle": "'", "parenleft": "(", "parenright": ")", "asterisk": "*", "plus": "+", "comma": ",", "hyphen": "-",
	"period": ".", "slash": "/", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
	"seven": "7", "eight": "8", "nine": "9", "colon": ":", "semicolon": ";", "less": "<", "equal": "=", "greater": ">",
	"question": "?", "at": "@", "bracketleft": "[", "backslash": `\`, "bracketright": "]", "asciicircum": "^",
	"underscore": "_", "grave": "`", "braceleft": "{", "bar": "|", "braceright": "}", "asciitilde": "~",
	"exclamdown": "¡", "cent": "¢", "sterling": "£", "currency": "¤", "yen": "¥", "section": "§", "copyright": "©",
	"ordfeminine": "ª", "guillemotleft": "«", "guillemotright": "»", "registered": "®", "degree": "°", "plusminus": "±",
	"twosuperior": "²", "threesuperior": "³", "onesuperior": "¹", "mu": "µ", "paragraph": "¶", "periodcentered": "·",
	"ordmasculine": "º", "onequarter": "¼", "onehalf": "½", "threequarters": "¾", "questiondown": "¿", "multiply": "×",
	"divide": "÷", "AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ", "Oslash": "Ø", "oslash": "ø", "germandbls": "ß",
	"Eth": "Ð", "eth": "ð", "Thorn": "Þ", "thorn": "þ", "Lslash": "Ł", "lslash": "ł", "dotlessi": "ı", "Dcroat": "Đ", "dcroat": "đ",
	"fi": "fi", "fl": "fl", "ff": "ff", "ffi": "ffi", "ffl": "ffl", "f_i": "fi", "f_l": "fl", "f_f": "ff", "f_f_i": "ffi", "f_f_l": "ffl", "t_t": "tt", "T_h": "Th",
	"endash": "–", "emdash": "—", "quoteleft": "‘", "quoteright": "’", "quotedblleft": "“", "quotedblright": "”",
	"quotesinglbase": "‚", "quotedblbase": "„", "dagger": "†", "daggerdbl": "‡", "bullet": "•", "ellipsis": "…",
	"perthousand": "‰", "guilsinglleft": "‹", "guilsinglright": "›", "Euro": "€", "trademark": "™", "minus": "−",
	"Alpha": "Α", "Beta": "Β", "Gamma": "Γ", "Delta": "Δ", "Epsilon": "Ε", "Zeta": "Ζ", "Eta": "Η", "Theta": "Θ",
	"Iota": "Ι", "Kappa": "Κ", "Lambda": "Λ", "Mu": "Μ", "Nu": "Ν", "Xi": "Ξ", "Omicron": "Ο", "Pi": "Π", "Rho": "Ρ",
	"Sigma": "Σ", "Tau": "Τ", "Upsilon": "Υ", "Phi": "Φ", "Chi": "Χ", "Psi": "Ψ", "Omega": "Ω",
	"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
	"iota": "ι", "kappa": "κ", "lambda": "λ", "nu": "ν", "xi": "ξ", "omicron": "ο", "pi": "π", "rho": "ρ",
	"sigma": "σ", "sigma1": "ς", "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
	"infinity": "∞", "notequal": "≠", "lessequal": "≤", "greaterequal": "≥", "arrowright": "→", "arrowleft": "←", "summation": "∑",
}
