// Package lan tests with real nodes that computers of one local network find each other
// by themselves: each computer is a network namespace, with a bridge between. It needs
// Linux and root, and says so where it has not.
package lan
