// Package applytest has what the tests of package apply, and of those that use it,
// need: the conformance suite of an apply.FS, and MemFS, a disk that can lose what
// was not synced, fail, and be changed by a person between any two calls.
package applytest
