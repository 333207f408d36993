package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	lessons "github.com/shoal-p2p/shoal/p2p/lesson"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/ranges/registry"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/server/api"
)

// Refusals that are this package's own.
var (
	errHost          = errors.New("not a name of this server")
	errOrigin        = errors.New("the request comes from another origin")
	errTokenRequired = errors.New("the request carries no token")
	errTokenWrong    = errors.New("the token is not this node's")
	errAttempts      = errors.New("too many wrong tokens from this address")
	errStarting      = errors.New("the node is starting")
	errStopping      = errors.New("the node is stopping")
	errStreams       = errors.New("too many event streams are open")
	errNotFound      = errors.New("there is nothing at this path")
	errMethod        = errors.New("the path does not have this method")
	errContentType   = errors.New("the body is not declared as application/json")
	errNotBytes      = errors.New("the body is not declared as application/octet-stream")
	errWhole         = errors.New("all of it is here")
	errIncomplete    = errors.New("no more is known of it than its link says")
	errSeedText      = errors.New("not the text of a seed")
	errLimit         = errors.New("so slow that nothing would be done")
	errTooLarge      = errors.New("the body is too large")
	errInvalid       = errors.New("the request is not what the API describes")
	errBodyLost      = errors.New("the body did not arrive")
	errPrecondition  = errors.New("the file is another one by now")
	errRange         = errors.New("the range is outside the file")
	errRanges        = errors.New("several ranges at once are not served")
	errConflict      = errors.New("no such conflict any more")
	errTrash         = errors.New("not in the trash any more")
	errNotALab       = errors.New("this is an ordinary node, not a lab")
	errInviter       = errors.New("the inviting computer cannot be reached")
	errPeerRefused   = errors.New("the member refuses it")
	errPeerFailed    = errors.New("the member could not do it")
	errDiffers       = errors.New("the register has something else")
	errNoNumber      = errors.New("the register has no whole number")
	errSelf          = errors.New("it is this computer itself")
	errIdle          = errors.New("nothing was sent for too long")
	errCut           = errors.New("the stream broke off")
	errUpgrade       = errors.New("the request is no WebSocket")
	errCursor        = errors.New("not a cursor of this list")
	errInternal      = errors.New("the node met an error that it has no name for; its log tells more")
)

// packages are those whose errors begin with their name.
var packages = []string{"node", "member", "folder", "search", "link", "rtc", "store", "server", "replica", "exchange", "apply", "lesson", "dht", "route", "direct", "paxos", "tracker", "seed", "swarm", "mirror", "pass"}

// failure is how an error looks from outside.
type failure struct {
	err    error
	status int
	code   string // stable: programs tell failures apart by it
	title  string
	hint   string // what to do about it; may be empty
}

// failures is the one place where errors become HTTP. The first row whose error
// is in the chain holds, so that a wrapper stands above what it wraps.
var failures = [...]failure{
	{errHost, http.StatusForbidden, "host_refused", "Host not accepted", "Use localhost or an address of this computer, or start the node with --allow-host NAME."},
	{errOrigin, http.StatusForbidden, "origin_refused", "Request of another site", "Only the node's own page, and programs that are no browsers, may ask."},
	{errTokenRequired, http.StatusUnauthorized, "token_required", "Token required", "Send the header Authorization: Bearer TOKEN; the token is in the file token of the node's data directory."},
	{errTokenWrong, http.StatusForbidden, "token_wrong", "Token wrong", "The token is in the file token of the node's data directory."},
	{errAttempts, http.StatusTooManyRequests, "too_many_attempts", "Too many wrong tokens", "Wait for as long as Retry-After says."},
	{errStarting, http.StatusServiceUnavailable, "starting", "Starting", "Try again in a moment."},
	{errStopping, http.StatusServiceUnavailable, "stopping", "Stopping", "Start the node again."},
	{errStreams, http.StatusServiceUnavailable, "too_many_streams", "Too many event streams", "Close some of them."},
	{errNotFound, http.StatusNotFound, "not_found", "Not found", "GET /api/openapi.yaml lists what there is."},
	{errMethod, http.StatusMethodNotAllowed, "method_not_allowed", "Method not allowed", "The header Allow names the methods that the path has."},
	{errContentType, http.StatusUnsupportedMediaType, "content_type_unsupported", "Not JSON", "Send the header Content-Type: application/json."},
	{errNotBytes, http.StatusUnsupportedMediaType, "content_type_unsupported", "Not bytes", "Send the header Content-Type: application/octet-stream."},
	{errTooLarge, http.StatusRequestEntityTooLarge, "body_too_large", "Body too large", ""},
	{errInvalid, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{errBodyLost, http.StatusRequestTimeout, "body_incomplete", "Body incomplete", ""},
	{errPrecondition, http.StatusPreconditionFailed, "precondition_failed", "Precondition failed", ""},
	{errRange, http.StatusRequestedRangeNotSatisfiable, "range_unsatisfiable", "Range outside the file", "The header Content-Range tells the size."},
	{errRanges, http.StatusRequestedRangeNotSatisfiable, "range_multiple", "Several ranges", "Ask for one range at a time."},
	{errNotALab, http.StatusNotFound, "not_a_lab", "Not a lab", "A lab is started by shoal lab --nodes N."},

	{errConflict, http.StatusNotFound, "conflict_not_found", "No such conflict", "List the conflicts again: a file has changed, or somebody else has resolved it."},
	{errTrash, http.StatusNotFound, "trash_not_found", "Not in the trash", "List the trash again: what is old is removed."},

	{member.ErrMalformed, http.StatusBadRequest, "invite_malformed", "Not an invitation", "Copy the whole invitation link."},
	{member.ErrExpired, http.StatusGone, "invite_expired", "Invitation expired", "Ask for a new invitation."},
	{member.ErrRefused, http.StatusForbidden, "invite_refused", "Invitation refused", "It is wrong, used up or withdrawn: ask for a new one."},
	{member.ErrNotEmpty, http.StatusConflict, "network_not_empty", "This node's network has other members", "Start a node with another data directory to join another network."},
	{member.ErrNotAdmin, http.StatusForbidden, "not_admin", "Only admins may do this", "Ask an admin of the network."},
	{member.ErrLastAdmin, http.StatusConflict, "last_admin", "The last admin", "Make somebody else an admin first."},
	{member.ErrBusy, http.StatusTooManyRequests, "join_busy", "Too many joined a moment ago", "Try again in a minute, or by another member."},
	{member.ErrFull, http.StatusConflict, "limit_reached", "Limit reached", ""},
	{member.ErrUnknownMember, http.StatusNotFound, "not_found", "No such member", ""},
	{errInviter, http.StatusGatewayTimeout, "inviter_unreachable", "Inviter not reachable", "Is the inviting computer running, and on a network that reaches this one?"},

	{node.ErrHandshakeText, http.StatusBadRequest, "handshake_malformed", "Not a whole text of a handshake", "Copy all of it, from shoal:// to the end."},
	{node.ErrHandshakeKind, http.StatusBadRequest, "handshake_kind", "The other kind of text", "An offer is answered where it was sent to; the answer is for the computer that has made the offer."},
	{node.ErrHandshakeRecipient, http.StatusConflict, "handshake_recipient", "For another computer", "Paste it on the computer that it is for."},
	{node.ErrHandshakeNetwork, http.StatusConflict, "handshake_network", "Of another network", "The two computers have to be of one network, or one of them needs an invitation of the other."},
	{node.ErrHandshakeUsed, http.StatusConflict, "handshake_used", "Used already", "Ask for a new offer."},
	{node.ErrHandshakeOther, http.StatusConflict, "handshake_other", "The answer to another offer", "Paste the answer to the offer that is shown, or make a new one."},
	{node.ErrHandshakeGlare, http.StatusConflict, "handshake_glare", "Both have made an offer", "Have the other one answer the offer of this computer, or cancel it and paste this one again."},
	{node.ErrHandshakesFull, http.StatusConflict, "handshakes_full", "Too many handshakes at once", "Cancel one, or wait until it expires."},
	{node.ErrHandshakeRefused, http.StatusForbidden, "handshake_refused", "Nobody who is let in", "Is it a member of this network still? Or make a new invitation for it."},
	{node.ErrHandshakeUnknown, http.StatusNotFound, "handshake_not_found", "No such handshake", "It has expired, or the node has started again: make a new offer."},
	{node.ErrHandshakeExpired, http.StatusGone, "handshake_expired", "Expired", "Make a new offer: the texts are good for ten minutes."},
	{node.ErrHandshakeCancelled, http.StatusGone, "handshake_cancelled", "Given up", "It was cancelled here, or a newer offer to the same computer has taken its place."},
	{node.ErrHandshakeWaits, http.StatusGatewayTimeout, "handshake_waiting", "Not linked yet", "The node goes on trying. The other computer must run, and have made this answer in the last ten minutes. If nothing helps, one of the two routers needs a forwarded port, or both nodes a --stun server."},
	{node.ErrLinked, http.StatusConflict, "already_linked", "Linked already", "There is nothing to do."},

	{folder.ErrOverlap, http.StatusConflict, "folder_overlap", "Folders overlap", "Choose a directory that is in no folder and holds none."},
	{folder.ErrUnusable, http.StatusUnprocessableEntity, "path_unusable", "Path not usable", "Name an existing directory that the node may read, by its whole path."},
	{folder.ErrNotFound, http.StatusNotFound, "not_found", "No such folder or file", ""},
	{folder.ErrBadPath, http.StatusBadRequest, "path_invalid", "Not a path inside a folder", "Give the path as the list of entries has it."},
	{folder.ErrInvalid, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{folder.ErrForbidden, http.StatusForbidden, "folder_forbidden", "No access to the folder", "Ask the one who shares it."},
	{folder.ErrUnavailable, http.StatusConflict, "folder_unavailable", "The folder's files are not there", "Is its disk mounted?"},
	{folder.ErrBusy, http.StatusServiceUnavailable, "busy", "Too many reads at once", "Try again in a moment."},
	{folder.ErrChanged, http.StatusConflict, "file_changed", "The file changed while it was read", "Try again."},

	{replica.ErrReadOnly, http.StatusForbidden, "folder_read_only", "The folder is read-only on this computer", "Ask the one who offers it for the right to change it."},
	{replica.ErrNotHere, http.StatusConflict, "file_not_here", "The file is not on this computer yet", "Wait until it has come, or until a computer that has it is on."},
	{replica.ErrNotKept, http.StatusConflict, "folder_not_kept", "The folder is not kept here yet", "Try again in a moment."},
	{replica.ErrInvalid, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{replica.ErrNotFound, http.StatusNotFound, "not_found", "Not found", ""},

	{search.ErrEmpty, http.StatusBadRequest, "query_empty", "Nothing to search for", "Give words in the parameter q."},
	{search.ErrTooLong, http.StatusBadRequest, "query_too_long", "Query too long", "A query has at most 1000 characters."},
	{query.ErrInvalid, http.StatusBadRequest, "query_invalid", "Query not understood", ""},
	{search.ErrSort, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{search.ErrCursor, http.StatusBadRequest, "cursor_invalid", "Cursor not valid", "Ask again without a cursor."},
	{search.ErrUnusable, http.StatusUnprocessableEntity, "document_unusable", "Document not usable", ""},
	{search.ErrNotFound, http.StatusNotFound, "not_found", "No such document", ""},

	{errAbsent, http.StatusConflict, "dht_not_absent", "Something is there already", "Leave out absent to replace it."},
	{errProtected, http.StatusForbidden, "protected", "It belongs to somebody else", "Ask the owner, or use another domain or content."},
	{errForked, http.StatusConflict, "dht_version_fork", "Versions have forked", "List the versions, and name in parents those that the new one is to replace."},
	{dht.ErrFork, http.StatusConflict, "dht_version_fork", "Others were faster, again and again", "Try again in a moment."},
	{dht.ErrNoQuorum, http.StatusServiceUnavailable, "dht_no_quorum", "The replicas see no majority", "Try again in a moment; do all computers keep the same number of copies?"},
	{dht.ErrNoVersion, http.StatusNotFound, "dht_not_found", "No such version", "List the versions."},
	{errDeleted, http.StatusConflict, "dht_deleted", "It has been removed", "Put it again."},
	{errQuota, http.StatusInsufficientStorage, "dht_quota", "The replicas keep no more of this computer", "Remove something, or give values a time to live."},
	{errTooBig, http.StatusRequestEntityTooLarge, "dht_value_too_large", "Value too large", "Share a file in a folder, and put its name into the table."},
	{errNoValue, http.StatusNotFound, "dht_not_found", "Nothing is there", ""},
	{errNotStored, http.StatusServiceUnavailable, "dht_failed", "Not stored", "Too few of the computers that should keep it could do so; try again in a moment."},
	{errDiffers, http.StatusConflict, "register_differs", "The register has something else", "Read it, and decide again."},
	{paxos.ErrVersion, http.StatusConflict, "register_differs", "The register has another version", "Read it, and decide again."},
	{errNoNumber, http.StatusConflict, "register_no_number", "Not a whole number", "Only a whole number can be added to."},
	{paxos.ErrUnknown, http.StatusGatewayTimeout, "register_unknown", "It is not known whether the change was made", "Ask again with the same op: then it is made once."},
	{paxos.ErrFull, http.StatusInsufficientStorage, "register_full", "No room for another register", "Use a register that there is."},
	{dht.ErrDirectory, http.StatusServiceUnavailable, "register_no_directory", "A new register cannot be made now", "Start some of the computers that are named; registers that exist go on without them."},
	{tracker.ErrNotFound, http.StatusNotFound, "seed_not_found", "No such seed", "GET /api/tracker lists those that somebody has."},
	{pass.ErrExpired, http.StatusGone, "link_expired", "Link expired", "Ask for a new link."},
	{pass.ErrRefused, http.StatusForbidden, "link_refused", "Link refused", "It was withdrawn, or another computer has used it: ask for a new one."},
	{pass.ErrMalformed, http.StatusBadRequest, "link_malformed", "Not a whole link", "Copy the whole link, from shoal:seed/ to the end."},
	{pass.ErrUnknown, http.StatusNotFound, "link_not_found", "No such link", "List the links of the file again: what is long over is forgotten."},
	{pass.ErrFull, http.StatusConflict, "limit_reached", "Too many links", "They make room a week after they have expired, or with their file."},
	{swarm.ErrForgotten, http.StatusGone, "seed_forgotten", "Not kept here any more", "Somebody has deleted it meanwhile."},
	{swarm.ErrNoSource, http.StatusGatewayTimeout, "seed_no_source", "Nobody is there who has it", "Try again when a computer that has it is on."},
	{swarm.ErrNotFound, http.StatusNotFound, "seed_not_found", "No such seed", "GET /api/seeds lists those that are here, GET /api/tracker those that somebody has."},
	{swarm.ErrTooLarge, http.StatusInsufficientStorage, "file_too_large", "The disk takes no file of this size", "Take a directory on another disk: FAT32, for one, has no files of 4 GiB or more."},
	{swarm.ErrFull, http.StatusInsufficientStorage, "disk_full", "No room on the disk", "Make room, or take another directory."},
	{errWhole, http.StatusConflict, "seed_whole", "Nothing is on its way", "To share it no longer, delete the seed."},
	{errIncomplete, http.StatusConflict, "seed_incomplete", "Not known yet", "Wait until the first pieces have come, or pass the link on."},
	{errSeedText, http.StatusBadRequest, "seed_invalid", "Not the text of a seed", "A seed is what shoal seed writes: take the whole file."},
	{seed.ErrLink, http.StatusBadRequest, "link_malformed", "Not a link to a seed", "Copy the whole link, from shoal:seed/ to the end."},
	{seed.ErrName, http.StatusUnprocessableEntity, "name_unusable", "No name for a file", "Give another name."},
	{seed.ErrLegacy, http.StatusConflict, "seed_legacy", "A seed of the old form", "Get it by its text, or while somebody is there who has that."},
	{seed.ErrMismatch, http.StatusUnprocessableEntity, "seed_mismatch", "Not what the seed says", "Ask who made it for another copy."},
	{swarm.ErrUnusable, http.StatusUnprocessableEntity, "path_unusable", "Path not usable", "Name a file, or a directory, that is there and that the node may use, by its whole path."},
	{errLimit, http.StatusBadRequest, "request_invalid", "Too slow", "At least 1000 bytes per second, or 0 for no limit."},
	{errCursor, http.StatusBadRequest, "cursor_invalid", "Cursor not valid", "Ask again without a cursor."},
	{dht.ErrNoReplica, http.StatusServiceUnavailable, "dht_no_replica", "Nobody who keeps this can be asked", "Are the other computers on?"},
	{registry.ErrNotFound, http.StatusNotFound, "range_not_found", "No such index", "GET /api/ranges lists them, POST makes one."},
	{registry.ErrExists, http.StatusConflict, "range_exists", "There is another index of that name", "Take another name, or use the one that is there."},
	{registry.ErrInvalid, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{errTableQuery, http.StatusBadRequest, "query_invalid", "The table cannot answer that", "Ask the members: via=mesh."},
	{keyword.ErrQuery, http.StatusBadRequest, "query_invalid", "Query not understood", "Give one to sixteen words, each once."},
	{errNotVia, http.StatusBadRequest, "range_not_via", "The index is not kept in that way", "GET /api/ranges says in which it is."},
	{errNoEntry, http.StatusNotFound, "range_no_entry", "No such entry", ""},
	{dht.ErrMalformed, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{direct.ErrUnknown, http.StatusNotFound, "message_not_found", "No such message waits", "Its sender has given up, or somebody else has answered it."},
	{direct.ErrFull, http.StatusServiceUnavailable, "inbox_full", "Too many messages wait there", "Try again in a moment."},
	{direct.ErrNobody, http.StatusNotFound, "nobody_listens", "Nobody listens there", ""},
	{direct.ErrDenied, http.StatusForbidden, "stream_denied", "Not for this computer", "Whoever listens there waits for somebody else."},
	{direct.ErrPort, http.StatusConflict, "port_taken", "Somebody listens already", "Use another port, a word that both sides know."},
	{errSelf, http.StatusConflict, "stream_to_self", "That is this computer itself", "Name another computer, or a key that another one is responsible for."},
	{errIdle, http.StatusRequestTimeout, "stream_idle", "Nothing was sent for too long", "Open another stream, with a longer idle time."},
	{errCut, http.StatusBadGateway, "stream_cut", "The stream broke off", "The other computer, or the program there, has ended."},
	{errUpgrade, http.StatusUpgradeRequired, "upgrade_required", "For a WebSocket", "Ask with Upgrade: websocket, as shoal dht stream does."},

	{lesson.ErrBlock, http.StatusBadRequest, "request_invalid", "Request not understood", ""},
	{lesson.ErrTooLarge, http.StatusUnprocessableEntity, "explain_too_large", "Too large to explain", "Each side has at most 16 MiB, and the old one 262144 blocks; each step is told of 16 KiB together."},
	{lesson.ErrWork, http.StatusUnprocessableEntity, "explain_too_slow", "Too many false alarms", "Take another length of blocks."},
	{lessons.ErrUnknown, http.StatusNotFound, "not_found", "No such lesson", "GET /api/lessons lists them."},
	{lessons.ErrFile, http.StatusUnprocessableEntity, "story_invalid", "Not a story that can be played", "GET /api/lessons/put-get shows how one is written."},

	{node.ErrAmbiguous, http.StatusConflict, "folder_ambiguous", "Several folders are meant", "Name the folder by its id, and with the parameter node the computer that shares it."},
	{node.ErrNotFound, http.StatusNotFound, "not_found", "Not found", ""},
	{p2p.ErrUnreachable, http.StatusGatewayTimeout, "peer_unreachable", "Member not reachable", "Try again when the computer that has it is on."},
	{errPeerRefused, http.StatusForbidden, "peer_refused", "The member refuses it", "Ask the one whose computer it is."},
	{errPeerFailed, http.StatusBadGateway, "peer_failed", "The member could not do it", "Its own log tells more."},
	{p2p.ErrClosed, http.StatusBadGateway, "peer_lost", "The link to the member ended", "Try again."},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "It took too long", "Try again."},
	{context.Canceled, http.StatusServiceUnavailable, "cancelled", "Cancelled", ""},
	{errInternal, http.StatusInternalServerError, "internal", "Internal error", "The node's log tells more."},
}

// explain finds the row of err, and whether there is one but the last, which
// stands for all errors that nobody expected.
func explain(err error) (f failure, known bool) {
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f, f.err != errInternal
		}
	}
	return failures[len(failures)-1], false
}

// retryError says after which time a request may succeed.
type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// problemOf says err in RFC 9457's form. What nobody expected is for the log,
// not for the one who asked.
func problemOf(err error) api.Problem {
	var peer *p2p.CallError
	f, known := explain(err)
	if !known && errors.As(err, &peer) {
		f, known = explain(reasonOf(peer))
	}
	detail := plain(err.Error())
	if !known {
		detail = errInternal.Error()
	}
	p := api.Problem{Type: "/problems/" + f.code, Title: f.title, Status: f.status, Code: f.code, Detail: detail}
	if f.hint != "" {
		p.Hint = &f.hint
	}
	locate(&p, err)
	return p
}

// locate says in p where in a query the mistake is.
func locate(p *api.Problem, err error) {
	var at *query.Error
	if !errors.As(err, &at) {
		return
	}
	parameter := "q"
	var filter *search.FilterError
	if errors.As(err, &filter) {
		parameter = "filter"
	}
	p.Parameter, p.Position, p.Expected = &parameter, &[]int{at.Start, at.End}, &at.Expected
}

// plain returns an error's text without the names of the packages that it begins
// with: they help who reads a log, and nobody else.
func plain(text string) string {
	for {
		name, rest, found := strings.Cut(text, ": ")
		if !found || !slices.Contains(packages, name) {
			return text
		}
		text = rest
	}
}

// reasonOf is for what another member reports, by its own codes.
func reasonOf(e *p2p.CallError) error {
	switch e.Code {
	case "not_found":
		return node.ErrNotFound
	case "forbidden":
		return errPeerRefused
	default:
		return errPeerFailed
	}
}

// fail answers r with err's problem. When parts of another answer are on their
// way already, the connection is broken off: that is the only way left to say
// that the answer is not complete.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	err = fromEcho(err)
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.log.LogAttrs(r.Context(), levelOf(p.Status), "request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.String("code", p.Code), slog.String("error", s.redact(err.Error())))
	}
	if rec, ok := w.(*reply); ok && rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Accept-Ranges"} {
		header.Del(name)
	}
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Bearer realm="shoal"`)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	}
	var retry *retryError
	if errors.As(err, &retry) {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(retry.after.Seconds()))))
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and a number: never
		panic(fmt.Errorf("server: problem %s: %w", p.Code, err))
	}
	header.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	// Whoever asked may be gone; there is nobody left to tell.
	_, _ = w.Write(append(body, '\n'))
}

func levelOf(status int) slog.Level {
	if status == http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelDebug
}

// fromEcho turns what the router and the generated binding report into errors of
// this package.
func fromEcho(err error) error {
	var e *echo.HTTPError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case http.StatusNotFound:
		return errNotFound
	case http.StatusMethodNotAllowed:
		return errMethod
	case http.StatusBadRequest:
		return fmt.Errorf("%w: %v", errInvalid, e.Message)
	case http.StatusUnsupportedMediaType:
		return errContentType
	case http.StatusRequestEntityTooLarge:
		return errTooLarge
	default:
		return err
	}
}
