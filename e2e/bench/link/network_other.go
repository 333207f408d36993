//go:build !linux

package main

import (
	"context"
	"errors"
)

// ownNetwork fails: this system has none.
func ownNetwork(context.Context, int, []string) (bool, error) {
	return false, errors.New("a network of its own: Linux only")
}
