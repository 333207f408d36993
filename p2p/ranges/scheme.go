package ranges

// Scheme is a way to spread entries over segments. What it returns depends on its arguments
// alone.
type Scheme interface {
	// Name is the scheme's name in addresses, with what it depends on: "dst".
	Name() string
	// Bits is how many bits keys have, at most MaxBits.
	Bits() int
	// Path returns the segments that can keep entries of a key, the widest first. The last
	// one never refuses any.
	Path(key uint64) []Segment
	// Everywhere: an entry is at all segments of its path that have room, and a query takes
	// from a full one nothing. Otherwise it is at the first that has room, and a query takes
	// something from all.
	Everywhere() bool
	// Start returns the segments that a query for the keys from one to another begins with,
	// each once. With Everywhere no two of them overlap.
	Start(from, to uint64) []Segment
	// Below returns the segments that keep what a full one refuses.
	Below(s Segment) []Segment
}

// Buckets is the simple partition: the domain is cut into equal parts, of which each keeps
// all of its entries.
type Buckets struct {
	KeyBits int // of keys
	Depth   int // there are 2^Depth buckets
}

// Name implements Scheme.
func (Buckets) Name() string { return "buckets" }

// Bits implements Scheme.
func (b Buckets) Bits() int { return b.KeyBits }

// Path implements Scheme.
func (b Buckets) Path(key uint64) []Segment { return []Segment{At(b.KeyBits, b.Depth, key)} }

// Everywhere implements Scheme.
func (Buckets) Everywhere() bool { return true }

// Start implements Scheme.
func (b Buckets) Start(from, to uint64) []Segment {
	var out []Segment
	last := At(b.KeyBits, b.Depth, to)
	for s := At(b.KeyBits, b.Depth, from); ; s.Prefix++ {
		out = append(out, s)
		if s == last {
			return out
		}
	}
}

// Below implements Scheme.
func (Buckets) Below(Segment) []Segment { return nil }
