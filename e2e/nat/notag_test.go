//go:build linux && !nat

package nat

const wanted = false
