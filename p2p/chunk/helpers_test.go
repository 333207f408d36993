package chunk

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

// noise returns n bytes without a pattern.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// scatter inserts 100 bytes at each of k places.
func scatter(p []byte, k int) []byte {
	out := make([]byte, 0, len(p)+100*k)
	step := len(p) / k
	for i := range k {
		out = append(out, p[i*step:(i+1)*step-step/2]...)
		out = append(out, noise(byte(i), 100)...)
		out = append(out, p[(i+1)*step-step/2:(i+1)*step]...)
	}
	return append(out, p[k*step:]...)
}

func mustScan(t testing.TB, p []byte) *Manifest {
	t.Helper()
	m, err := Scan(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encode(m *Manifest) []byte { return m.append(nil) }

// allocated returns how many bytes f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func encodeOutline(t testing.TB, o Outline) []byte {
	t.Helper()
	b, err := o.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
