//go:build linux && nat

package nat

// wanted: the tests were asked for.
const wanted = true
