package extract

import (
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// TestEncodings: what is written in an encoding is read as it was meant, without
// being told which it is.
func TestEncodings(t *testing.T) {
	const (
		german    = "Die Größe der Fische überrascht: für größere Schwärme gibt es keine Erklärung."
		french    = "Les harengs nagent en bancs très serrés ; l’été, on en pêche près d’ici."
		japanese1 = "ニシンは大きな群れを作って泳ぐ。誰も先頭に立たない。"
		chinese   = "鲱鱼成群结队地游泳，没有谁带头，每一条鱼都跟着它的邻居。"
		taiwan    = "鯡魚成群結隊地游泳，沒有誰帶頭，每一條魚都跟著牠的鄰居。"
		korea     = "청어는 큰 떼를 지어 헤엄친다. 아무도 이끌지 않는다."
		russian   = "Сельдь плавает большими косяками, и никто ими не управляет."
	)
	le := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	for name, tt := range map[string]struct {
		e    encoding.Encoding
		text string
	}{
		"Windows-1252 German": {charmap.Windows1252, german}, "Windows-1252 French": {charmap.Windows1252, french},
		"Latin-1":   {charmap.ISO8859_1, german},
		"UTF-8":     {encoding.Nop, japanese1},
		"UTF-16 LE": {le, german}, "UTF-16 BE": {be, french},
		"Shift_JIS": {japanese.ShiftJIS, japanese1}, "EUC-JP": {japanese.EUCJP, japanese1},
		"GBK": {simplifiedchinese.GBK, chinese}, "Big5": {traditionalchinese.Big5, taiwan}, "EUC-KR": {korean.EUCKR, korea},
		"Windows-1251": {charmap.Windows1251, russian}, "KOI8-R": {charmap.KOI8R, russian}, "CP 866": {charmap.CodePage866, russian},
	} {
		b, err := tt.e.NewEncoder().Bytes([]byte(tt.text))
		if err != nil {
			t.Fatal(name, err)
		}
		if got, ok := decode(b, false, false); got != tt.text || !ok {
			t.Errorf("%s: %q, want %q", name, got, tt.text)
		}
	}
}

// TestDeclaredEncodings: a page says what it is in.
func TestDeclaredEncodings(t *testing.T) {
	for content, want := range map[string]string{
		"<html><meta charset=\"iso-8859-2\"><p>\xb3":                                       "ł",
		"<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>\xd1\xe5": "Се",
		"<meta name=a><META CHARSET = koi8-r >\xf3":                                        "С",
		"<?xml version=\"1.0\" encoding='Shift_JIS'?>\x83\x6a":                             "ニ",
		"<meta charset=unheard-of>Gr\xfc\xdfe":                                             "Grüße",
		"<meta charset=iso-8859-2>ł":                                                       "ł",
	} {
		got, ok := decode([]byte(content), false, true)
		if n := len(got) - len(want); !ok || n < 0 || got[n:] != want {
			t.Errorf("%q: %q, want %q at the end", content, got, want)
		}
	}
}
