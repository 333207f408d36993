package seed

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	abcRoot   = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
	emptyHash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	abcSeed   = `shoal-seed: 1
file_name: abc.txt
file_len: 3
big_seed: ` + abcRoot + `
chunk_len: 16384
chunk_count: 1
`
	oldSeed = `file_name: abc.txt
file_len: 3
big_seed: 900150983cd24fb0d6963f7d28e17f72
chunk1_hash: 187ef4436122d1cc2f40dc2b92f0eba0
chunk2_hash: 4a8a08f09d37b73795649038408b5f33
`
)

// TestSyntaxErrors says where, what, and what instead.
func TestSyntaxErrors(t *testing.T) {
	with := func(old, text string) string { return strings.Replace(abcSeed, old, text, 1) }
	zero := strings.Repeat("0", 64)
	node := p2p.ID{1}.String()
	for _, c := range []struct {
		text string
		want string // "line: part of what is wrong; part of what was expected"
	}{
		{"", "0: nothing in it; shoal-seed: 1"},
		{"# only\n\n", "0: nothing in it; shoal-seed: 1"},
		{strings.Repeat("#", MaxText+1), "0: 1048577 bytes; at most 1048576"},
		{"hello", "1: \"hello\" is not a field; a colon"},
		{"shoal-seed:1\n", "1: is not a field; a space"},
		{"shoal-seed: 2\n", "1: form \"2\"; 1, the form"},
		{"shoal-seed: 1\n\xff\xfe: 1\n", "2: not text; UTF-8"},
		{"file_len: 3\n" + abcSeed, "2: shoal-seed is not in the first field; before all others"},
		{"\n\n" + abcSeed + "color: red\n", "9: no key is called \"color\"; file_name"},
		{"color: red\n", "1: no key is called \"color\"; as the text does not begin with shoal-seed"},
		{abcSeed + "shoal-seed: 1\n", "7: shoal-seed again; in line 1"},
		{abcSeed + "file_len: 4\n", "7: file_len again; it is in line 3"},
		// Names.
		{with("file_name: abc.txt\n", ""), "0: file_name is missing; the name"},
		{with("abc.txt", "../abc"), "2: it is a path; without a directory"},
		{with("abc.txt", "/etc/passwd"), "2: it is a path; name"},
		{with("abc.txt", `..\abc`), "2: it is a path; name"},
		{with("abc.txt", `C:\abc`), "2: it is a path; name"},
		{with("abc.txt", ".."), "2: it is a directory; name"},
		{with("abc.txt", "."), "2: it is a directory; name"},
		{with("abc.txt", ""), "2: it is empty; name"},
		{with("abc.txt", "a\x00b"), "2: control character; name"},
		{with("abc.txt", "a\rb"), "2: control character; name"},
		{with("abc.txt", "a\x1b[2Jb"), "2: control character; name"},
		{with("abc.txt", "a\u0085b"), "2: control character; name"},
		{with("abc.txt", "song\u202e3pm.exe"), "2: control character; name"},
		{with("abc.txt", "u\u0308ber"), "2: NFC; name"},
		{with("abc.txt", strings.Repeat("a", 256)), "2: 256 bytes; name"},
		// Lengths.
		{with("file_len: 3\n", ""), "0: file_len is missing; bytes"},
		{with("len: 3", "len: -1"), "3: file_len \"-1\"; a number from 0 to 4398046511104"},
		{with("len: 3", "len: 03"), "3: file_len \"03\"; a number"},
		{with("len: 3", "len: +3"), "3: file_len \"+3\"; a number"},
		{with("len: 3", "len: 3 "), "3: file_len \"3 \"; a number"},
		{with("len: 3", "len: 4398046511105"), "3: file_len; to 4398046511104"},
		{with("len: 3", "len: 99999999999999999999"), "3: file_len; a number"},
		{with("len: 3", "len: 1099511627776"), "5: chunk_len \"16384\"; 1048576 for a file of 1099511627776 bytes"},
		{with("16384", "65536"), "5: chunk_len \"65536\"; 16384 for a file of 3 bytes"},
		{with("count: 1", "count: 2"), "6: chunk_count \"2\"; 1 for"},
		{with("count: 1", "count: 4294967297"), "6: chunk_count; 1 for"},
		{with("chunk_len: 16384\n", ""), "0: chunk_len is missing; chunk_len: 16384"},
		{with("chunk_count: 1\n", ""), "0: chunk_count is missing; chunk_count: 1"},
		// Hashes.
		{with("big_seed: "+abcRoot+"\n", ""), "0: big_seed is missing; BLAKE3"},
		{with(abcRoot, abcRoot[1:]), "4: big_seed has 63 characters, not 64; BLAKE3"},
		{with(abcRoot, strings.ToUpper(abcRoot)), "4: characters other than; BLAKE3"},
		{with(abcRoot, "xy"+abcRoot[2:]), "4: characters other than; BLAKE3"},
		{abcSeed + "chunk1_hash: " + zero + "\n", "4: big_seed is not what; " + zero},
		{abcSeed + "chunk2_hash: " + zero + "\n", "7: \"chunk2_hash\"; chunk1_hash"},
		{abcSeed + "chunk01_hash: " + zero + "\n", "7: \"chunk01_hash\"; chunk1_hash"},
		{abcSeed + "chunk1_hash: " + abcRoot + "\nchunk1_hash: " + abcRoot + "\n", "8: \"chunk1_hash\"; chunk2_hash"},
		{abcSeed + "chunk1_hash: " + abcRoot + "\nchunk2_hash: " + zero + "\n", "8: 2 hashes of chunks; all 1"},
		{abcSeed + "chunk1_hash: " + abcRoot[:32] + "\n", "7: chunk1_hash has 32 characters; BLAKE3"},
		{abcSeed + "chunks_root: " + zero + "\n", "7: chunks_root is not the hash; "},
		{with("len: 3", "len: 0"), "4: big_seed is not what; " + emptyHash},
		{strings.NewReplacer("len: 3", "len: 0", abcRoot, zero).Replace(abcSeed) + "chunk1_hash: " + zero + "\n", "4: big_seed is not what; " + emptyHash},
		{strings.NewReplacer("len: 3", "len: 20000", "count: 1", "count: 2").Replace(abcSeed), "0: chunks_root is missing; hashes of the chunks"},
		{strings.NewReplacer("len: 3", "len: 20000", "count: 1", "count: 2").Replace(abcSeed) + "chunks_root: 12\n", "7: chunks_root has 2 characters; all hashes"},
		// Where to ask.
		{abcSeed + "tracker: " + node[1:] + "\n", "7: tracker; 52 characters"},
		{abcSeed + "tracker: http://example.org\n", "7: tracker; the ID of a node"},
		{abcSeed + "tracker: " + node + "\ntracker: " + node + "\n", "8: same tracker; others"},
		{abcSeed + many(9, func(i int) string { return "tracker: " + p2p.ID{byte(i)}.String() }), "15: another tracker; at most 8"},
		{abcSeed + many(9, func(i int) string { return fmt.Sprint("web: http://", i) }), "15: another URL; at most 8"},
		{abcSeed + "web: http://a\nweb: http://a\n", "8: same URL; others"},
		{abcSeed + "web: ftp://a/b\n", "7: neither http nor https; URL"},
		{abcSeed + "web: file:///etc/passwd\n", "7: neither http nor https; URL"},
		{abcSeed + "web: /a\n", "7: neither http nor https; URL"},
		{abcSeed + "web: http:a\n", "7: no host; URL"},
		{abcSeed + "web: http:///a\n", "7: no host; URL"},
		{abcSeed + "web: http://u:p@a/\n", "7: a user name; URL"},
		{abcSeed + "web: http://a/ü\n", "7: percent-encoded; URL"},
		{abcSeed + "web: http://a/b c\n", "7: percent-encoded; URL"},
		{abcSeed + "web: http://a/#b\n", "7: fragment; URL"},
		{abcSeed + "web: http://" + strings.Repeat("a", MaxURL) + "\n", "7: at most 2048; URL"},
		{abcSeed + "base: " + zero + "\n", "7: base; length"},
		{abcSeed + "base: " + zero + " " + abcRoot + " -1\n", "7: base; length"},
		{abcSeed + "base: " + zero + " " + abcRoot + " 9999999999999\n", "7: base; length"},
		{abcSeed + "base: " + zero + " " + zero + " 1\n", "7: base; length"},
		{abcSeed + strings.Repeat("base: "+zero+" "+abcRoot+" 1\n", 2), "8: same base; others"},
		{abcSeed + many(9, func(i int) string { return fmt.Sprintf("base: %064x %s 1", i+1, zero) }), "15: another base; at most 8"},
		// The old form.
		{"file_name: a\nfile_len: 3\nbig_seed: " + abcRoot + "\n", "3: big_seed has 64 characters, not 32; MD5 of the file, as the text does not begin with"},
		{oldSeed + "tracker: " + node + "\n", "6: no key is called \"tracker\"; file_name"},
		{oldSeed + "chunk3_hash: 4a8a08f09d37b73795649038408b5f33\nchunk4_hash: 4a8a08f09d37b73795649038408b5f33\nchunk5_hash: 4a8a08f09d37b73795649038408b5f33\n", "8: 5 hashes of chunks; 3 for 3 bytes in chunks of 1"},
		{oldSeed + "chunk_len: 1\n", "6: 2 hashes of chunks; 3 for 3 bytes in chunks of 1"},
		{oldSeed + "chunk_len: 3\n", "6: 2 hashes of chunks; 1 for"},
		{oldSeed + "chunk_len: 0\n", "6: chunk_len; length of a chunk"},
		{oldSeed + "chunk_len: -2\n", "6: chunk_len; length of a chunk"},
		{"file_name: a\nfile_len: 1099511627776\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\n", "2: a chunk of 1099511627776 bytes; at most 16777216"},
		{"file_name: a\nfile_len: 1099511627776\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\nchunk_len: 1\n", "4: 0 hashes of chunks; 1099511627776 for"},
		{"file_name: a\nfile_len: 0\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\n", "3: not that of an empty file; d41d8cd98f00b204e9800998ecf8427e"},
		{"file_name: a\nfile_len: 3\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\nchunk1_hash: 187ef4436122d1cc2f40dc2b92f0eba0\n", "4: not that of the file; 900150983cd24fb0d6963f7d28e17f72"},
		{"file_name: a/b\nfile_len: 3\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\n", "1: it is a path; name"},
	} {
		_, err := Parse([]byte(c.text))
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%.300q: %v, want %s", c.text, err, c.want)
			continue
		}
		line, rest, _ := strings.Cut(c.want, ": ")
		problem, expected, _ := strings.Cut(rest, "; ")
		if fmt.Sprint(e.Line) != line || !strings.Contains(e.Problem, problem) || !strings.Contains(e.Expected, expected) {
			t.Errorf("%.300q: %v, want line %s", c.text, err, c.want)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes: %.300s", len(err.Error()), err)
		}
	}
}

func many(n int, line func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i) + "\n")
	}
	return b.String()
}

// TestOldForm: what is said in two ways is the same swarm, under any name.
func TestOldForm(t *testing.T) {
	s := mustParse(t, oldSeed)
	if s.PieceLen != 2 || s.Count() != 2 || !s.Verify(0, []byte("ab")) || !s.Verify(1, []byte("c")) || s.Verify(1, []byte("d")) {
		t.Errorf("%+v", s)
	}
	for _, text := range []string{
		strings.Replace(oldSeed, "abc.txt", "other.txt", 1),
		oldSeed + "chunk_len: 2\n",
		strings.ToUpper(oldSeed[strings.Index(oldSeed, "9001"):strings.Index(oldSeed, "\nchunk1")]),
	} {
		if !strings.Contains(text, "file_len") {
			text = strings.Replace(oldSeed, "900150983cd24fb0d6963f7d28e17f72", text, 1)
		}
		if got := mustParse(t, text); got.ID() != s.ID() {
			t.Errorf("%s is another", text)
		}
	}
	if whole := mustParse(t, "file_name: a\nfile_len: 3\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\n"); whole.ID() == s.ID() {
		t.Error("the same without chunks")
	}
	if err := s.VerifyFile(t.Context(), strings.NewReader("abc"), nil); err != nil {
		t.Error(err)
	}
	for _, data := range []string{"", "ab", "abd", "abcd", "xbc"} {
		if err := s.VerifyFile(t.Context(), strings.NewReader(data), nil); !errors.Is(err, ErrMismatch) {
			t.Errorf("%q: %v", data, err)
		}
	}
	// Chunks that are right do not make a whole that is.
	s.Legacy = &Legacy{Sum: [16]byte{1}, Pieces: s.Legacy.Pieces}
	if err := s.VerifyFile(t.Context(), strings.NewReader("abc"), nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("a wrong whole: %v", err)
	}
	if _, err := s.WithPieces(nil); !errors.Is(err, ErrLegacy) {
		t.Error(err)
	}
	l, err := ParseLink(s.Link().String())
	if err != nil || !l.Legacy || l.ID != s.ID() {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := l.Seed(); !errors.Is(err, ErrLegacy) {
		t.Error(err)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBoundedMemory: what is claimed costs nothing; what is there, a little.
func TestBoundedMemory(t *testing.T) {
	huge := "shoal-seed: 1\nfile_name: a\nfile_len: 1099511627776\nbig_seed: " + abcRoot + "\nchunk_len: 1048576\nchunk_count: 1048576\nchunks_root: " + abcRoot + "\n"
	hash := strings.Repeat("a", 64)
	for name, text := range map[string]string{
		"2^40 bytes":        huge,
		"2^40 bytes, lying": huge + "chunk1_hash: " + hash + "\n",
		"4 TiB":             strings.NewReplacer("1099511627776", fmt.Sprint(int64(MaxSize)), "count: 1048576", "count: 4194304").Replace(huge),
		"many hashes":       huge + many(1000, func(i int) string { return hashKey(i) + ": " + hash }),
		"too many":          huge + many(12000, func(i int) string { return hashKey(i) + ": " + hash }),
		"old hashes":        "file_name: a\nfile_len: 20000\nbig_seed: " + hash[:32] + "\n" + many(20000, func(i int) string { return hashKey(i) + ": " + hash[:32] }),
		"old, lying":        "file_name: a\nfile_len: 1099511627776\nchunk_len: 1\nbig_seed: " + hash[:32] + "\nchunk1_hash: " + hash[:32] + "\n",
		"others' keys":      abcSeed + many(100000, func(i int) string { return fmt.Sprint("x-", i, ": ") }),
		"comments":          abcSeed + strings.Repeat("#\n", 500000),
		"nothing":           strings.Repeat("\n", 1<<20),
		"one line":          strings.Repeat("a", 1<<20),
		"one value":         "shoal-seed: 1\nfile_name: " + strings.Repeat("a", 1<<20-30),
	} {
		if got, most := allocated(func() { _, _ = Parse([]byte(text)) }), uint64(8*len(text)+64<<10); got > most {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(text))
		}
	}
	link := "shoal:seed/" + abcRoot + "?len=4398046511104&name=a" + strings.Repeat("&x-", 20000)
	if got := allocated(func() {
		l, err := ParseLink(link)
		if err == nil {
			_, err = l.Seed()
		}
		if err != nil {
			t.Error(err)
		}
	}); got > uint64(4*len(link)+64<<10) {
		t.Errorf("%d bytes allocated for a link of %d", got, len(link))
	}
	s := mustParse(t, huge)
	if got := allocated(func() {
		_, _ = s.WithPieces(nil)
		_ = s.Verify(1<<19, nil)
		_ = s.VerifyFile(t.Context(), strings.NewReader("short"), nil)
		_, _ = Make(t.Context(), strings.NewReader("short"), MaxSize, "a", nil)
	}); got > 16<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		abcSeed, oldSeed, abcSeed + "chunk1_hash: " + abcRoot + "\ntracker: " + p2p.ID{1}.String() + "\nweb: https://a/b?c\nbase: " + emptyHash + " " + abcRoot + " 5\nx-a: b\n",
		"file_name: a\nfile_len: 10\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\nchunk_len: 6\nchunk1_hash: 900150983cd24fb0d6963f7d28e17f72\nchunk2_hash: 900150983cd24fb0d6963f7d28e17f72\n",
		string(mustMake(f, noise(1, 70000), "b").Text()),
		"shoal-seed: 1\r\nfile_name: a\r\nfile_len: 1099511627776\r\nbig_seed: " + abcRoot + "\r\nchunk_len: 1048576\r\nchunk_count: 1048576\r\nchunks_root: " + abcRoot,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Line < 0 || e.Line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatal(err)
			}
			return
		}
		canonical := s.Text()
		again, err := Parse(canonical)
		if err != nil || !reflect.DeepEqual(s, again) || !bytes.Equal(again.Text(), canonical) || again.ID() != s.ID() {
			t.Fatalf("%v: %+v became %+v", err, s, again)
		}
		if len(canonical) > len(text)+256 {
			t.Fatalf("%d bytes became %d", len(text), len(canonical))
		}
		if CheckName(s.Name) != nil || s.Count() < 1 || s.Size < 0 || s.Size > MaxSize {
			t.Fatalf("%+v", s)
		}
		if l, err := ParseLink(s.Link().String()); err != nil || !reflect.DeepEqual(l, s.Link()) {
			t.Fatalf("%v: %+v", err, l)
		}
	})
}
