package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// childEnv makes the test binary act as another node: its value is the verb and
// the data directory.
const childEnv = "SHOAL_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if order := os.Getenv(childEnv); order != "" {
		verb, dir, _ := strings.Cut(order, " ")
		if err := child(verb, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child opens dir, says so, and then waits for the end of its input or writes
// until it is killed, telling each write that returned. "nobody" opens it without
// root's power to write everywhere.
func child(verb, dir string) error {
	ctx := context.Background()
	if verb == "nobody" && os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	switch verb {
	case "hold":
		io.Copy(io.Discard, os.Stdin)
		return s.Close()
	case "write":
		for n := 1; ; n++ {
			if err := errors.Join(bulk(ctx, s.state, n), bulk(ctx, s.dht, n), bulk(ctx, s.index, n)); err != nil {
				return err
			}
			fmt.Println(n)
		}
	case "put":
		return putUntilKilled(ctx, s.DHT())
	case "index":
		return indexUntilKilled(ctx, s.Search())
	}
	return fmt.Errorf("no such verb: %s", verb)
}

// bulk writes rows that are consistent only all together, and large enough that
// a kill often falls into the middle.
func bulk(ctx context.Context, d *DB, n int) error {
	return d.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS bulk (n INTEGER, part INTEGER, body BLOB)`); err != nil {
			return err
		}
		for part := range 20 {
			if _, err := tx.ExecContext(ctx, `INSERT INTO bulk VALUES (?, ?, randomblob(2000))`, n, part); err != nil {
				return err
			}
		}
		return nil
	})
}

// startChild runs child and returns when it has opened dir.
func startChild(t *testing.T, verb, dir string) (cmd *exec.Cmd, out *bufio.Scanner, stdin io.Closer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+verb+" "+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err = cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out = bufio.NewScanner(stdout)
	if !out.Scan() || out.Text() != "open" {
		t.Fatalf("child said %q", out.Text())
	}
	return cmd, out, stdin
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // nothing may rely on it
	dir := filepath.Join(t.TempDir(), "a", "b c?d%20#e")
	s := open(t, dir)
	if err := s.SetSetting(t.Context(), "name", "alice"); err != nil {
		t.Fatal(err)
	}
	modes(t, dir)

	// Wider permissions, say from a backup, are corrected.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.db", "dht.db", "index.db", "lock"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	modes(t, dir)
}

// modes checks that only the owner has any right to dir and what is in it.
func modes(t *testing.T, dir string) {
	t.Helper()
	seen := make(map[string]fs.FileMode)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Name()] = st.Mode().Perm()
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), st.Mode())
		}
	}
	for _, name := range []string{"lock", "state.db", "state.db-wal", "state.db-shm", "dht.db", "dht.db-wal", "dht.db-shm", "index.db", "index.db-wal", "index.db-shm"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("no %s in %v", name, seen)
		}
	}
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v", st.Mode())
	}
}

func TestOpenLeavesForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "holiday.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("directory with other things: mode %v, %v", st.Mode(), err)
	}
}

func TestOpenInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "http"), []byte("127.0.0.1:8081\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir, Options{})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("second Open in this process: %v", err)
	}
	for _, want := range []string{strconv.Itoa(os.Getpid()), "127.0.0.1:8081", dir} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	cmd, _, stdin := startChild(t, "hold", dir)
	_, err = Open(t.Context(), dir, Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("Open beside process %d: %v", cmd.Process.Pid, err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestOpenUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"a file":                file,
		"below a file":          filepath.Join(file, "data"),
		"the lock is something": blocked,
	} {
		if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{dir, filepath.Join(dir, "data")} {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), childEnv+"=nobody "+data)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "chown -R ") || !strings.Contains(string(out), data) {
			t.Errorf("%s: %v: %s", data, err, out)
		}
	}
}

func TestUnusableSaysWhatHelps(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{syscall.EACCES, fmt.Sprintf("chown -R %d:%d /data", os.Getuid(), os.Getgid())},
		{syscall.EPERM, "chown"},
		{syscall.EROFS, "read-only"},
		{syscall.ENOSPC, "full"},
		{syscall.EIO, "--data"},
	} {
		err := unusable("/data", &fs.PathError{Op: "open", Path: "/data/lock", Err: tc.err})
		if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || !errors.Is(err, ErrUnusable) {
			t.Errorf("%v: %q, want one line with %q", tc.err, err, tc.want)
		}
	}
}

func TestKillLeavesAllReadable(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		cmd, out, _ := startChild(t, "write", dir)
		for range 5 {
			if !out.Scan() {
				t.Fatal("child ended by itself")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acked := out.Text()
		for out.Scan() {
			acked = out.Text()
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("killed child: %v", err)
		}
		last, err := strconv.Atoi(acked)
		if err != nil {
			t.Fatal(err)
		}

		s := open(t, dir)
		if !s.lock.unclean || s.Rebuilt() {
			t.Errorf("unclean = %v, rebuilt = %v after a kill", s.lock.unclean, s.Rebuilt())
		}
		for _, d := range []*DB{s.state, s.dht, s.index} {
			checkBulk(t, d, last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkBulk checks that writes 1 to acked are there, that none is there in part,
// and empties the table.
func checkBulk(t *testing.T, d *DB, acked int) {
	t.Helper()
	var writes, torn int
	err := d.Write(t.Context(), func(tx *sql.Tx) error {
		if err := tx.QueryRow(`SELECT count(DISTINCT n) FROM bulk WHERE n <= ?`, acked).Scan(&writes); err != nil {
			return err
		}
		if err := tx.QueryRow(`SELECT count(*) FROM (SELECT n FROM bulk GROUP BY n HAVING count(*) <> 20)`).Scan(&torn); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM bulk`)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", d.path, err)
	}
	if writes != acked || torn != 0 {
		t.Errorf("%s: %d of %d acknowledged writes, %d in part", d.path, writes, acked, torn)
	}
}

func TestOrderlyCloseLeavesNoLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.SetSetting(t.Context(), "name", "alice"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db-wal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("log after Close: %v", err)
	}
	if s = open(t, dir); s.lock.unclean {
		t.Error("unclean after Close")
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, _, err := s.Setting(t.Context(), "name"); err == nil {
		t.Error("a closed store answers")
	}
}

func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shoal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	for _, name := range []string{"alice", "nobody"} {
		s, err := Open(ctx, dir, Options{})
		if err != nil {
			panic(err)
		}
		if _, known, err := s.Setting(ctx, "name"); err == nil && !known {
			err = s.SetSetting(ctx, "name", name)
			if err != nil {
				panic(err)
			}
		}
		kept, _, _ := s.Setting(ctx, "name")
		fmt.Println(kept)
		s.Close()
	}
	// Output:
	// alice
	// alice
}
