package extract_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/extract/extracttest"
)

func TestMemory(t *testing.T) {
	extracttest.Store(t, func(*testing.T) extract.Store { return new(extract.Memory) })
}
