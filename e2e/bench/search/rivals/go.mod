// A module of its own, so that what is only measured is no dependency of shoal.
module github.com/shoal-p2p/shoal/e2e/bench/search/rivals

go 1.26.0

require (
	github.com/blevesearch/vellum v1.2.1
	github.com/sajari/fuzzy v1.0.0
)

require (
	github.com/bits-and-blooms/bitset v1.24.2 // indirect
	github.com/blevesearch/mmap-go v1.2.0 // indirect
	golang.org/x/sys v0.40.0 // indirect
)
