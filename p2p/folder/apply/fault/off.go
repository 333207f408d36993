//go:build !fault

package fault

// Point does nothing in a program that is not built for tests of crashes.
func Point(string) {}
