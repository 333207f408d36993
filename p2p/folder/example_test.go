package folder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// printer is a Sink that tells what it gets.
type printer struct{}

func (printer) Put(_ context.Context, updates []folder.Update) error {
	for _, u := range updates {
		fmt.Println(u.Kind, u.Path, u.Size)
	}
	return nil
}

func Example() {
	dir, err := os.MkdirTemp("", "shared")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("Hello, shoal"), 0o644); err != nil {
		log.Fatal(err)
	}

	service, err := folder.Open(folder.Options{Sink: printer{}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- service.Run(ctx) }()

	shared, err := service.Add(ctx, folder.AddOptions{Path: dir, Label: "greetings"})
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(service.Wait(ctx, shared.ID), service.WaitTold(ctx, shared.ID)); err != nil {
		log.Fatal(err)
	}
	file, err := service.OpenFile(shared.ID, "hello.txt")
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s (BLAKE3 %.8s)\n", text, file.Hash)
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output:
	// file hello.txt 12
	// Hello, shoal (BLAKE3 87922dc2)
}
