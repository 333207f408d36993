//go:build linux && !fault

package crash

const faulty = false
