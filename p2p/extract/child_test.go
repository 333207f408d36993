package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// eat is a program that says hello as a child does and takes too much of
// something.
func eat(what string) int {
	debug.SetMaxStack(stackSize)
	var w watch
	go w.run()
	time.Sleep(time.Microsecond)
	held, err := confine()
	if err == nil {
		err = write(os.Stdout, sayHello, []byte(held))
	}
	if _, _, e := read(os.Stdin, maxName+20, nil); err == nil {
		err = e
	}
	if err != nil {
		return 1
	}
	w.begin(100 * time.Millisecond)
	switch what {
	case "memory":
		w.begin(time.Hour)
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
			_ = all
		}
	case "memory at once":
		w.begin(time.Hour)
		b := make([]byte, min(uint64(64<<30), math.MaxInt))
		b[len(b)-1] = 1
	case "stack":
		w.begin(time.Hour)
		var deeper func(n int) int
		deeper = func(n int) int { return deeper(n+1) + n }
		return deeper(0)
	case "processor":
		for n := uint64(1); n != 0; n = n*3 | 1 {
		}
	case "time":
		time.Sleep(time.Hour)
	case "panic":
		panic("no")
	case "nonsense":
		fmt.Print("t\xff\xff\xff\xff and what it says is far too long")
		time.Sleep(time.Hour)
	case "lies":
		_ = write(os.Stdout, sayText, appendText(Text{Reason: "because", Type: "a virus"}))
		time.Sleep(time.Hour)
	case "beyond":
		_ = write(os.Stdout, sayRead, uint64Bytes(1<<40), uint64Bytes(10))
		time.Sleep(time.Hour)
	case "silence":
		return 0
	}
	return 1
}

// TestChildrenThatMisbehave: whatever becomes of a child, its parent says what
// happened and goes on.
func TestChildrenThatMisbehave(t *testing.T) {
	for what, want := range map[string]Reason{
		"memory": OutOfMemory, "memory at once": OutOfMemory, "stack": Damaged, "processor": TimedOut, "time": TimedOut,
		"panic": Crashed, "nonsense": Crashed, "lies": Crashed, "beyond": Crashed, "silence": Crashed,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := Options{Command: self(t, "eat", what), Wall: time.Minute}
			if what == "time" {
				o.Wall = 300 * time.Millisecond
			}
			got := readBytes(t, reader(t, o), "a.pdf", []byte("%PDF-1.7"))
			deep := what == "stack" && got.Reason == OutOfMemory // with the race detector
			if got.Reason != want && !deep || got.Detail == "" || got.Title != "a.pdf" || len(got.Detail) > maxDetail {
				t.Errorf("%s: %s", got.Reason, got.Detail)
			}
		})
	}
}

func TestChildrenAreUsedAndEnded(t *testing.T) {
	content, err := os.ReadFile("testdata/report.docx")
	if err != nil {
		t.Fatal(err)
	}
	r := reader(t, Options{Files: 3, Idle: 50 * time.Millisecond})
	now := func() *child {
		c := <-r.turn
		r.turn <- c
		return c
	}
	if now() != nil {
		t.Error("a child before there is anything to do")
	}
	readBytes(t, r, "a.docx", content)
	first := now()
	readBytes(t, r, "a.docx", content)
	if first == nil || now() != first {
		t.Error("the child was not used again")
	}
	if readBytes(t, r, "a.docx", content); now() != nil {
		t.Error("the child goes on for ever")
	}
	readBytes(t, r, "a.docx", content)
	for deadline := time.Now().Add(time.Minute); now() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("a child waits for ever")
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Close()
	if _, err := r.Read(t.Context(), "a.docx", bytes.NewReader(content), int64(len(content))); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestCancelledWhileAChildReads(t *testing.T) {
	r := reader(t, Options{Command: self(t, "eat", "time")})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := r.Read(ctx, "a.pdf", bytes.NewReader([]byte("%PDF-")), 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestNoChild(t *testing.T) {
	for name, command := range map[string][]string{"none": nil, "missing": {"/nowhere/shoal"}, "another program": {"/bin/true"}} {
		r := New(Options{Command: command})
		if got := readBytes(t, r, "a.pdf", []byte("%PDF-")); got.Reason != Unavailable || got.Title != "a.pdf" {
			t.Errorf("%s: %s %s", name, got.Reason, got.Detail)
		}
		if got := readBytes(t, r, "a.txt", []byte("text")); got.Text != "text" {
			t.Errorf("%s: text is not read", name)
		}
		r.Close()
	}
}
