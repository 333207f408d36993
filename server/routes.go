package server

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/shoal-p2p/shoal/server/api"
)

// access says who may use a route.
type access int

const (
	public   access = iota // everybody who passes the host and origin checks
	static                 // likewise: files of the page
	safe                   // who may read: open-read addresses, or with the token
	changing               // with the token only
)

// route is one line of the API. Registration, guards, validation and the tests
// all come from it; there is no other way to serve anything.
type route struct {
	method string // GET includes HEAD
	path   string // as in openapi.yaml
	op     string // operationId there; empty: not part of the API
	access access
	body   int64         // most bytes of a request's body; 0: it has none
	upload bool          // instead, its body is a file, and read by raw
	limit  time.Duration // for the whole answer; 0: it streams, deadlines move

	// socket: it answers to a WebSocket only, which can change things although it begins with
	// a GET. The guards look at its origin and its token.
	socket bool

	// One of these answers: strict is generated from the specification, raw is
	// for what it cannot express. stream, when set, answers instead where the
	// client asks for an event stream.
	strict func(*api.ServerInterfaceWrapper, echo.Context) error
	raw    rawHandler
	stream rawHandler
}

// rawHandler answers a request to one node without the generated code.
type rawHandler func(*nodeAPI, http.ResponseWriter, *http.Request) error

const (
	kib = 1 << 10
	mib = 1 << 20

	short = 30 * time.Second
	long  = 90 * time.Second // other computers are asked
	large = 24 * time.Hour   // a file of this computer is read, however large
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// routes is everything this server serves. Paths below /api are served for each
// node of a lab as well, below /n/{i}.
func routes() []route {
	type w = api.ServerInterfaceWrapper
	return []route{
		{method: get, path: "/healthz", op: "health", access: public, limit: short, raw: (*nodeAPI).health},
		{method: get, path: "/metrics", op: "metrics", access: safe, limit: short, raw: (*nodeAPI).serveMetrics},
		{method: get, path: "/api/openapi.yaml", op: "spec", access: safe, limit: short, raw: (*nodeAPI).spec},
		{method: get, path: "/api/node", op: "getNode", access: safe, limit: short, strict: (*w).GetNode},
		{method: get, path: "/api/lab", op: "getLab", access: safe, limit: short, strict: (*w).GetLab},
		{method: get, path: "/api/events", op: "events", access: safe, raw: (*nodeAPI).events},

		{method: get, path: "/api/range", op: "findRange", access: safe, limit: long, strict: (*w).FindRange},
		{method: get, path: "/api/search", op: "search", access: safe, limit: long, strict: (*w).Search, stream: (*nodeAPI).searchStream},
		{method: get, path: "/api/search/completions", op: "listCompletions", access: safe, limit: short, strict: (*w).ListCompletions},
		{method: post, path: "/api/samples", op: "addSamples", access: changing, limit: long, strict: (*w).AddSamples},
		{method: post, path: "/api/documents", op: "addDocument", access: changing, body: 2 * mib, limit: short, strict: (*w).AddDocument},
		{method: get, path: "/api/documents/{id}", op: "getDocument", access: safe, limit: long, strict: (*w).GetDocument},
		{method: remove, path: "/api/documents/{id}", op: "deleteDocument", access: changing, limit: short, strict: (*w).DeleteDocument},

		{method: get, path: "/api/peers", op: "listPeers", access: safe, limit: short, strict: (*w).ListPeers},
		{method: get, path: "/api/peers/{id}/path", op: "getPeerPath", access: safe, limit: short, strict: (*w).GetPeerPath},
		{method: get, path: "/api/network", op: "getNetwork", access: safe, limit: short, strict: (*w).GetNetwork},
		{method: post, path: "/api/network", op: "addNetwork", access: changing, body: 64 * kib, limit: short, strict: (*w).AddNetwork},
		{method: post, path: "/api/network/check", op: "checkNetwork", access: changing, limit: long, strict: (*w).CheckNetwork},
		{method: post, path: "/api/invites", op: "addInvite", access: changing, body: 64 * kib, limit: short, strict: (*w).AddInvite},
		{method: post, path: "/api/join", op: "join", access: changing, body: 64 * kib, limit: long, strict: (*w).Join},
		{method: get, path: "/api/handshakes", op: "listHandshakes", access: safe, limit: short, strict: (*w).ListHandshakes},
		{method: post, path: "/api/handshakes", op: "addHandshake", access: changing, body: 64 * kib, limit: short, strict: (*w).AddHandshake},
		{method: post, path: "/api/handshakes/answer", op: "answerHandshake", access: changing, body: 64 * kib, limit: short, strict: (*w).AnswerHandshake},
		{method: post, path: "/api/handshakes/{id}", op: "finishHandshake", access: changing, body: 64 * kib, limit: long, strict: (*w).FinishHandshake},
		{method: remove, path: "/api/handshakes/{id}", op: "deleteHandshake", access: changing, limit: short, strict: (*w).DeleteHandshake},
		{method: get, path: "/api/members", op: "listMembers", access: safe, limit: short, strict: (*w).ListMembers},
		{method: patch, path: "/api/members/{id}", op: "updateMember", access: changing, body: 64 * kib, limit: short, strict: (*w).UpdateMember},
		{method: remove, path: "/api/members/{id}", op: "deleteMember", access: changing, limit: short, strict: (*w).DeleteMember},

		{method: get, path: "/api/folders", op: "listFolders", access: safe, limit: short, strict: (*w).ListFolders},
		{method: post, path: "/api/folders", op: "addFolder", access: changing, body: mib, limit: long, strict: (*w).AddFolder},
		{method: post, path: "/api/folders/preview", op: "previewFolder", access: changing, body: mib, limit: long, strict: (*w).PreviewFolder},
		{method: get, path: "/api/folders/{id}", op: "getFolder", access: safe, limit: short, strict: (*w).GetFolder},
		{method: patch, path: "/api/folders/{id}", op: "updateFolder", access: changing, body: mib, limit: long, strict: (*w).UpdateFolder},
		{method: remove, path: "/api/folders/{id}", op: "deleteFolder", access: changing, limit: short, strict: (*w).DeleteFolder},
		{method: post, path: "/api/folders/{id}/scan", op: "scanFolder", access: changing, limit: short, strict: (*w).ScanFolder},
		{method: get, path: "/api/folders/{id}/entries", op: "listEntries", access: safe, limit: short, strict: (*w).ListEntries},
		{method: get, path: "/api/folders/{id}/skipped", op: "listSkipped", access: safe, limit: short, strict: (*w).ListSkipped},
		{method: get, path: "/api/folders/{id}/unread", op: "listUnread", access: safe, limit: short, strict: (*w).ListUnread},
		{method: get, path: "/api/folders/{id}/content", op: "getContent", access: safe, raw: (*nodeAPI).content},
		{method: get, path: "/api/folders/{id}/held", op: "listHeld", access: safe, limit: short, strict: (*w).ListHeld},
		{method: post, path: "/api/folders/{id}/held", op: "decideHeld", access: changing, body: 64 * kib, limit: long, strict: (*w).DecideHeld},
		{method: get, path: "/api/folders/{id}/conflicts", op: "listConflicts", access: safe, limit: short, strict: (*w).ListConflicts},
		{method: post, path: "/api/folders/{id}/conflicts", op: "resolveConflicts", access: changing, body: mib, limit: long, strict: (*w).ResolveConflicts},
		{method: post, path: "/api/folders/{id}/conflicts/{n}", op: "resolveConflict", access: changing, body: 64 * kib, limit: long, strict: (*w).ResolveConflict},
		{method: get, path: "/api/folders/{id}/trash", op: "listTrash", access: safe, limit: short, strict: (*w).ListTrash},
		{method: post, path: "/api/folders/{id}/restore", op: "restoreTrash", access: changing, body: mib, limit: long, strict: (*w).RestoreTrash},
		{method: get, path: "/api/folders/{id}/changes", op: "listChanges", access: safe, limit: short, strict: (*w).ListChanges},
		{method: post, path: "/api/folders/{id}/revert", op: "revertChanges", access: changing, body: 2 * mib, limit: long, strict: (*w).RevertChanges},
		{method: get, path: "/api/words", op: "searchWords", access: safe, limit: long, strict: (*w).SearchWords},
		{method: get, path: "/api/words/published", op: "getPublished", access: safe, limit: short, strict: (*w).GetPublished},
		{method: get, path: "/api/ranges", op: "listRanges", access: safe, limit: long, strict: (*w).ListRanges},
		{method: post, path: "/api/ranges", op: "createRange", access: changing, body: 64 * kib, limit: long, strict: (*w).CreateRange},
		{method: get, path: "/api/ranges/{name}", op: "queryRange", access: safe, limit: long, strict: (*w).QueryRange},
		{method: post, path: "/api/ranges/{name}", op: "insertRange", access: changing, body: 2 * mib, limit: long, strict: (*w).InsertRange},
		{method: remove, path: "/api/ranges/{name}/{entry}", op: "removeRange", access: changing, limit: long, strict: (*w).RemoveRange},
		{method: get, path: "/api/transfers", op: "listTransfers", access: safe, limit: short, strict: (*w).ListTransfers},

		{method: get, path: "/api/seeds", op: "listSeeds", access: safe, limit: short, strict: (*w).ListSeeds},
		{method: post, path: "/api/seeds", op: "addSeed", access: changing, body: 64 * kib, limit: large, strict: (*w).AddSeed},
		{method: post, path: "/api/seeds/upload", op: "uploadSeed", access: changing, upload: true, raw: (*nodeAPI).uploadSeed},
		{method: get, path: "/api/seeds/{id}", op: "getKeptSeed", access: safe, limit: short, strict: (*w).GetKeptSeed},
		{method: patch, path: "/api/seeds/{id}", op: "updateKeptSeed", access: changing, body: 64 * kib, limit: short, strict: (*w).UpdateKeptSeed},
		{method: remove, path: "/api/seeds/{id}", op: "deleteKeptSeed", access: changing, limit: short, strict: (*w).DeleteKeptSeed},
		{method: get, path: "/api/seeds/{id}/text", op: "getSeedText", access: safe, limit: short, raw: (*nodeAPI).seedText},
		{method: get, path: "/api/seeds/{id}/pieces", op: "getSeedPieces", access: safe, limit: short, raw: (*nodeAPI).seedPieces},
		{method: get, path: "/api/seeds/{id}/link", op: "listSeedLinks", access: safe, limit: short, strict: (*w).ListSeedLinks},
		{method: post, path: "/api/seeds/{id}/link", op: "addSeedLink", access: changing, body: 64 * kib, limit: short, strict: (*w).AddSeedLink},
		{method: remove, path: "/api/seeds/{id}/link/{link}", op: "deleteSeedLink", access: changing, limit: short, strict: (*w).DeleteSeedLink},
		{method: get, path: "/api/seeds/{id}/swarm", op: "getSwarm", access: safe, limit: short, strict: (*w).GetSwarm},
		{method: get, path: "/api/seeds/{id}/content", op: "getSeedContent", access: safe, raw: (*nodeAPI).seedContent},
		{method: post, path: "/api/downloads", op: "addDownload", access: changing, body: 4 * mib, limit: long, strict: (*w).AddDownload},
		{method: get, path: "/api/limits", op: "getLimits", access: safe, limit: short, strict: (*w).GetLimits},
		{method: put, path: "/api/limits", op: "setLimits", access: changing, body: 64 * kib, limit: short, strict: (*w).SetLimits},

		{method: get, path: "/api/tracker", op: "listTracked", access: safe, limit: short, strict: (*w).ListTracked},
		{method: get, path: "/api/tracker/get_seed", op: "getSeed", access: safe, limit: long, strict: (*w).GetSeed},
		{method: post, path: "/api/tracker/update", op: "updateTracker", access: changing, limit: short, strict: (*w).UpdateTracker},
		{method: get, path: "/api/tracker/query", op: "queryTracker", access: safe, limit: long, strict: (*w).QueryTracker},

		{method: get, path: "/api/dht", op: "getDht", access: safe, limit: short, strict: (*w).GetDht},
		{method: patch, path: "/api/dht", op: "updateDht", access: changing, body: 64 * kib, limit: short, strict: (*w).UpdateDht},
		{method: get, path: "/api/dht/responsible", op: "listResponsible", access: safe, limit: short, strict: (*w).ListResponsible},
		{method: get, path: "/api/dht/lookup", op: "lookupKey", access: safe, limit: long, strict: (*w).LookupKey},
		{method: get, path: "/api/dht/buckets", op: "listBuckets", access: safe, limit: short, strict: (*w).ListBuckets},
		{method: get, path: "/api/dht/values", op: "getValues", access: safe, limit: long, strict: (*w).GetValues},
		{method: post, path: "/api/dht/values", op: "putValue", access: changing, body: 256 * kib, limit: long, strict: (*w).PutValue},
		{method: get, path: "/api/dht/refreshes", op: "listRefreshes", access: safe, limit: short, strict: (*w).ListRefreshes},
		{method: remove, path: "/api/dht/refreshes/{n}", op: "deleteRefresh", access: changing, limit: short, strict: (*w).DeleteRefresh},
		{method: post, path: "/api/dht/batch", op: "batchDht", access: changing, body: 2 * mib, limit: long, strict: (*w).BatchDht},
		{method: post, path: "/api/dht/remove", op: "removeValues", access: changing, body: 64 * kib, limit: long, strict: (*w).RemoveValues},
		{method: post, path: "/api/dht/renew", op: "renewValue", access: changing, body: 64 * kib, limit: long, strict: (*w).RenewValue},
		{method: get, path: "/api/dht/versions", op: "listVersions", access: safe, limit: long, strict: (*w).ListVersions},
		{method: post, path: "/api/dht/versions", op: "putVersion", access: changing, body: 256 * kib, limit: long, strict: (*w).PutVersion},
		{method: get, path: "/api/dht/registers", op: "getRegister", access: safe, limit: long, strict: (*w).GetRegister},
		{method: post, path: "/api/dht/registers", op: "updateRegister", access: changing, body: 64 * kib, limit: long, strict: (*w).UpdateRegister},
		{method: get, path: "/api/dht/records", op: "listRecords", access: safe, limit: short, strict: (*w).ListRecords},
		{method: post, path: "/api/dht/repair", op: "repairDht", access: changing, limit: long, strict: (*w).RepairDht},
		{method: post, path: "/api/dht/send", op: "sendData", access: changing, body: 256 * kib, limit: long, strict: (*w).SendData},
		{method: get, path: "/api/dht/stream", op: "openStream", access: changing, socket: true, raw: (*nodeAPI).openStream},
		{method: get, path: "/api/dht/accept", op: "acceptStream", access: changing, socket: true, raw: (*nodeAPI).acceptStream},
		{method: get, path: "/api/dht/inbox", op: "listInbox", access: safe, limit: short, strict: (*w).ListInbox},
		{method: post, path: "/api/dht/inbox/{n}", op: "replyData", access: changing, body: 256 * kib, limit: short, strict: (*w).ReplyData},

		{method: get, path: "/api/rsync/stories", op: "listStories", access: safe, limit: short, strict: (*w).ListStories},
		{method: post, path: "/api/rsync/explain", op: "explainRsync", access: changing, body: mib, limit: short, strict: (*w).ExplainRsync},
		{method: get, path: "/api/lessons", op: "listLessons", access: safe, limit: short, strict: (*w).ListLessons},
		{method: get, path: "/api/lessons/{name}", op: "getLesson", access: safe, limit: short, strict: (*w).GetLesson},
		{method: post, path: "/api/lessons/play", op: "playLesson", access: changing, body: 512 * kib, limit: short, strict: (*w).PlayLesson},

		{method: get, path: "/problems/{code}", access: static, limit: short, raw: (*nodeAPI).problem},
		{method: get, path: "/", access: static, limit: short, raw: (*nodeAPI).index},
		{method: get, path: "/*", access: static, limit: short, raw: (*nodeAPI).file},
	}
}
