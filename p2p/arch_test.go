package p2p_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/shoal-p2p/shoal"

// A rule says who may import what, directly.
type rule struct {
	packages string   // who, with all below
	exact    bool     // but not what is below
	except   []string // nor these, with all below
	must     []string // must not import these, or anything below; "." is all but the standard library
	only     []string // of our own packages may import only these; nil: any
	why      string
}

var rules = []rule{
	{packages: "p2p", exact: true, must: []string{"."}, why: "the vocabulary imports the standard library only: everybody imports it"},
	{packages: "p2p/wire", only: []string{"p2p"}, why: "the byte level knows the vocabulary's errors and nothing else"},
	{packages: "p2p/fastss", only: []string{}, why: "pure leaf: students import it alone"},
	{packages: "p2p/pack", only: []string{}, why: "pure leaf: it knows bytes"},
	{packages: "p2p/bloom", only: []string{}, why: "pure leaf: it knows hashes"},
	{packages: "p2p/delta", only: []string{}, why: "pure leaf: students import it alone"},
	{packages: "p2p/chunk", only: []string{}, why: "pure leaf: students import it alone"},
	{packages: "p2p/member", only: []string{"p2p", "p2p/wire"}, why: "who may be here is decided without transports and disks"},
	{packages: "p2p/link", except: []string{"p2p/link/rtc", "p2p/link/linktest"}, only: []string{"p2p", "p2p/wire"}, why: "links know carriers, not transports"},
	{packages: "p2p/nat", except: []string{"p2p/nat/lesson"}, only: []string{"p2p", "p2p/wire"}, why: "how routers behave is found out over any links"},
	{packages: "p2p/link/rtc", except: []string{"p2p/link/rtc/repair"}, only: []string{"p2p", "p2p/wire", "p2p/link", "p2p/nat", "p2p/nat/relay"}, why: "a transport serves any node"},
	{packages: "p2p/nat/lan", only: []string{"p2p"}, why: "who is in the local network is found without transports and members: all of it is hearsay"},
	{packages: "p2p/nat/portmap", only: []string{}, why: "pure leaf: it knows routers, not peers"},
	{packages: "p2p/link/rtc/repair", must: []string{"."}, why: "pure: what to do about losses is decided without sockets"},
	{packages: "p2p/paxos", exact: true, only: []string{"p2p"}, must: []string{"."}, why: "pure: what is agreed upon is decided without networks, disks and clocks, and students import it alone"},
	{packages: "p2p/paxos/lesson", only: []string{"p2p", "p2p/paxos"}, must: []string{"."}, why: "a lesson shows what the package does, and nothing else"},
	{packages: "p2p/nat/lesson", only: []string{"p2p", "p2p/nat", "p2p/paxos/lesson"}, must: []string{"."}, why: "a lesson shows what the package finds, on a stage without sockets"},
	{packages: "p2p/paxos/raftlesson", only: []string{"p2p", "p2p/paxos/lesson"}, why: "a lesson knows its stage"},
	{packages: "p2p", except: []string{"p2p/paxos/raftlesson"}, must: []string{"go.etcd.io/"}, why: "Raft is there to be looked at only"},
	{packages: "p2p/sim", only: []string{"p2p", "p2p/wire", "p2p/link"}, why: "a transport serves any node"},
	{packages: "p2p/route", only: []string{"p2p", "p2p/wire"}, why: "requests travel over any links, and are not read on the way"},
	{packages: "p2p/dht", except: []string{"p2p/dht/dhttest", "p2p/dht/story"}, only: []string{"p2p", "p2p/wire", "p2p/bloom", "p2p/delta", "p2p/paxos", "p2p/route"}, why: "a table works over any caller and any store, and finds members as requests do"},
	{packages: "p2p/dht/story", only: []string{"p2p", "p2p/dht", "p2p/direct", "p2p/sim", "p2p/keyword", "p2p/ranges", "p2p/dst", "p2p/pht", "p2p/swarm/seed", "p2p/swarm/tracker"}, why: "a story plays on real tables and real links, without computers"},
	{packages: "p2p/lesson", only: []string{"p2p", "p2p/dht/story", "p2p/nat/lesson", "p2p/paxos/lesson", "p2p/paxos/raftlesson"}, why: "one door to all lessons: each knows its own stage"},
	{packages: "p2p/swarm/tracker", except: []string{"p2p/swarm/tracker/trackertest"}, only: []string{"p2p", "p2p/wire", "p2p/chunk", "p2p/dht", "p2p/swarm/seed"}, why: "who has a seed is known without the engine that fetches it"},
	{packages: "p2p/direct", only: []string{"p2p", "p2p/wire"}, why: "data goes to members over any caller and any links"},
	{packages: "p2p/ranges", except: []string{"p2p/ranges/rangetest", "p2p/ranges/registry"}, only: []string{"p2p", "p2p/bloom", "p2p/dht"}, why: "an order is kept over any table"},
	{packages: "p2p/keyword", only: []string{"p2p", "p2p/bloom", "p2p/dht", "p2p/dst", "p2p/fastss", "p2p/pht", "p2p/ranges"}, why: "words are found over any table"},
	{packages: "p2p/swarm", except: []string{"p2p/swarm/seed", "p2p/swarm/picker", "p2p/swarm/upload", "p2p/swarm/tracker", "p2p/swarm/tracker/trackertest", "p2p/swarm/mirror"}, only: []string{"p2p", "p2p/wire", "p2p/chunk", "p2p/delta", "p2p/swarm/seed", "p2p/swarm/picker", "p2p/swarm/upload", "p2p/swarm/tracker", "p2p/swarm/mirror"}, why: "the engine knows no folders, no database and no node: they are told to it"},
	{packages: "p2p/swarm/picker", only: []string{}, must: []string{"."}, why: "pure: whom to ask for what is decided without networks, disks and clocks, and simulated"},
	{packages: "p2p/swarm/upload", only: []string{}, must: []string{"."}, why: "pure: what to send next is decided without networks, disks and clocks, and simulated"},
	{packages: "p2p/lexicon", only: []string{"p2p", "p2p/wire", "p2p/fastss", "p2p/search"}, why: "words are learnt over any caller"},
	{packages: "p2p/publish", only: []string{"p2p", "p2p/keyword", "p2p/search", "p2p/search/query"}, why: "what is published is decided without nodes"},
	{packages: "p2p/ranges/registry", only: []string{"p2p", "p2p/dht", "p2p/ranges", "p2p/dst", "p2p/pht"}, why: "who defines indexes knows all schemes"},
	{packages: "p2p/dst", only: []string{"p2p/ranges"}, why: "a scheme knows segments only"},
	{packages: "p2p/pht", only: []string{"p2p/ranges"}, why: "a scheme knows segments only"},
	{packages: "p2p/extract", except: []string{"p2p/extract/extracttest", "p2p/extract/pdf"}, only: []string{"p2p/search", "p2p/extract/pdf"}, why: "it makes texts for search, and knows no folder"},
	{packages: "p2p/extract/pdf", only: []string{}, why: "pure leaf: it knows bytes"},
	{packages: "p2p/swarm/seed", only: []string{"p2p", "p2p/chunk"}, why: "pure: what a seed says, and what belongs to it, is decided without disks and networks"},
	{packages: "p2p/swarm/mirror", only: []string{"p2p/swarm/seed"}, why: "a web server is fetched from without members and links"},
	{packages: "p2p/search/query", only: []string{}, must: []string{"."}, why: "pure leaf: a language knows no documents"},
	{packages: "p2p/search", only: []string{"p2p", "p2p/wire", "p2p/fastss", "p2p/search/query"}, why: "search works over any documents and any caller"},
	{packages: "p2p/folder", exact: true, only: []string{"p2p", "p2p/wire", "p2p/chunk"}, why: "folders do not know what their files are used for"},
	{packages: "p2p/folder/reconcile", only: []string{"p2p"}, why: "pure: what happens to a folder is decided without disks and networks"},
	{packages: "p2p/folder/apply", only: []string{"p2p", "p2p/folder/reconcile"}, why: "the disk is changed by who knows nothing of members"},
	{packages: "p2p/folder/replica", only: []string{"p2p", "p2p/wire", "p2p/folder/reconcile", "p2p/folder/apply", "p2p/folder/apply/fault"}, why: "a simulator runs replicas without goroutines and networks"},
	{packages: "p2p/folder/assemble", only: []string{"p2p/chunk", "p2p/delta"}, why: "pure: how a file is put together is decided without disks and networks"},
	{packages: "p2p/folder/exchange", only: []string{"p2p", "p2p/wire", "p2p/chunk", "p2p/delta", "p2p/folder/assemble", "p2p/swarm/picker", "p2p/pack", "p2p/folder", "p2p/folder/reconcile", "p2p/folder/apply", "p2p/folder/replica"}, why: "the shell of folder sync knows its parts, and links as anybody does"},
	{packages: "p2p", except: []string{"p2p/link/rtc", "p2p/nat"}, must: []string{"github.com/pion/"}, why: "only the WebRTC transport knows WebRTC, and only it and what deals with routers STUN and TURN"},
	{
		packages: "p2p", must: []string{
			module + "/store", module + "/migrations", module + "/server", module + "/web",
			"github.com/labstack/", "github.com/mattn/go-sqlite3", "database/sql",
		},
		why: "p2p packages run without a database, a server and a page",
	},
	{packages: "store", only: []string{"p2p", "p2p/wire", "p2p/chunk", "p2p/member", "p2p/search", "p2p/extract", "p2p/folder", "p2p/folder/reconcile", "p2p/folder/replica", "p2p/dht", "p2p/paxos", "p2p/publish", "p2p/swarm", "p2p/swarm/pass", "p2p/swarm/seed", "p2p/swarm/tracker", "migrations"}, why: "store persists nouns; nouns do not know the store"},
	{packages: "migrations", only: []string{}, why: "a schema depends on nothing"},
	{packages: "web", only: []string{}, why: "the page is data"},
}

// TestImports holds the house's rules. Test files may import what they like.
func TestImports(t *testing.T) {
	for pkg, imports := range listImports(t) {
		for _, r := range rules {
			if !below(pkg, r.packages) || r.excepts(pkg) {
				continue
			}
			for _, imp := range imports {
				if reason := r.forbids(pkg, imp); reason != "" {
					t.Errorf("%s imports %s: %s (%s)", pkg, imp, reason, r.why)
				}
			}
		}
	}
}

// TestPackagesAreDocumented: a reader who opens any package is told what it is for.
func TestPackagesAreDocumented(t *testing.T) {
	for pkg, doc := range listDocs(t) {
		if doc == "" && !strings.HasPrefix(pkg, "e2e") {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func below(pkg, pattern string) bool { return pkg == pattern || strings.HasPrefix(pkg, pattern+"/") }

func (r rule) excepts(pkg string) bool {
	if r.exact && pkg != r.packages {
		return true
	}
	for _, e := range r.except {
		if below(pkg, e) {
			return true
		}
	}
	return false
}

// forbids returns what is wrong with pkg importing imp, or "".
func (r rule) forbids(pkg, imp string) string {
	own, isOwn := strings.CutPrefix(imp, module+"/")
	for _, m := range r.must {
		if m == "." && strings.Contains(imp, ".") && !(isOwn && r.only != nil) {
			return "not in the standard library"
		}
		if m != "." && (imp == m || strings.HasPrefix(imp, strings.TrimSuffix(m, "/")+"/")) {
			return "forbidden"
		}
	}
	if r.only == nil || !isOwn {
		return ""
	}
	for _, o := range r.only {
		if own == o {
			return ""
		}
	}
	if below(own, pkg) || own == r.packages {
		return ""
	}
	return "not among the packages it may know"
}

type listed struct {
	ImportPath, Doc string
	Imports         []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if !strings.HasPrefix(p.ImportPath, "node_modules/") { // npm packages can hold Go files
			pkgs = append(pkgs, p)
		}
	}
}

func listImports(t *testing.T) map[string][]string {
	m := map[string][]string{}
	for _, p := range list(t) {
		m[p.ImportPath] = p.Imports
	}
	return m
}

func listDocs(t *testing.T) map[string]string {
	m := map[string]string{}
	for _, p := range list(t) {
		m[p.ImportPath] = p.Doc
	}
	return m
}
