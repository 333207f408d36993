package command

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/server/api"
)

type dhtCasCmd struct {
	Key       string  `arg:"" help:"Any text, or hex: and 64 digits."`
	Value     *string `arg:"" optional:"" help:"What is to be there; @FILE is a file's content, - the standard input. Without it and without another change it is read."`
	Append    string  `placeholder:"TEXT" help:"Add a text to the end of what is there."`
	Add       int64   `placeholder:"N" help:"Add to the whole number that is there; nothing counts as 0."`
	Delete    bool    `help:"Delete what is there."`
	Expect    *string `aliases:"if" placeholder:"VALUE" help:"Only if this is there; @FILE is a file's content."`
	IfVersion *int64  `placeholder:"N" help:"Only if this version is there; 0: only if nothing ever was."`
	Op        string  `placeholder:"OP" help:"Try a change again of which it is not known whether it was made; the error has named it."`
	dhtShown
}

// change is what the API is asked for.
func (r dhtCasCmd) change(c *console) (api.DhtRegisterChange, error) {
	body := api.DhtRegisterChange{Key: r.Key, Append: given(r.Append), Add: given(r.Add), Delete: given(r.Delete), IfVersion: r.IfVersion, Op: given(r.Op)}
	if r.Value != nil {
		value, err := c.registerValue(*r.Value)
		if err != nil {
			return body, err
		}
		body.Value, body.ValueBase64 = textOrBase64(value)
	}
	if r.Expect != nil {
		value, err := c.registerValue(*r.Expect)
		if err != nil {
			return body, err
		}
		if !utf8.Valid(value) {
			return body, errors.New("dht cas --expect: not text: name the version with --if-version")
		}
		body.IfValue = new(string(value))
	}
	return body, nil
}

// registerValue reads a value; nothing is a value, too.
func (c *console) registerValue(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	return c.value(text)
}

// Run reads or changes a register.
func (r dhtCasCmd) Run(c *console) error {
	var got api.DhtRegister
	var done bool
	var err error
	if r.Value == nil && r.Append == "" && r.Add == 0 && !r.Delete {
		if r.Expect != nil || r.IfVersion != nil || r.Op != "" {
			return UsageError{"dht cas: what is to be there? A value, --append, --add or --delete"}
		}
		done, err = c.get("/api/dht/registers", url.Values{"key": {r.Key}}, &got, r.JSON)
	} else {
		var body api.DhtRegisterChange
		if body, err = r.change(c); err == nil {
			done, err = c.post("/api/dht/registers", body, &got, r.JSON)
		}
	}
	if done || err != nil {
		return err
	}
	switch {
	case !got.Exists:
		fmt.Fprintln(c.Stderr, "Nothing is there.")
	case got.Value != nil:
		fmt.Fprintln(c.Stdout, Printable(*got.Value))
	case got.ValueBase64 != nil:
		if _, err := c.Stdout.Write(*got.ValueBase64); err != nil {
			return err
		}
	}
	if got.Again {
		fmt.Fprintln(c.Stderr, "The change had been made already.")
	}
	if !r.Trace {
		return nil
	}
	for _, s := range got.Trace {
		fmt.Fprintln(c.Stdout, oneLine(s.Text))
	}
	var names []string
	for _, a := range got.Acceptors {
		names = append(names, nodeName(a.Name, a.Id))
	}
	fmt.Fprintf(c.Stdout, "version %d, epoch %d, kept by %s\n", got.Version, got.Epoch, strings.Join(names, ", "))
	return nil
}
