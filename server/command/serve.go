package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/member"
)

// Defaults of addresses that are not given.
const (
	DefaultHTTP = "127.0.0.1:8080"
	DefaultP2P  = ":4747"
)

// Serve is how a node is to run. An empty address is the default one, which may
// be replaced when it is taken.
type Serve struct {
	Global `kong:"-"` // of the whole command line

	P2P          string           `name:"p2p" placeholder:"ADDR" from:"SHOAL_P2P" help:"Address for other members, UDP and TCP (default: :4747)."`
	Announce     []netip.AddrPort `placeholder:"IP:PORT" from:"SHOAL_ANNOUNCE" help:"An address at which others reach the p2p port; repeatable."`
	NoLAN        bool             `name:"no-lan" from:"SHOAL_NO_LAN" help:"Neither announce this node in the local network nor look for members there."`
	NoPortMap    bool             `name:"no-portmap" from:"SHOAL_NO_PORTMAP" help:"Do not ask the router to forward the p2p port (UPnP, NAT-PMP, PCP)."`
	STUN         []string         `name:"stun" placeholder:"HOST[:PORT]" from:"SHOAL_STUN" help:"A server that says how others see this node: any STUN server, or the p2p port of any node (default port: 3478); repeatable."`
	TURN         []string         `name:"turn" placeholder:"USER:PASSWORD@HOST[:PORT]" from:"SHOAL_TURN" help:"A TURN server that relays to this node when nothing else works; with ?transport=tcp behind it, over TCP only; repeatable."`
	Rendezvous   []string         `placeholder:"HOST[:PORT]" from:"SHOAL_RENDEZVOUS" help:"Any node that two homes both reach: this one registers there, so that members find it, and looks for them (default port: 4747); repeatable."`
	Relay        string           `default:"auto" enum:"auto,on,off" from:"SHOAL_RELAY" help:"Whether this node relays for members that cannot be reached: auto (if others reach it), on or off."`
	Copies       Copies           `placeholder:"N|auto" from:"SHOAL_COPIES" help:"How many members keep each record of the table, 1 to 20 (default: 3; in an open network 6), or auto: as many as it takes where members leave as often as they do, at least 3."`
	NetworkMode  string           `default:"closed" enum:"closed,open" from:"SHOAL_NETWORK_MODE" help:"Of the network that a node makes when it starts for the first time: closed (whom an admin invites can join) or open (anybody can)."`
	Roster       int              `placeholder:"N" from:"SHOAL_ROSTER" help:"In a network of more than N members, find who keeps a key of the table by asking the way instead of reckoning with all members (default: 2000; 1: always). In the network that a node makes, who comes later carries a certificate, instead of being named to all (at most 2000; open network: 256)."`
	Name         string           `from:"SHOAL_NAME" help:"What people call this node (default: the host's name)."`
	Folder       []string         `placeholder:"[ID=]PATH" sep:"\n" from:"SHOAL_FOLDERS" help:"A folder to share or, as ID=PATH or LABEL=PATH, one that another member offers and that is kept in PATH; repeatable (variable: one a line)."`
	Join         string           `placeholder:"LINK" from:"SHOAL_JOIN" help:"The invitation to join with, or @FILE that holds it."`
	InviteFile   string           `placeholder:"FILE" from:"SHOAL_INVITE_FILE" help:"Write an invitation for 100 computers there at each start."`
	Downloads    string           `placeholder:"DIR" from:"SHOAL_DOWNLOADS" help:"Where files are put that are got to no other place (default: downloads in the data directory)."`
	Publish      bool             `from:"SHOAL_PUBLISH" help:"Keep documents and files that all members may see at their words in the table, where they are found without asking this node."`
	RequireToken bool             `from:"SHOAL_REQUIRE_TOKEN" help:"Want the token for reads too and from the page (shared computers)."`
	OpenReads    []netip.Prefix   `placeholder:"CIDR" from:"SHOAL_OPEN_READS" help:"Addresses that may read without the token (default: loopback); repeatable."`
	AllowHost    []string         `placeholder:"NAME" from:"SHOAL_HOSTS" help:"A host name by which this node is called, beside localhost and its addresses; repeatable."`

	LimitFlags `embed:""`

	LogLevel  slog.Level `default:"info" help:"What is logged: debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"How: text or json."`
}

// Run checks what can be checked before anything is started and serves.
func (s Serve) Run(c *console) error {
	s.Global = c.global
	if err := s.Check(); err != nil {
		return err
	}
	return c.program.Serve(c.ctx, s, c.Terminal)
}

// Check refuses, as UsageError, what can never work or would be unsafe.
func (s Serve) Check() error {
	if s.Roster < 0 {
		return UsageError{fmt.Sprintf("--roster %d: a number of members, or 0 for the default", s.Roster)}
	}
	if err := s.checkHTTP(); err != nil {
		return err
	}
	if s.P2P != "" {
		if _, _, err := net.SplitHostPort(s.P2P); err != nil {
			return UsageError{fmt.Sprintf("--p2p %s: %v", s.P2P, err)}
		}
	}
	if _, err := s.Folders(); err != nil {
		return err
	}
	if _, err := s.STUNServers(); err != nil {
		return err
	}
	if _, err := s.TURNServers(); err != nil {
		return err
	}
	if _, err := s.Meetings(); err != nil {
		return err
	}
	if s.Join != "" && !strings.HasPrefix(s.Join, "@") {
		if _, err := member.ParseInvitation(s.Join); err != nil {
			return UsageError{"--join: " + notWhole}
		}
	}
	return s.checkToken()
}

func (g Global) checkToken() error {
	if g.Token == "" {
		return nil
	}
	if err := checkToken(g.Token); err != nil {
		return UsageError{"--token: " + err.Error()}
	}
	return nil
}

// checkHTTP refuses addresses beyond loopback without a given token: one that
// was made for this computer is nothing that a person decided to hand out.
func (g Global) checkHTTP() error {
	if g.HTTP == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(g.HTTP)
	if err != nil {
		return UsageError{fmt.Sprintf("--http %s: %v (such as 127.0.0.1:8080)", g.HTTP, err)}
	}
	switch {
	case loopback(host):
	case g.Token == "":
		return UsageError{fmt.Sprintf("--http %s can be reached from other computers: choose a token with --token or SHOAL_TOKEN, such as what openssl rand -hex 16 prints, or listen on 127.0.0.1", g.HTTP)}
	case len(g.Token) < leastToken:
		return UsageError{fmt.Sprintf("--token: %s are too few where other computers can try: take at least %d, such as what openssl rand -hex 16 prints", count(len(g.Token), "character"), leastToken)}
	}
	return nil
}

// loopback reports whether only this computer can reach host.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Folder is one that the node is to keep.
type Folder struct {
	ID   string // or label, of an offered folder to join; empty: the directory is shared
	Path string // whole
}

// Folders are the folders that the node is to keep, blank lines left out.
func (s Serve) Folders() ([]Folder, error) {
	var folders []Folder
	for _, text := range s.Folder {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		id, path := offered(text)
		if path == "" || id == "" && path != text {
			return nil, UsageError{fmt.Sprintf("--folder %s: PATH, or ID=PATH with the ID or label of an offered folder", text)}
		}
		whole, err := wholePath(path)
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", path, err)
		}
		folders = append(folders, Folder{ID: id, Path: whole})
	}
	return folders, nil
}

// offered splits ID=PATH. Where there is a directory of the whole name, or a slash
// before the =, all of it is a path.
func offered(text string) (id, path string) {
	id, path, found := strings.Cut(text, "=")
	if !found || strings.ContainsRune(id, filepath.Separator) {
		return "", text
	}
	if _, err := os.Stat(text); err == nil {
		return "", text
	}
	return strings.TrimSpace(id), strings.TrimSpace(path)
}

// NodeName is the name given, or the host's.
func (s Serve) NodeName() string {
	if name := strings.TrimSpace(s.Name); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "" // the node then takes one of its own
	}
	return name
}

// Invitation returns the invitation of --join, "" without one. A file is read
// each time: another node may still be about to write it.
func (s Serve) Invitation() (string, error) {
	if s.Join == "" {
		return "", nil
	}
	return ReadLink(s.Join, strings.NewReader(""))
}

// InvitePath is the file of --invite-file, "" without one.
func (s Serve) InvitePath() (string, error) {
	if s.InviteFile == "" {
		return "", nil
	}
	return wholePath(s.InviteFile)
}

// DownloadsPath is the directory of --downloads, "" without one.
func (s Serve) DownloadsPath() (string, error) {
	if s.Downloads == "" {
		return "", nil
	}
	return wholePath(s.Downloads)
}

// Logger writes as the flags say.
func (s Serve) Logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Lab is how many nodes are to run in one process.
type Lab struct {
	Global `kong:"-"`

	Nodes    int        `default:"8" help:"How many nodes."`
	Publish  bool       `help:"Keep the sample documents at their words in the table too."`
	Roster   int        `placeholder:"N" help:"With more nodes than N, find who keeps a key by asking the way (default: 2000; 1: always)."`
	LogLevel slog.Level `default:"warn" help:"What is logged: debug, info, warn or error."`
}

// Run checks and runs a lab.
func (l Lab) Run(c *console) error {
	l.Global = c.global
	if l.Nodes < 1 {
		return UsageError{fmt.Sprintf("--nodes %d: a lab has at least one node", l.Nodes)}
	}
	if l.Roster < 0 {
		return UsageError{fmt.Sprintf("--roster %d: a number of members, or 0 for the default", l.Roster)}
	}
	if err := l.checkHTTP(); err != nil {
		return err
	}
	if err := l.checkToken(); err != nil {
		return err
	}
	return c.program.Lab(c.ctx, l, c.Terminal)
}

// Dir is the data directory: as given, or "shoal" where this system keeps what
// programs store for their user.
func (s Serve) Dir(getenv func(string) string) (string, error) { return s.dir(getenv) }

func (g Global) dir(getenv func(string) string) (string, error) {
	if g.Data != "" {
		return wholePath(g.Data)
	}
	parent := ""
	home := getenv("HOME")
	switch {
	case runtime.GOOS == "windows":
		parent = getenv("LocalAppData")
	case runtime.GOOS == "darwin" && home != "":
		parent = filepath.Join(home, "Library", "Application Support")
	case filepath.IsAbs(getenv("XDG_DATA_HOME")): // "must be absolute" (XDG Base Directory Specification)
		parent = getenv("XDG_DATA_HOME")
	case home != "":
		parent = filepath.Join(home, ".local", "share")
	}
	if parent == "" {
		return "", errors.New("no home directory is known: say where the data is with --data or SHOAL_DATA")
	}
	return filepath.Join(parent, "shoal"), nil
}
