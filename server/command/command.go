// Package command is shoal's command line: the flags, and the verbs that ask a
// running node over its HTTP API. The verbs that are a node themselves, serve
// and lab, are the caller's (Program).
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit codes. Scripts rely on them.
const (
	ExitOK           = 0 // also: a search without hits
	ExitError        = 1
	ExitUsage        = 2
	ExitUnreachable  = 3 // no node answers
	ExitNotFound     = 4
	ExitPartial      = 5 // an answer without that of some members
	ExitUnauthorized = 7
	ExitInterrupted  = 130 // by Ctrl-C or a signal to end, before the verb was done
)

// Program is what the command line belongs to.
type Program struct {
	Version string
	// Serve runs a node, Lab runs several in one process, until ctx ends.
	Serve func(ctx context.Context, s Serve, t Terminal) error
	Lab   func(ctx context.Context, l Lab, t Terminal) error
}

// Terminal is what a program has of the world around it.
type Terminal struct {
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Global flags hold for every verb.
type Global struct {
	Data  string `placeholder:"DIR" from:"SHOAL_DATA" help:"Where the node keeps its data (default: shoal in your data directory)."`
	HTTP  string `name:"http" placeholder:"ADDR" from:"SHOAL_HTTP" help:"Address of the API and the dashboard (default: 127.0.0.1:8080)."`
	Token string `placeholder:"TOKEN" from:"SHOAL_TOKEN" help:"What changes need (default: made by serve and kept in DIR/token)."`
}

// grammar is the command line as kong reads it: the global flags first, then the
// commands.
type grammar struct {
	Global

	Serve     Serve        `cmd:"" default:"withargs" help:"Run a node (default)."`
	Status    statusCmd    `cmd:"" help:"Show the node: its name, its network, what it shares."`
	Search    searchCmd    `cmd:"" help:"Search the folders and documents of all members."`
	Folders   foldersCmd   `cmd:"" aliases:"folder" help:"List, share, join and forget folders."`
	Transfers transfersCmd `cmd:"" help:"Show the files that are on their way to this node."`
	Conflicts conflictsCmd `cmd:"" help:"List or resolve what was changed on two computers at once."`
	Trash     trashCmd     `cmd:"" help:"List what was replaced or deleted in a folder, or bring it back."`
	Held      heldCmd      `cmd:"" help:"Decide on mass deletions of other members, which wait for you."`
	Changes   changesCmd   `cmd:"" help:"List or revert own changes in a folder that is read-only here."`
	Invite    inviteCmd    `cmd:"" help:"Make a link that lets another computer join."`
	Join      joinCmd      `cmd:"" help:"Join the network of an invitation."`
	Network   networkCmd   `cmd:"" help:"Make another network, also one that is open to anybody."`
	Connect   connectCmd   `cmd:"" help:"Link with a computer that no server and no member connects: by texts that you carry."`
	Members   membersCmd   `cmd:"" help:"List who belongs to the network, remove a member, make one an admin."`
	Peers     peersCmd     `cmd:"" help:"List the other members and how they are linked."`
	Netcheck  netcheckCmd  `cmd:"" help:"Find out how the node is seen from outside, and what its router does."`
	Dht       dhtCmd       `cmd:"" help:"Use the table that all members keep together, and send messages."`
	Range     rangeCmd     `cmd:"" aliases:"ranges" help:"Keep values in the order of their keys, and get those from one key to another."`
	Words     wordsCmd     `cmd:"" help:"Find published documents by their words in the table, without asking those who have them."`
	Seed      seedCmd      `cmd:"" help:"Share a file with all members, who get it from each other."`
	Get       getCmd       `cmd:"" help:"Get a file from all who have it at once."`
	Seeds     seedsCmd     `cmd:"" help:"List seeds, pause, resume or remove them."`
	Swarm     swarmCmd     `cmd:"" help:"Show who has which piece of a file, and where each came from."`
	Limit     limitCmd     `cmd:"" aliases:"limits" help:"Show or set how fast contents are sent and received at most."`
	Tracker   trackerCmd   `cmd:"" help:"List seeds, and show who has one."`
	Delta     deltaCmd     `cmd:"" help:"Bring a file up to date by what has changed in it; needs no node."`
	Lesson    lessonCmd    `cmd:"" aliases:"lessons" help:"Play a story that shows how something works; needs no node."`
	Lab       Lab          `cmd:"" help:"Run many nodes in one process, with sample documents."`
	Health    healthCmd    `cmd:"" help:"Ask whether the node serves."`
	Version   versionCmd   `cmd:"" help:"Show the version of this program."`
}

// Run does what args say and returns the exit code.
func Run(ctx context.Context, p Program, args []string, t Terminal) int {
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	return run(ctx, p, part(args), args, t)
}

// run does what args say in a grammar, which is a pointer to a struct.
func run(ctx context.Context, p Program, commands any, args []string, t Terminal) int {
	var helped bool
	parser, err := kong.New(commands,
		kong.Name("shoal"),
		kong.Description("Makes a group of computers searchable and keeps their folders the same: every computer runs a node, no server is needed."),
		kong.Writers(t.Stdout, t.Stderr),
		kong.Exit(func(int) { helped = true }), // only --help calls it
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(helpWithVariable),
		kong.Resolvers(variables(t.Getenv)),
		values(),
	)
	if err != nil {
		panic("command: grammar: " + err.Error()) // the grammar is a constant
	}
	parsed, err := parser.Parse(args)
	if helped {
		return ExitOK
	}
	c := &console{Terminal: t, ctx: ctx, program: p, global: globalOf(commands), style: newStyle(t)}
	if err != nil {
		c.complain(mistake(err))
		fmt.Fprint(t.Stderr, usage(err))
		fmt.Fprintf(t.Stderr, "Run \"%s --help\" for how it is used.\n", usedBy(err))
		return ExitUsage
	}
	if err := parsed.Run(c); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			c.complain(errInterrupted)
			return ExitInterrupted
		}
		c.complain(err)
		return exitCode(err)
	}
	return ExitOK
}

// part is the grammar with no commands but those that args begin with. kong makes a
// model of all flags of all commands, which is most of the time that a verb takes
// which has little to do, and of which it needs a twentieth. An argument that is no
// command's name gets all that there are at its place: it may be a flag, an argument
// of the default command, or a mistake, for which other names are proposed.
func part(args []string) any {
	whole := reflect.TypeFor[grammar]()
	command, ok := named(whole, args)
	if !ok {
		return new(grammar)
	}
	return reflect.New(reflect.StructOf([]reflect.StructField{
		{Name: "Global", Type: reflect.TypeFor[Global](), Tag: `embed:""`}, command,
	})).Interface()
}

// named returns the field of a group of commands that the first of args names. Of a
// group in that, it is only what the second one names, and so on.
func named(group reflect.Type, args []string) (reflect.StructField, bool) {
	if len(args) == 0 || args[0] == "" {
		return reflect.StructField{}, false
	}
	for i := range group.NumField() {
		f := group.Field(i)
		names := append(strings.Split(f.Tag.Get("aliases"), ","), strings.ToLower(f.Name))
		if !isCommand(f) || !slices.Contains(names, args[0]) {
			continue
		}
		if onlyCommands(f.Type) {
			if inner, ok := named(f.Type, args[1:]); ok {
				f.Type = reflect.StructOf([]reflect.StructField{plainField(inner)})
			}
		}
		return plainField(f), true
	}
	return reflect.StructField{}, false
}

// plainField is f as a field of another struct.
func plainField(f reflect.StructField) reflect.StructField {
	return reflect.StructField{Name: f.Name, Type: f.Type, Tag: f.Tag}
}

func isCommand(f reflect.StructField) bool {
	_, ok := f.Tag.Lookup("cmd")
	return ok
}

// onlyCommands reports whether t has nothing else, such as flags of the group, that
// would be lost with the type.
func onlyCommands(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() == 0 || reflect.PointerTo(t).NumMethod() > 0 {
		return false
	}
	for i := range t.NumField() {
		if !isCommand(t.Field(i)) {
			return false
		}
	}
	return true
}

// globalOf returns the global flags in a grammar or a part of it.
func globalOf(commands any) Global {
	g, ok := reflect.ValueOf(commands).Elem().Field(0).Interface().(Global)
	if !ok {
		panic("command: a grammar begins with the global flags")
	}
	return g
}

// variables resolves a flag that is not given from the environment variable
// that its tag names. An empty variable is none: compose files pass those.
func variables(getenv func(string) string) kong.ResolverFunc {
	return func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := flag.Tag.Get("from")
		if name == "" {
			return nil, nil
		}
		value := strings.TrimSpace(getenv(name))
		if value == "" {
			return nil, nil
		}
		return value, nil
	}
}

// helpWithVariable names the environment variable beside the flag.
func helpWithVariable(v *kong.Value) string {
	if name := v.Tag.Get("from"); name != "" {
		return strings.TrimSuffix(v.Help, ".") + " [$" + name + "]."
	}
	return v.Help
}

// console is what a verb works with.
type console struct {
	Terminal
	ctx     context.Context
	program Program
	global  Global
	style   style
}

// complain tells an error in one line, several that were joined in one each.
func (c *console) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(c.Stderr, "shoal: "+oneLine(line))
		}
	}
}

// UsageError says that the command line is wrong, not what it was to do.
type UsageError struct{ Reason string }

func (e UsageError) Error() string { return e.Reason }

// errInterrupted: the person, or the system, told the program to end.
var errInterrupted = errors.New("interrupted")

// errPartial: the answer was printed but is not whole. The message says why.
var errPartial = errors.New("partial result")

// outcome is an error of some kind that is told in other words.
type outcome struct {
	kind   error
	reason string
}

func (o outcome) Error() string { return o.reason }
func (o outcome) Unwrap() error { return o.kind }

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var usage UsageError
	var p *problem
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, errUnreachable):
		return ExitUnreachable
	case errors.Is(err, errNoSuch):
		return ExitNotFound
	case errors.Is(err, errPartial):
		return ExitPartial
	case errors.As(err, &p):
		return p.exitCode()
	}
	return ExitError
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(c *console) error {
	fmt.Fprintln(c.Stdout, "shoal", c.program.Version)
	return nil
}
