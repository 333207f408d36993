package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// printHelp is kong's help, but a command is called by one name in usage lines and
// lists. What else it is called is said beside its description.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	nameOnce(ctx.Model.Node)
	return kong.DefaultHelpPrinter(o, ctx)
}

// nameOnce changes the model for good: after its help the program ends.
func nameOnce(n *kong.Node) {
	for _, child := range n.Children {
		nameOnce(child)
	}
	if len(n.Aliases) > 0 {
		n.Help = strings.TrimSuffix(n.Help, ".") + " [also: " + strings.Join(n.Aliases, ", ") + "]."
		n.Aliases = nil
	}
}

// usedBy is the command whose help helps: the one that was named, or the program.
func usedBy(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		path := ""
		for n := parse.Context.Selected(); n != nil && n.Parent != nil; n = n.Parent {
			// The default command of a group was not named.
			if n.Parent.DefaultCmd == n && !slices.ContainsFunc(append([]string{n.Name}, n.Aliases...), func(name string) bool { return slices.Contains(parse.Context.Args, name) }) {
				continue
			}
			path = " " + n.Name + path
		}
		return "shoal" + path
	}
	return "shoal"
}

// commandMissing reports whether no command of a group was named where one has to be.
func commandMissing(parse *kong.ParseError) bool {
	at := parse.Context.Selected()
	return at != nil && len(at.Children) > 0 && strings.HasPrefix(parse.Error(), "expected one of ")
}

// usage lists the commands of a group if none of them was named; else it is empty.
func usage(err error) string {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || !commandMissing(parse) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s <command>\n", usedBy(err))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, n := range parse.Context.Selected().Children {
		fmt.Fprintf(w, "  %s\t%s\n", n.Name, n.Help)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
