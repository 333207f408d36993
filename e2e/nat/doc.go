// Package nat tests that nodes find each other through any NAT, with real processes
// and the kernel's own NAT, in the internets of package lab.
//
//	go test -count=1 -tags nat -v ./e2e/nat                # all, as root
//	go test -count=1 -tags nat -v ./e2e/nat -run Matrix
//	go run ./e2e/nat/cmd/natlab -list                      # look at one by hand
//
// Without the tag there is nothing to run: the run of all tests is not to change with
// what the computer permits.
package nat
