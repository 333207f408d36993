// Command shoal makes a group of computers searchable and keeps their folders
// the same. Without a verb it runs a node.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server"
	"github.com/shoal-p2p/shoal/server/command"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/web"
)

// version is that of CHANGELOG.md.
const version = "0.1.0"

// shutdownLimit is when a program that was told to end does so whatever still
// runs: nothing that was acknowledged can be lost by it.
const shutdownLimit = 9 * time.Second

func main() {
	if len(os.Args) == 2 && os.Args[1] == extract.Verb { // not a verb for people: see extractor
		os.Exit(extract.Main())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the program at once
		time.AfterFunc(shutdownLimit, func() {
			fmt.Fprintln(os.Stderr, "shoal: shutting down takes too long, ending now")
			os.Exit(command.ExitError)
		})
	})
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run does what args say, until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	return command.Run(ctx, command.Program{Version: version, Serve: serve, Lab: lab}, args, command.Terminal{
		Getenv: getenv, Stdin: os.Stdin, Stdout: stdout, Stderr: stderr,
	})
}

// serve runs one node. The end of ctx is the orderly end, also while it starts.
func serve(ctx context.Context, o command.Serve, t command.Terminal) (err error) {
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil
		}
	}()
	log := o.Logger(t.Stderr)
	dir, err := o.Dir(t.Getenv)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, dir, store.Options{Logger: log})
	if err != nil {
		return notOpened(dir, err)
	}
	defer closing(&err, s.Close)
	token, err := command.Token(dir, o.Token)
	if err != nil {
		return err
	}
	listener, moved, err := command.Listen(ctx, o.HTTP)
	if err != nil {
		return err
	}
	defer listener.Close() // for the errors below; the server closes it before
	api, err := server.New(server.Options{
		Token: token, RequireToken: o.RequireToken, OpenReads: o.OpenReads, Hosts: o.AllowHost,
		Addr: listener.Addr().String(), UI: web.Dist(), Logger: log, Version: version,
		KeepLimits: func(ctx context.Context, r link.Rates) error { return keepLimits(ctx, s, r) },
	})
	if err != nil {
		return err
	}
	failed := answer(api, listener)
	defer closing(&err, api.Close)
	kept, err := s.Member().Load() // now, while the node does not write there yet
	if err != nil {
		return err
	}
	n, err := startNode(ctx, o, s, log, t.Stdout)
	if err != nil {
		return err
	}
	defer closing(&err, n.Close)
	if err := api.Attach(n); err != nil {
		return err
	}
	forget, err := command.WriteAddress(dir, command.Reach(listener.Addr()))
	if err != nil {
		return err
	}
	defer closing(&err, forget)
	if moved != "" {
		fmt.Fprintln(t.Stdout, moved)
	}
	greet(t.Stdout, n, listener, dir, o.RequireToken || o.Token != "")
	if mode := n.Status().Network.Mode; o.NetworkMode == string(member.ModeOpen) && mode != member.ModeOpen {
		log.Warn("--network-mode is for the network that a new node makes: this one is in another one already", "mode", mode)
	}
	stop, err := introduce(ctx, n, kept, o, log, t.Stdout)
	defer stop()
	if err != nil {
		return err
	}
	return ready(ctx, api, failed)
}

// extractor is the command by which this program becomes a child that reads a
// document. On Linux it is this very program, whatever has taken its place on the
// disk meanwhile.
func extractor() []string {
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	if runtime.GOOS == "linux" {
		program = "/proc/self/exe"
	}
	return []string{program, extract.Verb}
}

// notOpened says what helps when dir may not be written: not to change the owner of
// what is there, since a path is mistyped as easily as it is forbidden.
func notOpened(dir string, err error) error {
	if errors.Is(err, store.ErrUnusable) && errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("data directory %s: permission denied: choose another with --data, or make it writable for user %d", dir, os.Getuid())
	}
	return err
}

// closing adds the error of close to err.
func closing(err *error, close func() error) { *err = errors.Join(*err, close()) }

// answer serves from now on: that the node is starting, while it does.
func answer(s *server.Server, l net.Listener) (failed <-chan error) {
	c := make(chan error, 1)
	go func() { c <- s.Serve(l) }()
	return c
}

// ready lets requests through to the node until ctx ends or the server fails. The
// server is closed then, before the node: nothing asks one that is closed.
func ready(ctx context.Context, s *server.Server, failed <-chan error) error {
	s.SetReady(true)
	select {
	case err := <-failed:
		return errors.Join(err, s.Close())
	case <-ctx.Done():
	}
	return errors.Join(s.Close(), <-failed)
}

func relayMode(flag string) rtc.RelayMode {
	if flag == "auto" {
		return rtc.RelayAuto
	}
	return rtc.RelayMode(flag)
}

// startNode starts the node of a data directory with the folders it is to share.
func startNode(ctx context.Context, o command.Serve, s *store.Store, log *slog.Logger, out io.Writer) (*node.Node, error) {
	folders, err := o.Folders()
	if err != nil {
		return nil, err
	}
	options := node.Options{
		Name: o.NodeName(), Store: s, DataDir: s.Dir(), Listen: o.P2P, Announce: o.Announce, NoLAN: o.NoLAN, NoPortMap: o.NoPortMap,
		Relay: relayMode(o.Relay), Roster: o.Roster, Mode: member.Mode(o.NetworkMode), Publish: o.Publish, Logger: log, Version: version,
		Busy: new(room).Busy, Extract: extractor(),
	}
	options.Replicas, options.Auto = o.Copies.Options()
	limits, err := lastLimits(ctx, s)
	if err != nil {
		return nil, err
	}
	options.Limits = o.LimitFlags.Over(limits)
	if options.Downloads, err = o.DownloadsPath(); err != nil {
		return nil, err
	}
	if options.STUN, err = o.STUNServers(); err != nil {
		return nil, err
	}
	if options.Rendezvous, err = o.Meetings(); err != nil {
		return nil, err
	}
	turn, err := o.TURNServers()
	if err != nil {
		return nil, err
	}
	for _, t := range turn {
		options.TURN = append(options.TURN, rtc.TURNServer(t))
	}
	if o.P2P == "" {
		if options.Listen, err = lastPort(ctx, s); err != nil {
			return nil, err
		}
		options.AnyPort = true
	}
	n, err := node.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	if err := keepPort(ctx, s, n); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	for _, f := range folders {
		if f.ID != "" {
			continue // introduce waits for it to be offered
		}
		if err := share(ctx, n, f.Path, out); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

// settingPort is where a store keeps the p2p port of the last run: the other
// members know it, so a node whose first choice was taken stays with its second.
const settingPort = "p2p_port"

// lastPort returns the address to listen on when none is given.
func lastPort(ctx context.Context, s *store.Store) (string, error) {
	port, ok, err := s.Setting(ctx, settingPort)
	if err != nil || !ok {
		return command.DefaultP2P, err
	}
	return ":" + port, nil
}

func keepPort(ctx context.Context, s *store.Store, n *node.Node) error {
	addrs := n.Status().P2P
	if len(addrs) == 0 {
		return nil
	}
	return s.SetSetting(ctx, settingPort, strconv.Itoa(int(addrs[0].Port())))
}

// settingLimits is where a store keeps how fast contents are carried at most, as JSON.
const settingLimits = "limits"

func lastLimits(ctx context.Context, s *store.Store) (r link.Rates, err error) {
	text, ok, err := s.Setting(ctx, settingLimits)
	if err != nil || !ok {
		return r, err
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("read the limits that are kept: %w", err)
	}
	return r, nil
}

func keepLimits(ctx context.Context, s *store.Store, r link.Rates) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep limits: %w", err)
	}
	return s.SetSetting(ctx, settingLimits, string(text))
}

// share shares the directory at path, which is made if there is none, and says so:
// the path may be mistyped. One that is shared already and missing is not made: its
// disk is away.
func share(ctx context.Context, n *node.Node, path string, out io.Writer) error {
	for _, f := range n.Folders() {
		if f.Path == path {
			return nil
		}
	}
	_, missing := os.Stat(path)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fmt.Errorf("share folder: %w", err)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintln(out, "created", command.Printable(path))
	}
	_, err := n.AddFolder(ctx, folder.AddOptions{Path: path})
	return err
}

// introduce does what --join, --invite-file and --folder ID=PATH ask for, and says
// who joins, until stop is called. Without --join the invitation is written before
// this node says that it serves, so that who waits for that finds it.
func introduce(ctx context.Context, n *node.Node, kept member.State, o command.Serve, log *slog.Logger, out io.Writer) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() { cancel(); running.Wait() }
	happened := n.Events().Subscribe(ctx, "")
	running.Go(func() { tell(happened, out) })
	folders, err := o.Folders()
	if err != nil {
		return stop, err
	}
	for _, f := range folders {
		if f.ID != "" {
			running.Go(func() { keep(ctx, n, f, log, out) })
		}
	}
	if o.Join == "" {
		return stop, invite(ctx, n, kept, o)
	}
	running.Go(func() {
		join(ctx, n, o, log)
		if err := invite(ctx, n, kept, o); err != nil {
			log.Error("no invitation written", "error", err)
		}
	})
	return stop, nil
}

// tell says who joined, with the words that both sides compare.
func tell(happened iter.Seq[node.Message], out io.Writer) {
	for m := range happened {
		switch e := m.Data.(type) {
		case member.MemberJoined:
			if len(e.Words) > 0 {
				fmt.Fprintln(out, command.Printable(fmt.Sprintf("%s joined; both see the words: %s", e.Name, strings.Join(e.Words, " "))))
			}
		case member.NetworkJoined:
			if e.Mode == member.ModeOpen {
				fmt.Fprintln(out, "This network is open: anybody can join it. Folders are shared with nobody there until you say so.")
			}
			fmt.Fprintln(out, command.Printable(fmt.Sprintf("joined %s; both see the words: %s", e.Name, strings.Join(e.Words, " "))))
		}
	}
}

// uses is how many computers can join with the invitation of --invite-file.
const uses = 100

// leastTime is how long an invitation must still work to be written again.
const leastTime = time.Hour

// invite writes an invitation to the file of --invite-file, if that is given. One
// that is there is good for another start, so that a node which is started again
// and again does not make one each time; it is written with the addresses of now.
func invite(ctx context.Context, n *node.Node, kept member.State, o command.Serve) error {
	file, err := o.InvitePath()
	if err != nil || file == "" {
		return err
	}
	inv, err := written(file, n, kept)
	if err != nil {
		inv, err = n.Invite(ctx, member.InviteOptions{MaxUses: uses})
	}
	if err != nil {
		return fmt.Errorf("invitation for %s: %w", file, err)
	}
	if err := command.WritePrivate(file, inv.Link("http://localhost:8080")+"\n"); err != nil {
		return fmt.Errorf("write the invitation: %w", err)
	}
	return nil
}

// written returns the invitation in file if it is one that this node kept when it
// was started and it is good for another while; the error says why not.
func written(file string, n *node.Node, kept member.State) (member.Invitation, error) {
	link, err := command.ReadLink("@"+file, nil)
	if err != nil {
		return member.Invitation{}, err
	}
	inv, err := member.ParseInvitation(link)
	if err != nil {
		return member.Invitation{}, err
	}
	self, ok := n.Member(n.ID())
	if !ok || self.Role != member.RoleAdmin || inv.Network != n.Status().Network.ID || !good(kept, inv, time.Now().Add(leastTime)) {
		return member.Invitation{}, fmt.Errorf("%s: not good for another start", file)
	}
	inv.Inviter = p2p.Contact{PublicKey: self.Contact.PublicKey, Name: self.Name, Addrs: self.Contact.Addrs, Relays: inv.Inviter.Relays}
	return inv, nil
}

// good reports whether inv is one of the invitations in state, for its network, and
// somebody can still join with it at the time given.
func good(state member.State, inv member.Invitation, at time.Time) bool {
	used := 0
	for _, r := range state.Redemptions {
		if r.Invite == inv.ID {
			used++
		}
	}
	return state.Network == inv.Network && slices.ContainsFunc(state.Invites, func(i member.Invite) bool {
		return i.ID == inv.ID && i.Secret == inv.Secret && i.Role == inv.Role && !i.Ended && at.Before(i.Expires) && used < i.MaxUses
	})
}

// join tries to join until it succeeds or cannot. The inviter may start later
// than this node, as may the file that holds its invitation.
func join(ctx context.Context, n *node.Node, o command.Serve, log *slog.Logger) {
	const longest = 15 * time.Second
	for wait := time.Second; ; wait = min(2*wait, longest) {
		link, err := o.Invitation()
		if err == nil {
			if _, err = n.Join(ctx, link); err == nil {
				return
			}
		}
		switch {
		case errors.Is(err, member.ErrNotEmpty):
			log.Info("stays in its network", "reason", err)
			return
		case !passes(err):
			log.Error("not joined", "error", err)
			return
		}
		log.Warn("not joined yet, trying again", "error", err, "after", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// passes reports whether a failure to join may go away by itself.
func passes(err error) bool {
	return !errors.Is(err, member.ErrMalformed) && !errors.Is(err, member.ErrExpired) &&
		!errors.Is(err, member.ErrRefused) && !errors.Is(err, p2p.ErrRefused)
}

// keep joins an offered folder, and waits until it is offered if it is not yet: the
// member that does so may start later than this node. One that is kept already stays
// where it is.
func keep(ctx context.Context, n *node.Node, f command.Folder, log *slog.Logger, out io.Writer) {
	const longest = 15 * time.Second
	if kept, err := n.Folder(f.ID, n.ID()); err == nil {
		path := f.Path
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if path != kept.Path {
			log.Warn("folder is kept in another directory than asked for", "folder", kept.Label, "kept", kept.Path, "asked", f.Path)
		}
		return
	}
	for wait := time.Second / 4; ; wait = min(2*wait, longest) {
		joined, err := n.JoinFolder(ctx, f.ID, p2p.ID{}, f.Path)
		switch {
		case err == nil:
			fmt.Fprintln(out, command.Printable(fmt.Sprintf("keeps %s of %s in %s", joined.Label, nameOf(n, joined.Creator), joined.Path)))
			return
		case ctx.Err() != nil:
			return
		case stays(err):
			log.Error("folder not joined", "folder", f.ID, "path", f.Path, "error", err)
			return
		case wait == time.Second/4:
			log.Info("folder not joined yet, trying until it can be", "folder", f.ID, "path", f.Path, "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// nameOf is the name of a member, or its ID if it has none.
func nameOf(n *node.Node, id p2p.ID) string {
	m, _ := n.Member(id)
	return cmp.Or(m.Name, id.Short())
}

// stays reports whether a failure to join a folder is one that only a person can
// do something about.
func stays(err error) bool {
	return errors.Is(err, folder.ErrOverlap) || errors.Is(err, folder.ErrUnusable) || errors.Is(err, node.ErrAmbiguous)
}

// greet says where the node is and what to do next.
func greet(out io.Writer, n *node.Node, l net.Listener, dir string, tokenAsked bool) {
	s := n.Status()
	fmt.Fprint(out, addresses(l))
	fmt.Fprintf(out, "node       %s  %s\n", command.Printable(s.Name), s.ID)
	fmt.Fprintf(out, "network    %s, members: %d\n", command.Printable(s.Network.Name), s.Members)
	if s.Network.Mode == member.ModeOpen {
		fmt.Fprintln(out, "open       anybody can join who knows the address of a member")
	}
	fmt.Fprintf(out, "data       %s\n", dir)
	if tokenAsked {
		fmt.Fprintf(out, "token      in %s\n", filepath.Join(dir, "token"))
	}
	fmt.Fprintln(out, "invite     with the dashboard, or: shoal invite")
}

// addresses are the lines that say where the dashboard is, for this computer and,
// when l listens everywhere, for others.
func addresses(l net.Listener) string {
	lines := fmt.Sprintf("dashboard  http://%s\n", command.Reach(l.Addr()))
	own, err := net.InterfaceAddrs()
	if lan := command.LAN(l.Addr(), own); err == nil && lan != "" {
		lines += fmt.Sprintf("           http://%s from other computers\n", lan)
	}
	return lines
}

// lab runs several nodes, which forget everything, on one address.
func lab(ctx context.Context, o command.Lab, t command.Terminal) (err error) {
	if o.Nodes > node.MaxLab {
		return command.UsageError{Reason: fmt.Sprintf("--nodes %d: at most %d are possible", o.Nodes, node.MaxLab)}
	}
	log := slog.New(slog.NewTextHandler(t.Stderr, &slog.HandlerOptions{Level: o.LogLevel}))
	listener, moved, err := command.Listen(ctx, o.HTTP)
	if err != nil {
		return err
	}
	defer listener.Close() // for the errors below; the server closes it before
	if moved != "" {
		fmt.Fprintln(t.Stdout, moved)
	}
	dir, err := os.MkdirTemp("", "shoal-lab-")
	if err != nil {
		return err
	}
	defer closing(&err, func() error { return os.RemoveAll(dir) })
	nodes, err := node.StartLab(ctx, node.LabOptions{Nodes: o.Nodes, Dir: dir, Roster: o.Roster, Publish: o.Publish, Logger: log, Version: version, Extract: extractor()})
	if err != nil {
		return err
	}
	defer closing(&err, nodes.Close)
	// A token that was given is somebody's secret; the one made here ends with the lab.
	made, shown := "", "as given"
	if o.Token == "" {
		made = rand.Text()
		shown = made
	}
	api, err := server.New(server.Options{
		Node: nodes.Nodes[0], Lab: nodes.Nodes, Token: cmp.Or(o.Token, made), Addr: listener.Addr().String(), UI: web.Dist(), Logger: log, Version: version,
	})
	if err != nil {
		return err
	}
	fmt.Fprint(t.Stdout, addresses(listener))
	fmt.Fprintf(t.Stdout, "token      %s\n", shown)
	fmt.Fprintf(t.Stdout, "use        shoal --http %s --token %s invite\n", command.Reach(listener.Addr()), cmp.Or(made, "…"))
	for i, n := range nodes.Nodes {
		fmt.Fprintf(t.Stdout, "node %-5d %s  %s\n", i, n.Name(), n.ID())
	}
	return ready(ctx, api, answer(api, listener))
}
