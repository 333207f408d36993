//go:build linux && fault

package crash

// faulty: the tests were asked for.
const faulty = true
