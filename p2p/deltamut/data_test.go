package delta

import "math/rand/v2"

// noise returns n bytes that no compressor and no weak sum finds anything in.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// scatter inserts a few bytes at each of k places.
func scatter(p []byte, k int) []byte {
	var out []byte
	step := len(p) / k
	for i := range k {
		out = append(out, p[i*step:(i+1)*step]...)
		out = append(out, byte(i), byte(i>>8), 'x')
	}
	return append(out, p[k*step:]...)
}
