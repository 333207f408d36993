package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What serve leaves in the data directory for the other verbs and for scripts.
const (
	addressFile = "http"  // the API's address, such as 127.0.0.1:8080
	tokenFile   = "token" // what changes need
)

// tokenLimit bounds a token's length.
const tokenLimit = 256

// leastToken is how long a token is at least that other computers can try.
const leastToken = 16

// wholePath makes a path absolute. It expands a leading ~/ as well, which shells
// do not within --flag=~/path.
func wholePath(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, rest)
	}
	return filepath.Abs(path)
}

// Token returns the token that the node in dir wants to see: the given one,
// which is kept, or the one kept, which is made on the first start.
func Token(dir, given string) (string, error) {
	path := filepath.Join(dir, tokenFile)
	token := given
	if token == "" {
		token = firstLine(path)
		if token != "" {
			if err := checkToken(token); err != nil {
				return "", fmt.Errorf("%s: %w: delete it, and a new one is made", path, err)
			}
		}
	}
	if token == "" {
		token = rand.Text() // 130 bits
	}
	if err := WritePrivate(path, token+"\n"); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	return token, nil
}

// checkToken refuses what cannot be sent: browsers accept only RFC 7230's token
// characters in a WebSocket subprotocol.
func checkToken(token string) error {
	if len(token) > tokenLimit {
		return fmt.Errorf("a token has at most %d characters", tokenLimit)
	}
	for _, r := range token {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)) {
			return fmt.Errorf("a token holds letters, digits and !#$%%&'*+-.^_`|~ only, not %q", r)
		}
	}
	return nil
}

// WriteAddress tells the other verbs where the API is. The returned function
// takes it back.
func WriteAddress(dir, addr string) (remove func() error, err error) {
	path := filepath.Join(dir, addressFile)
	if err := WritePrivate(path, addr+"\n"); err != nil {
		return nil, fmt.Errorf("keep the address: %w", err)
	}
	return func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}, nil
}

// WritePrivate replaces the file at path by one that only its owner can read.
// Who reads meanwhile sees the old text or the new one.
func WritePrivate(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// firstLine returns the first line of a small file, "" if there is none.
func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, 1024)
	n, _ := f.Read(buf) // what cannot be read says nothing
	line, _, _ := strings.Cut(string(buf[:n]), "\n")
	return strings.TrimSpace(line)
}
