package command

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

type dhtCasCmd struct {
	Key       string  `arg:"" help:"Any text, or hex: and 64 digits."`
	Value     *string `arg:"" optional:"" help:"What is to be there; without it and without another change it is read."`
	Append    string  `placeholder:"TEXT" help:"Add a text to the end of what is there."`
	Add       int64   `placeholder:"N" help:"Add to the whole number that is there; nothing counts as 0."`
	Delete    bool    `help:"Delete what is there."`
	If        *string `placeholder:"TEXT" help:"Only if this is there."`
	IfVersion *int64  `placeholder:"N" help:"Only if this version is there; 0: only if nothing ever was."`
	Op        string  `placeholder:"OP" help:"Try a change again of which it is not known whether it was made; the error has named it."`
	dhtShown
}

// Run reads or changes a register.
func (r dhtCasCmd) Run(c *console) error {
	var got api.DhtRegister
	var done bool
	var err error
	if r.Value == nil && r.Append == "" && r.Add == 0 && !r.Delete {
		if r.If != nil || r.IfVersion != nil || r.Op != "" {
			return UsageError{"dht cas: what is to be there? A value, --append, --add or --delete"}
		}
		done, err = c.get("/api/dht/registers", url.Values{"key": {r.Key}}, &got, r.JSON)
	} else {
		done, err = c.post("/api/dht/registers", api.DhtRegisterChange{
			Key: r.Key, Value: r.Value, Append: given(r.Append), Add: given(r.Add), Delete: given(r.Delete), IfValue: r.If, IfVersion: r.IfVersion, Op: given(r.Op),
		}, &got, r.JSON)
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
