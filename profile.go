//go:build profile && unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

// A program built with -tags profile writes what it computes from one SIGUSR1 to the next into
// PID.N.cpu in the directory SHOAL_PROFILE, which must be there, for `go tool pprof`. All
// others know nothing of it. The benchmark has it done: `go run ./e2e/bench sync --profile DIR`.
func init() {
	if dir := os.Getenv("SHOAL_PROFILE"); dir != "" {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR1)
		go profile(dir, asked)
	}
}

// profile begins and ends a profile in turn, whenever it is asked to.
func profile(dir string, asked <-chan os.Signal) {
	for n := 0; ; n++ {
		<-asked
		err := between(filepath.Join(dir, fmt.Sprintf("%d.%d.cpu", os.Getpid(), n)), asked)
		if err != nil {
			fmt.Fprintln(os.Stderr, "shoal: profile:", err)
		}
	}
}

// between writes a profile of what is computed until it is asked again. Under its name the file
// is whole.
func between(path string, asked <-chan os.Signal) (err error) {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	<-asked
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
