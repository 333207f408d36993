package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// hostile is how shoal took a file that somebody has made in order to hurt it.
type hostile struct {
	What    string  `json:"what"`
	Refused bool    `json:"refused"`
	Wall    float64 `json:"wall_s"`
	Peak    float64 `json:"peak_mib"`
}

// measureHostile hands files to shoal that no program has written.
func measureHostile(ctx context.Context, o options, dir string) ([]hostile, error) {
	dir, err := os.MkdirTemp(dir, "hostile-")
	if err != nil {
		return nil, err
	}
	newFile := filepath.Join(dir, "new")
	if _, err := write(newFile, noise(1, 1<<20)); err != nil {
		return nil, err
	}
	var all []hostile
	for _, h := range []struct {
		what    string
		content []byte
	}{
		{"a signature of 2^32 blocks, cut short", announced(1<<10, 1<<42)},
		{"a signature of 2^32 blocks of one byte", announced(1, 1<<32)},
	} {
		path := filepath.Join(dir, "signature")
		if err := os.WriteFile(path, h.content, 0o644); err != nil {
			return nil, err
		}
		got, err := run(ctx, o.limit, o.program, step{args: []string{"delta", "diff", path, newFile}, stdout: filepath.Join(dir, "delta")})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, hostile{h.what, err != nil && !errors.Is(err, errOver), got.wall.Seconds(), got.peak})
	}
	return all, nil
}

// announced begins a signature as [delta.Signature.WriteTo] does, with more blocks
// than there are: 64 KiB of zeros follow.
func announced(block, size uint64) []byte {
	p := []byte("shoalsg1")
	p = binary.AppendUvarint(p, block)
	p = binary.AppendUvarint(p, size)
	return append(p, make([]byte, 64<<10)...)
}

// hostileLimits is what refusing may cost.
const (
	hostileWall = time.Second
	hostilePeak = 64.0 // MiB
)
