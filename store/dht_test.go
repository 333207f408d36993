package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dht/dhttest"
)

func TestDHT(t *testing.T) {
	dhttest.TestStore(t, func(t *testing.T) dht.Store { return open(t, t.TempDir()).DHT() })
}

// putUntilKilled puts batches from several goroutines at once, and tells each that is
// acknowledged. Each batch changes what the one before has put, and something new.
func putUntilKilled(ctx context.Context, s dht.Store) error {
	failed := make(chan error)
	for w := range 3 {
		go func() {
			for n := 1; ; n++ {
				var records []dht.Held
				for i := range putAtOnce {
					records = append(records, putRecord(w, n, i), putRecord(w, 0, i))
					records[2*i+1].Seq = uint64(n)
				}
				if err := dhttest.Put(ctx, s, records...); err != nil {
					failed <- err
					return
				}
				first, err := s.NextSeq(ctx, 0, 1)
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(w, n, first)
			}
		}()
	}
	return <-failed
}

const putAtOnce = 20

func putRecord(w, n, i int) dht.Held {
	name := dht.Name{Location: dht.KeyOf(fmt.Sprint(w, n, i%15)), Content: dht.KeyOf(fmt.Sprint(i))}
	return dht.Held{Record: dhttest.Record(name, dht.Version{}, make([]byte, 32), uint64(n+1), []byte(fmt.Sprint(n))), Expires: int64(n)}
}

// TestKillLosesNoAcknowledgedPut kills a node at moments that are not chosen.
func TestKillLosesNoAcknowledgedPut(t *testing.T) {
	var used uint64
	for range 4 {
		dir := t.TempDir()
		cmd, out, _ := startChild(t, "put", dir)
		acked := map[int]int{}
		note := func() {
			var numbers [3]int
			for i, field := range strings.Fields(out.Text()) {
				numbers[i], _ = strconv.Atoi(field)
			}
			acked[numbers[0]] = max(acked[numbers[0]], numbers[1])
			used = max(used, uint64(numbers[2]))
		}
		for range rand.IntN(60) {
			if !out.Scan() {
				t.Fatal("child ended by itself")
			}
			note()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
			note()
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("killed child: %v", err)
		}
		s := open(t, dir)
		checkPut(t, s, acked)
		if first, err := s.DHT().NextSeq(t.Context(), 0, 1); err != nil || first <= used {
			t.Errorf("sequence number %d (%v), and %d was used", first, err, used)
		}
		used = 0
	}
}

// checkPut checks that the batches that were acknowledged of each goroutine are there,
// that none is in part, and that sums and usage are those of the records.
func checkPut(t *testing.T, s *Store, acked map[int]int) {
	t.Helper()
	records, locations := 0, map[p2p.Key]dht.LocationSum{}
	for w := range 3 {
		whole := acked[w] + 1 // one that was not acknowledged may be there
		for n := range whole + 1 {
			there := 0
			for i := range putAtOnce {
				want := putRecord(w, n, i)
				for h, err := range s.DHT().Read(t.Context(), dht.Query{Location: want.Location, Contents: []p2p.Key{want.Content}}) {
					if err != nil {
						t.Fatal(err)
					}
					if n == 0 && h.Seq < uint64(acked[w]) {
						t.Errorf("writer %d: a record of batch %d, after %d was acknowledged", w, h.Seq, acked[w])
					}
					l := locations[h.Location]
					l.Location = h.Location
					l.Sum.Add(h.Header)
					l.Records++
					locations[h.Location] = l
					there++
				}
			}
			records += there
			if there != putAtOnce && (n == 0 && acked[w] > 0 || n > 0 && n <= acked[w] || there != 0) {
				t.Errorf("writer %d, acknowledged to batch %d: %d of %d records of batch %d", w, acked[w], there, putAtOnce, n)
			}
		}
	}
	usage, err := s.DHT().Usage(t.Context(), p2p.IDOf(make([]byte, 32)))
	if err != nil || usage.Records != records {
		t.Errorf("usage %v (%v), and there are %d records", usage, err, records)
	}
	for l, err := range s.DHT().Sums(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if l != locations[l.Location] {
			t.Errorf("sum %v, want %v", l, locations[l.Location])
		}
		delete(locations, l.Location)
	}
	if len(locations) > 0 {
		t.Errorf("%d locations without a sum", len(locations))
	}
}

func openDHT(b *testing.B) dht.Store {
	s, err := Open(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s.DHT()
}

func BenchmarkChange(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkChange(b, openDHT) })
}

func BenchmarkRead(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkRead(b, openDHT) })
}

func BenchmarkSums(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkSums(b, openDHT) })
}
