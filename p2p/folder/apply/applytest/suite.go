package applytest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Run checks that an FS does what package apply says. empty returns a new one in an
// empty folder, which need not be prepared.
func Run(t *testing.T, empty func(t *testing.T) apply.FS) {
	tests := map[string]func(t *testing.T, fsys apply.FS){
		"Prepare":  testPrepare,
		"Create":   testCreate,
		"Open":     testOpen,
		"Names":    testNames,
		"Mkdir":    testMkdir,
		"Rmdir":    testRmdir,
		"Remove":   testRemove,
		"Rename":   testRename,
		"Again":    testAgain,
		"Exchange": testExchange,
		"SetMeta":  testSetMeta,
		"Sync":     testSync,
		"InTheWay": testInTheWay,
		"Paths":    testPaths,
		"Ops":      testOps,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, empty(t)) })
	}
}

const at = 1_600_000_000_123_456_000 // ns since 1970, in whole microseconds

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func lstat(t *testing.T, fsys apply.FS, path string) apply.Stat {
	t.Helper()
	st, err := fsys.Lstat(path)
	must(t, err)
	return st
}

// put makes a file with a content, mode 0644 and the time at, anywhere.
func put(t *testing.T, fsys apply.FS, path, content string) apply.Stat {
	t.Helper()
	temp := apply.TempDir + "/put"
	f, err := fsys.Create(temp)
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	_, err = f.SetMeta(0o644, at)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	must(t, fsys.Rename(temp, path))
	return lstat(t, fsys, path)
}

func content(t *testing.T, fsys apply.FS, path string) string {
	t.Helper()
	f, err := fsys.Open(path)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return string(b)
}

func shows(t *testing.T, fsys apply.FS, path, want string) {
	t.Helper()
	if got := content(t, fsys, path); got != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}

func gone(t *testing.T, fsys apply.FS, path string) {
	t.Helper()
	if _, err := fsys.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: got error %v, want that it does not exist", path, err)
	}
}

func testPrepare(t *testing.T, fsys apply.FS) {
	if st := lstat(t, fsys, ""); st.Kind != reconcile.KindDir {
		t.Errorf("the folder is %+v", st)
	}
	gone(t, fsys, apply.Private)
	must(t, apply.Prepare(fsys))
	must(t, apply.Prepare(fsys))
	for path, mode := range map[string]fs.FileMode{apply.TempDir: 0o700, apply.TrashDir: 0o700, apply.AsideDir: 0o700} {
		if st := lstat(t, fsys, path); st.Kind != reconcile.KindDir || st.Mode != mode {
			t.Errorf("%s is %+v", path, st)
		}
	}
	if free, total, err := fsys.Free(); err != nil || free <= 0 || total < free {
		t.Errorf("Free: %d of %d: %v", free, total, err)
	}
}

func testCreate(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	path := apply.TempName(reconcile.Hash{1})
	f, err := fsys.Create(path)
	must(t, err)
	if st, err := f.Stat(); err != nil || st.Kind != reconcile.KindFile || st.Size != 0 || st.Mode != 0o600 {
		t.Errorf("a new file is %+v: %v", st, err)
	}
	_, err = f.WriteAt([]byte("world"), 6)
	must(t, err)
	_, err = f.WriteAt([]byte("hello "), 0)
	must(t, err)
	must(t, f.Truncate(8))
	must(t, f.Sync())
	must(t, f.Close())
	shows(t, fsys, path, "hello wo")

	f, err = fsys.Create(path) // opens what is there
	must(t, err)
	got := make([]byte, 5)
	if _, err := f.ReadAt(got, 3); err != nil || string(got) != "lo wo" {
		t.Errorf("read %q: %v", got, err)
	}
	must(t, f.Truncate(0))
	must(t, f.Truncate(3))
	st, err := f.SetMeta(0o751, at)
	must(t, err)
	if st.Mode != 0o751 || st.Modified != at || st.Size != 3 {
		t.Errorf("SetMeta leaves %+v", st)
	}
	if now := lstat(t, fsys, path); now != st {
		t.Errorf("SetMeta returns %+v, Lstat %+v", st, now)
	}
	must(t, f.Close())
	shows(t, fsys, path, "\x00\x00\x00")

	_, err = fsys.Create(apply.TempDir)
	wants(t, err, apply.ErrPath)
	must(t, fsys.Mkdir(apply.TempDir+"/d", 0o700))
	_, err = fsys.Create(apply.TempDir + "/d")
	wants(t, err, apply.ErrInTheWay)
	_, err = fsys.Create(apply.TempDir + "/none/x")
	wants(t, err, fs.ErrNotExist)
	_, err = fsys.Create("visible")
	wants(t, err, apply.ErrPath)
}

func testOpen(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	st := put(t, fsys, "a", "some text")
	f, err := fsys.Open("a")
	must(t, err)
	if got, err := f.Stat(); err != nil || got != st {
		t.Errorf("Stat is %+v, want %+v: %v", got, st, err)
	}
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 5); err != nil || string(b) != "text" {
		t.Errorf("ReadAt gives %q: %v", b, err)
	}
	if n, err := f.ReadAt(b, 7); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt at the end gives %d: %v", n, err)
	}
	// It stays the file that was opened.
	must(t, fsys.Rename("a", "b"))
	put(t, fsys, "a", "another")
	var got bytes.Buffer
	_, err = got.ReadFrom(f)
	must(t, err)
	must(t, f.Close())
	if got.String() != "some text" {
		t.Errorf("an open file reads %q after it was renamed", got.String())
	}
	_, err = fsys.Open("none")
	wants(t, err, fs.ErrNotExist)
	must(t, fsys.Mkdir("d", 0o755))
	_, err = fsys.Open("d")
	wants(t, err, apply.ErrInTheWay)
}

func testNames(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("z", 0o755))
	for _, name := range []string{"b", "a", "é", "z/inner"} {
		put(t, fsys, name, name)
	}
	for range 2 {
		got, err := fsys.Names("")
		must(t, err)
		if want := []string{".shoal", "a", "b", "z", "é"}; !slices.Equal(got, want) {
			t.Errorf("names %q, want %q", got, want)
		}
	}
	got, err := fsys.Names("z")
	if err != nil || !slices.Equal(got, []string{"inner"}) {
		t.Errorf("names %q: %v", got, err)
	}
	_, err = fsys.Names("none")
	wants(t, err, fs.ErrNotExist)
	_, err = fsys.Names("a")
	wants(t, err, apply.ErrInTheWay)
}

func testMkdir(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("d", 0o750))
	must(t, fsys.Mkdir("d/e", 0o700))
	if st := lstat(t, fsys, "d"); st.Kind != reconcile.KindDir || st.Mode != 0o750 || st.Size != 0 {
		t.Errorf("a directory is %+v", st)
	}
	wants(t, fsys.Mkdir("d", 0o755), fs.ErrExist)
	wants(t, fsys.Mkdir("none/e", 0o755), fs.ErrNotExist)
	put(t, fsys, "f", "")
	wants(t, fsys.Mkdir("f", 0o755), fs.ErrExist)
}

func testRmdir(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("d", 0o755))
	must(t, fsys.Mkdir("d/e", 0o755))
	wants(t, fsys.Rmdir("d"), syscall.ENOTEMPTY)
	must(t, fsys.Rmdir("d/e"))
	must(t, fsys.Rmdir("d"))
	gone(t, fsys, "d")
	wants(t, fsys.Rmdir("d"), fs.ErrNotExist)
	put(t, fsys, "f", "precious")
	wants(t, fsys.Rmdir("f"), apply.ErrInTheWay)
	shows(t, fsys, "f", "precious")
	wants(t, fsys.Rmdir(apply.TrashDir), apply.ErrPath)
}

func testRemove(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	put(t, fsys, apply.TrashDir+"/x", "x")
	must(t, fsys.Remove(apply.TrashDir+"/x"))
	gone(t, fsys, apply.TrashDir+"/x")
	wants(t, fsys.Remove(apply.TrashDir+"/x"), fs.ErrNotExist)
	put(t, fsys, "f", "precious")
	wants(t, fsys.Remove("f"), apply.ErrPath)
	must(t, fsys.Mkdir(apply.TempDir+"/d", 0o700))
	if err := fsys.Remove(apply.TempDir + "/d"); err == nil {
		t.Error("Remove removes a directory")
	}
}

func testRename(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("d", 0o755))
	must(t, fsys.Mkdir("e", 0o755))
	st := put(t, fsys, "d/a", "first")
	must(t, fsys.Rename("d/a", "e/b"))
	gone(t, fsys, "d/a")
	now := lstat(t, fsys, "e/b")
	now.Changed = st.Changed // renaming may change that, and nothing else
	if now != st {
		t.Errorf("renamed, %+v is %+v", st, now)
	}
	put(t, fsys, "c", "second")
	wants(t, fsys.Rename("e/b", "c"), fs.ErrExist)
	wants(t, fsys.Rename("e/b", "d"), fs.ErrExist)
	wants(t, fsys.Rename("d", "e"), fs.ErrExist)
	wants(t, fsys.Rename("d", "c"), fs.ErrExist)
	shows(t, fsys, "e/b", "first")
	shows(t, fsys, "c", "second")
	wants(t, fsys.Rename("none", "x"), fs.ErrNotExist)
	wants(t, fsys.Rename("c", "none/x"), fs.ErrNotExist)
	must(t, fsys.Rename("e", "d/e"))
	shows(t, fsys, "d/e/b", "first")
	must(t, fsys.Rename("d/e", "e"))
	wants(t, fsys.Rename("d", "d/x"), apply.ErrPath)
	wants(t, fsys.Rename("d", "d"), apply.ErrPath)
	wants(t, fsys.Rename(apply.TrashDir, "x"), apply.ErrPath)
}

// testAgain uses a name at once for another directory.
func testAgain(t *testing.T, fsys apply.FS) {
	must(t, fsys.Mkdir("d", 0o755))
	must(t, apply.Prepare(fsys))
	put(t, fsys, "d/first", "1")
	must(t, fsys.Rename("d", "away"))
	must(t, fsys.Mkdir("d", 0o755))
	put(t, fsys, "d/second", "2")
	moment()
	must(t, fsys.Rename("d/second", "second"))
	must(t, fsys.Rmdir("d"))
	_, err := fsys.Lstat("d/third")
	wants(t, err, fs.ErrNotExist)
	must(t, fsys.Mkdir("d", 0o755))
	put(t, fsys, "d/third", "3")
	moment()
	for path, text := range map[string]string{"away/first": "1", "second": "2", "d/third": "3"} {
		shows(t, fsys, path, text)
	}
	gone(t, fsys, "away/second")
}

// moment waits until nothing is taken to be as it was seen last.
func moment() { time.Sleep(10 * time.Millisecond) }

func testExchange(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("d", 0o755))
	a, b := put(t, fsys, apply.TempDir+"/a", "first"), put(t, fsys, "d/b", "second")
	err := fsys.Exchange(apply.TempDir+"/a", "d/b")
	if errors.Is(err, errors.ErrUnsupported) {
		return // and says so, which is what matters
	}
	must(t, err)
	shows(t, fsys, apply.TempDir+"/a", "second")
	shows(t, fsys, "d/b", "first")
	if lstat(t, fsys, apply.TempDir+"/a").Inode != b.Inode || lstat(t, fsys, "d/b").Inode != a.Inode {
		t.Error("the inodes were not exchanged")
	}
	wants(t, fsys.Exchange("d/b", "none"), fs.ErrNotExist)
	wants(t, fsys.Exchange("none", "d/b"), fs.ErrNotExist)
	wants(t, fsys.Exchange("d/b", "d"), apply.ErrPath)
	shows(t, fsys, "d/b", "first")
}

func testSetMeta(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	put(t, fsys, "f", "text")
	st, err := fsys.SetMeta("f", 0o604, at+1_000_000_000)
	must(t, err)
	if st.Mode != 0o604 || st.Modified != at+1_000_000_000 || st.Size != 4 || st != lstat(t, fsys, "f") {
		t.Errorf("SetMeta leaves %+v", st)
	}
	must(t, fsys.Mkdir("d", 0o755))
	before := lstat(t, fsys, "d")
	st, err = fsys.SetMeta("d", 0o711, at)
	must(t, err)
	if st.Mode != 0o711 || st.Kind != reconcile.KindDir || st.Modified != before.Modified {
		t.Errorf("SetMeta makes of %+v %+v", before, st)
	}
	_, err = fsys.SetMeta("none", 0o644, at)
	wants(t, err, fs.ErrNotExist)
	_, err = fsys.SetMeta(apply.Private, 0o777, at)
	wants(t, err, apply.ErrPath)
}

func testSync(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	for _, n := range []int{0, 1, 5, 100} {
		var temps []apply.Temp
		for i := range n {
			f, err := fsys.Create(apply.TempName(reconcile.Hash{byte(i)}))
			must(t, err)
			temps = append(temps, f)
		}
		must(t, apply.SyncTemps(fsys, temps))
		var paths []string
		for i, f := range temps {
			paths = append(paths, apply.TempName(reconcile.Hash{byte(i)}))
			_, err := f.SetMeta(0o444, at)
			must(t, errors.Join(err, f.Close()))
		}
		must(t, apply.SyncFiles(fsys, paths))
		for _, p := range paths { // what is read-only can be written again
			f, err := fsys.Create(p)
			must(t, err)
			must(t, f.Close())
		}
	}
	wants(t, fsys.SyncFile(apply.TempDir+"/none"), fs.ErrNotExist)
	must(t, fsys.Mkdir("d", 0o755))
	must(t, apply.SyncDirs(fsys, []string{"", "d", apply.TempDir, "gone/for/good"}))
	wants(t, fsys.SyncDir("none"), fs.ErrNotExist)
	if err := fsys.SyncAll(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

func testInTheWay(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	put(t, fsys, "f", "text")
	put(t, fsys, "g", "text")
	_, err := fsys.Lstat("f/x")
	wants(t, err, apply.ErrInTheWay)
	_, err = fsys.Open("f/x")
	wants(t, err, apply.ErrInTheWay)
	wants(t, fsys.Mkdir("f/x", 0o755), apply.ErrInTheWay)
	wants(t, fsys.Rename("g", "f/x"), apply.ErrInTheWay)
	wants(t, fsys.Rename("f/x", "h"), apply.ErrInTheWay)
	wants(t, fsys.SyncDir("f"), apply.ErrInTheWay)
	_, err = fsys.SetMeta("f/x", 0o644, at)
	wants(t, err, apply.ErrInTheWay)
}
