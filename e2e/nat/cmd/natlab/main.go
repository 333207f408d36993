//go:build linux

// Command natlab builds one of the internets of the NAT tests, runs a node on each of
// its computers, makes one network of them, and leaves it to be looked at.
//
//	go run ./e2e/nat/cmd/natlab -list
//	go run ./e2e/nat/cmd/natlab -run matrix
//	go run ./e2e/nat/cmd/natlab -story e2e/nat/stories/punch.txt
//
// With -story it plays a story instead, and tells it.
// It prints how to get into each computer and router. Enter prints the links again,
// Ctrl-C ends and cleans up.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
	"github.com/shoal-p2p/shoal/e2e/nat/story"
)

var (
	list    = flag.Bool("list", false, "print the scenarios")
	name    = flag.String("run", "", "the scenario to build")
	told    = flag.String("story", "", "the file of a story to play")
	keep    = flag.Bool("keep", false, "leave data and logs when it ends")
	program = flag.String("program", "", "the shoal to run (empty: it is built)")
	wait    = flag.Duration("wait", 30*time.Second, "how long to wait for all links before they are printed")
)

// directory is set in the environment of the program in the lab: where all is kept.
const directory = "SHOAL_NATLAB_DIR"

func main() {
	flag.Parse()
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "natlab:", err)
	}
	os.Exit(code)
}

func run() (code int, err error) {
	if *told != "" {
		return enter(lab.Scenario{Name: "story"}, tell)
	}
	if *list || *name == "" {
		for _, s := range lab.Scenarios() {
			fmt.Printf("%-8s %s\n", s.Name, s.About)
		}
		return 0, nil
	}
	s, err := lab.Find(*name)
	if err != nil {
		return 2, err
	}
	return enter(s, look)
}

// enter does what is to be done in namespaces of its own.
func enter(s lab.Scenario, what func(lab.Scenario) error) (code int, err error) {
	if lab.Entered() {
		return status(what(s))
	}
	if lacks := lab.Missing(s.Needs...); lacks != "" {
		return 1, errors.New(lacks)
	}
	dir, err := os.MkdirTemp("", "natlab-"+s.Name+"-")
	if err != nil {
		return 1, err
	}
	defer func() {
		if *keep {
			fmt.Println("left in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	binary := *program
	if binary == "" {
		binary = filepath.Join(dir, "shoal")
		build := exec.Command("go", "build", "-o", binary, "github.com/shoal-p2p/shoal")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return 1, fmt.Errorf("build the program: %w", err)
		}
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return 1, err
	}
	return lab.Enter(directory+"="+dir, "SHOAL_NATLAB_PROGRAM="+binary)
}

func status(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// tell plays a story.
func tell(lab.Scenario) (err error) {
	text, err := os.ReadFile(*told)
	if err != nil {
		return err
	}
	lines, err := story.Parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", *told, err)
	}
	if _, err := lab.Settle(); err != nil {
		return err
	}
	l, err := lab.New(lab.Options{Dir: os.Getenv(directory), Program: os.Getenv("SHOAL_NATLAB_PROGRAM")})
	defer func() { err = errors.Join(err, l.Close()) }()
	if err != nil {
		return err
	}
	return story.Play(l, lines, func(s string) { fmt.Println(s) })
}

// look builds the scenario, in the namespaces, and shows it until it is interrupted.
func look(s lab.Scenario) (err error) {
	outside, err := lab.Settle()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	binary := os.Getenv("SHOAL_NATLAB_PROGRAM")
	l, err := s.Build(lab.Options{Dir: os.Getenv(directory), Program: binary})
	defer func() { err = errors.Join(err, l.Close()) }()
	if err != nil {
		return err
	}
	guide(l, binary, outside)
	fmt.Println("\nstarting the nodes, and joining them …")
	n, err := lab.Join(l.Hosts()...)
	if n == nil {
		return err
	}
	if err != nil {
		fmt.Printf("not all have joined:\n%v\n", err)
	}
	pairs := make(chan []lab.Pair)
	go func() {
		p, _ := n.Until(*wait, lab.AllLinked)
		pairs <- p
	}()
	lines := make(chan struct{})
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- struct{}{}
		}
	}()
	for {
		select {
		case p := <-pairs:
			show(p)
		case <-lines:
			show(n.Pairs())
		case <-stop:
			return nil
		}
	}
}

// guide prints how to get into everything.
func guide(l *lab.Lab, binary, outside string) {
	fmt.Println("From another terminal, as root, before a command (none: a shell):")
	for _, r := range l.Routers() {
		fmt.Printf("  %-19s %-15s %s\n", r.Name, r.Addr(), r.Enter(outside))
	}
	for _, h := range l.Hosts() {
		fmt.Printf("  %-19s %-15s %s\n", h.Name, h.Addr, h.Enter(outside))
	}
	h := l.Hosts()[len(l.Hosts())-1]
	fmt.Printf("such as\n  %s %s peers --data %s\n  tail -f %s\n", h.Enter(outside), binary, h.Data(), h.Log())
}

// show prints all links, first in short.
func show(pairs []lab.Pair) {
	fmt.Printf("\n%s\n", lab.Table(pairs))
	for _, p := range pairs {
		fmt.Printf("  %-50s %.1f s\n", p, p.After.Seconds())
	}
	fmt.Println("Enter: again. Ctrl-C: end.")
}
