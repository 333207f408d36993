package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// Refusals of the table, by what the replicas say.
var (
	errAbsent    = errors.New("something is there already")
	errProtected = errors.New("it belongs to somebody else")
	errForked    = errors.New("another version stands beside it")
	errDeleted   = errors.New("it has been removed")
	errQuota     = errors.New("the replicas keep no more of this member")
	errNotStored = errors.New("too few replicas have stored it")
	errNoValue   = errors.New("nothing is there")
	errTooBig    = errors.New("the value is too large")
)

// putRefusals are what each status becomes where one record was to be stored.
var putRefusals = map[dht.Status]error{
	dht.StatusNotAbsent: errAbsent, dht.StatusProtected: errProtected, dht.StatusFork: errForked,
	dht.StatusDeleted: errDeleted, dht.StatusQuota: errQuota, dht.StatusNotFound: errNoValue, dht.StatusTooLarge: errTooBig,
}

// refusal returns why a put was not stored, or nil.
func refusal(r dht.PutResult) error {
	if r.Stored() {
		return nil
	}
	err := putRefusals[r.Status]
	if err == nil {
		err = errNotStored
	}
	var said []string
	for _, replica := range r.Replicas {
		one := replica.Name + " says " + replica.Status.String()
		if replica.Error != "" {
			one = replica.Name + ": " + replica.Error
		}
		said = append(said, one)
	}
	if said == nil {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(said, "; "))
}

// dhtKey reads a key: a text, or hex: and its digits.
func dhtKey(name string) (p2p.Key, error) {
	digits, is := strings.CutPrefix(name, "hex:")
	if !is {
		return dht.KeyOf(name), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(p2p.Key{}) {
		return p2p.Key{}, fmt.Errorf("%w: key %.80q: want hex: and 64 hexadecimal digits", errInvalid, name)
	}
	return p2p.Key(b), nil
}

// optionalKey reads a key that may be absent.
func optionalKey(name *string) (p2p.Key, error) {
	if name == nil {
		return p2p.Key{}, nil
	}
	return dhtKey(*name)
}

// dhtAddress reads the parts of an address.
func dhtAddress(key string, domain, content, version *string) (a dht.Address, err error) {
	if a.Location, err = dhtKey(key); err != nil {
		return a, err
	}
	if a.Domain, err = optionalKey(domain); err != nil {
		return a, err
	}
	if a.Content, err = optionalKey(content); err != nil {
		return a, err
	}
	if version != nil {
		if err := a.Version.UnmarshalText([]byte(*version)); err != nil {
			return a, fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	return a, nil
}

// bytesOf reads a value that is text or base64.
func bytesOf(text, b64 *string) ([]byte, error) {
	switch {
	case text != nil && b64 != nil:
		return nil, fmt.Errorf("%w: text and base64 at the same time", errInvalid)
	case b64 != nil:
		b, err := base64.StdEncoding.DecodeString(*b64)
		if err != nil {
			return nil, fmt.Errorf("%w: not base64: %w", errInvalid, err)
		}
		return b, nil
	case text != nil:
		return []byte(*text), nil
	default:
		return []byte{}, nil
	}
}

// asText returns bytes as text where they are text, otherwise as bytes.
func asText(b []byte) (text *string, raw *[]byte) {
	if utf8.Valid(b) && !slices.Contains(b, 0) {
		return new(string(b)), nil
	}
	return nil, &b
}

func seconds(s *int64) time.Duration { return time.Duration(valueOf(s)) * time.Second }

// GetDht implements api.StrictServerInterface.
func (a *nodeAPI) GetDht(ctx context.Context, _ api.GetDhtRequestObject) (api.GetDhtResponseObject, error) {
	d, err := a.dht(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetDht200JSONResponse{Body: d}, nil
}

func (a *nodeAPI) dht(ctx context.Context) (api.Dht, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return api.Dht{}, err
	}
	defer leave()
	t := a.node.DHT()
	kept, err := t.Kept(ctx)
	if err != nil {
		return api.Dht{}, err
	}
	out := api.Dht{Replicas: t.Replicas(), Churn: apiChurn(t.Churn()), Rules: apiRules(t.Rules()), Records: kept.Records, Bytes: kept.Bytes, Locations: kept.Locations, Members: []api.DhtMember{}, Roster: t.Roster(), Lookups: t.Large()}
	if out.Keepers, err = a.keepers(ctx); err != nil {
		return api.Dht{}, err
	}
	if out.Memory, err = a.memory(ctx); err != nil {
		return api.Dht{}, err
	}
	for _, m := range t.Nearest(p2p.Key{}, len(a.node.Members())) {
		own := dht.KeyOfOwner(m.PublicKey)
		out.Members = append(out.Members, api.DhtMember{
			Id: m.ID.String(), Name: m.Name, Position: hex.EncodeToString(m.Position[:]), Key: hex.EncodeToString(own[:]),
			Alive: t.Alive(m.ID), Self: m.ID == a.node.ID(),
		})
	}
	return out, nil
}

// keepers returns who makes new registers.
func (a *nodeAPI) keepers(ctx context.Context) (api.DhtKeepers, error) {
	c, err := a.node.Registers().Keepers(ctx)
	if err != nil {
		return api.DhtKeepers{}, err
	}
	names := a.memberNames()
	out := api.DhtKeepers{Epoch: int64(c.Epoch), Needed: len(c.Acceptors)/2 + 1, Members: []api.DhtKeeper{}}
	for _, id := range c.Acceptors {
		out.Members = append(out.Members, api.DhtKeeper{Id: id.String(), Name: nameIn(names, id), Alive: a.node.DHT().Alive(id)})
	}
	return out, nil
}

// memory says what became of what this node has promised.
func (a *nodeAPI) memory(ctx context.Context) (api.DhtMemory, error) {
	age, found, err := a.node.Registers().Memory(ctx)
	if err != nil {
		return api.DhtMemory{}, err
	}
	out := api.DhtMemory{Changes: int64(min(age.Changes, 1<<63-1)), Times: int(age.Life)}
	if found != nil {
		out.Found, out.By, out.ByName = new(found.At.UTC()), new(found.By.String()), new(nameIn(a.memberNames(), found.By))
		if found.Seen.Changes > found.Was.Changes {
			out.Missing = new(int64(min(found.Seen.Changes-found.Was.Changes, 1<<63-1)))
		}
	}
	return out, nil
}

func autoOf(on bool) dht.Auto {
	if !on {
		return dht.Auto{}
	}
	return dht.Auto{Reliability: dht.DefaultReliability}
}

func apiChurn(c dht.Churn) api.DhtChurn {
	out := api.DhtChurn{
		Auto: c.Auto, Least: c.Least, EveryS: c.Every.Seconds(), Departures: append([]int{}, c.Departures...), Running: c.Running,
		Reliability: c.Reliability, Reason: churnReason(c),
	}
	if !c.Next.IsZero() {
		out.Next = new(c.Next.UTC())
	}
	if len(c.Departures) > 0 {
		out.Members, out.Expected, out.Replicas = &c.Members, &c.Expected, &c.Replicas
	}
	return out
}

// churnReason says in words how many copies follow from what.
func churnReason(c dht.Churn) string {
	every := strconv.FormatFloat(c.Every.Minutes(), 'g', 3, 64) + " minutes"
	if len(c.Departures) == 0 {
		return fmt.Sprintf("Nothing is known yet: who leaves is counted every %s.", every)
	}
	left := make([]string, len(c.Departures))
	for i, n := range c.Departures {
		left[i] = strconv.Itoa(n)
	}
	text := fmt.Sprintf("Of the members left in the last %s: %s", every, left[0])
	if len(left) > 1 {
		text = fmt.Sprintf("Of the members left in each of the last %d times %s, the newest last: %s", len(left), every, strings.Join(left, ", "))
	}
	text += fmt.Sprintf("; %d of %d are expected to leave in the next", c.Expected, c.Members)
	if c.Replicas == c.Least {
		return text + fmt.Sprintf(". %d copies are enough, and the least.", c.Replicas)
	}
	return text + fmt.Sprintf(". Of %d copies one is left with a probability of %g %% even if they are gone for ever.", c.Replicas, 100*c.Reliability)
}

func apiRules(r dht.Rules) api.DhtRules {
	rule := func(none, noMaster bool) api.DhtRule {
		claim := api.DhtRuleClaimAll
		if none {
			claim = api.DhtRuleClaimNone
		}
		return api.DhtRule{Claim: claim, Master: !noMaster}
	}
	return api.DhtRules{Domain: rule(r.DomainNone, r.DomainNoMaster), Entry: rule(r.EntryNone, r.EntryNoMaster)}
}

// UpdateDht implements api.StrictServerInterface.
func (a *nodeAPI) UpdateDht(ctx context.Context, r api.UpdateDhtRequestObject) (api.UpdateDhtResponseObject, error) {
	t := a.node.DHT()
	if valueOf(r.Body.Auto) && r.Body.Replicas != nil {
		return nil, fmt.Errorf("%w: either a number of copies or auto", errInvalid)
	}
	if rules := r.Body.Rules; rules != nil {
		t.SetRules(dht.Rules{
			DomainNone: rules.Domain.Claim == api.DhtRuleClaimNone, DomainNoMaster: !rules.Domain.Master,
			EntryNone: rules.Entry.Claim == api.DhtRuleClaimNone, EntryNoMaster: !rules.Entry.Master,
		})
	}
	if r.Body.Replicas != nil {
		t.SetReplicas(*r.Body.Replicas)
	}
	if r.Body.Auto != nil {
		t.SetAuto(autoOf(*r.Body.Auto))
	}
	d, err := a.dht(ctx)
	if err != nil {
		return nil, err
	}
	return api.UpdateDht200JSONResponse(d), nil
}

// ListResponsible implements api.StrictServerInterface.
func (a *nodeAPI) ListResponsible(ctx context.Context, r api.ListResponsibleRequestObject) (api.ListResponsibleResponseObject, error) {
	key, err := dhtKey(r.Params.Key)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t := a.node.DHT()
	keep, err := t.Keepers(ctx, key)
	if err != nil {
		return nil, err
	}
	out := api.ResponsibleList{Key: hex.EncodeToString(key[:]), Items: []api.Responsible{}}
	near := t.Nearest(key, dht.MaxReplicas)
	if t.Large() {
		near = keep // others are known by chance
	}
	for _, m := range near {
		out.Items = append(out.Items, a.apiResponsible(t, m, key, slices.ContainsFunc(keep, func(k dht.Member) bool { return k.ID == m.ID })))
	}
	return api.ListResponsible200JSONResponse{Body: out}, nil
}

// dhtQuery is a query before its keys are read.
type dhtQuery struct {
	key                               string
	domain, content, from, to         *string
	allDomains, descending, noValues  bool
	allVersions, tombstones, prepared bool
	limit                             int
}

func (q dhtQuery) read() (dht.Query, error) {
	at, err := dhtAddress(q.key, q.domain, q.content, nil)
	if err != nil {
		return dht.Query{}, err
	}
	out := dht.Query{
		Location: at.Location, Domain: at.Domain, Domains: q.allDomains, Versions: q.allVersions, Limit: q.limit,
		Descending: q.descending, Bare: q.noValues, Tombstones: q.tombstones, Prepared: q.prepared,
	}
	if q.content != nil {
		out.Contents = []p2p.Key{at.Content}
	}
	if out.From, err = optionalKey(q.from); err != nil {
		return out, err
	}
	if q.to != nil {
		to, err := dhtKey(*q.to)
		if err != nil {
			return out, err
		}
		out.To = &to
	}
	return out, nil
}

// or returns what v points at, or a default.
func or[T any](v *T, d T) T {
	if v == nil {
		return d
	}
	return *v
}

// GetValues implements api.StrictServerInterface.
func (a *nodeAPI) GetValues(ctx context.Context, r api.GetValuesRequestObject) (api.GetValuesResponseObject, error) {
	p := r.Params
	q, err := dhtQuery{
		key: p.Key, domain: p.Domain, content: p.Content, from: p.From, to: p.To, allDomains: valueOf(p.AllDomains),
		descending: valueOf(p.Descending), noValues: !or(p.Values, true), allVersions: valueOf(p.Versions) == "all",
		tombstones: valueOf(p.Tombstones), prepared: valueOf(p.Prepared), limit: or(p.Limit, 100),
	}.read()
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	f, trace, err := a.node.DHT().Get(ctx, q, dht.ReadOptions{Majority: valueOf(p.Majority)})
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtFound{Key: hex.EncodeToString(q.Location[:]), Items: []api.DhtRecord{}, Replicas: []api.DhtReplica{}, More: f.More, Trace: apiTrace(trace, names)}
	for _, c := range f.Records {
		out.Items = append(out.Items, apiRecord(c, names, !q.Bare))
	}
	for _, an := range f.Replicas {
		out.Replicas = append(out.Replicas, api.DhtReplica{
			Id: an.ID.String(), Name: an.Name, Status: api.DhtStatus(an.Status.String()), Records: new(an.Records), Error: known(an.Error),
		})
	}
	return api.GetValues200JSONResponse(out), nil
}

// memberNames returns the names of members, for people.
func (a *nodeAPI) memberNames() map[p2p.ID]string {
	names := map[p2p.ID]string{}
	for _, m := range a.node.Members() {
		names[m.ID] = m.Name
	}
	return names
}

func apiRecord(c dht.Copy, names map[p2p.ID]string, withValue bool) api.DhtRecord {
	author := p2p.IDOf(c.Author)
	out := api.DhtRecord{
		Location: hex.EncodeToString(c.Location[:]), Domain: hex.EncodeToString(c.Domain[:]), Content: hex.EncodeToString(c.Content[:]),
		Kind: api.Value, Size: int(c.Size), Author: author.String(), AuthorName: nameIn(names, author),
		Seq: int64(min(c.Seq, 1<<63-1)), TtlS: int64(c.TTL), Protect: api.DhtProtect{}, Prepared: c.Prepared, Based: []string{}, Replicas: []string{},
	}
	if c.Kind == dht.KindTombstone {
		out.Kind = api.Tombstone
	} else if withValue {
		out.Value, out.ValueBase64 = asText(c.Value)
	}
	if !c.Version.IsZero() {
		out.Version = new(c.Version.String())
	}
	for _, v := range c.Based {
		out.Based = append(out.Based, v.String())
	}
	if c.Left > 0 {
		out.LeftS = new(c.Left.Seconds())
	}
	if c.Protect&dht.ProtectDomain != 0 {
		out.Protect = append(out.Protect, "domain")
	}
	if c.Protect&dht.ProtectEntry != 0 {
		out.Protect = append(out.Protect, "entry")
	}
	if c.Protect != 0 {
		owner := p2p.IDOf(c.OwnerKey())
		out.Owner, out.OwnerName = new(owner.String()), new(nameIn(names, owner))
	}
	for _, id := range c.Have {
		out.Replicas = append(out.Replicas, id.String())
	}
	return out
}

// counted is nil for none.
func counted(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func apiTrace(t dht.Trace, names map[p2p.ID]string) api.DhtTrace {
	out := api.DhtTrace{Rounds: t.Rounds, Messages: t.Messages, Bytes: t.Bytes, Crowded: counted(t.Crowded), TookMs: milliseconds(t.Took), Steps: []api.DhtStep{}}
	for _, s := range t.Steps {
		out.Steps = append(out.Steps, api.DhtStep{
			Operation: s.Operation, Number: int64(s.Number), Round: s.Round, From: s.From.String(), To: s.To.String(), ToName: known(names[s.To]),
			Proto: s.Proto, Items: s.Items, BytesOut: s.Out, BytesIn: s.In, Outcome: s.Outcome, Failed: new(s.Failed),
			AtMs: milliseconds(s.At), TookMs: milliseconds(s.Took),
		})
	}
	return out
}

// dhtPut reads what is to be put.
func (a *nodeAPI) dhtPut(b api.DhtPut) (p dht.Put, err error) {
	if p.Address, err = dhtAddress(b.Key, b.Domain, b.Content, b.Version); err != nil {
		return p, err
	}
	if p.Value, err = bytesOf(b.Value, b.ValueBase64); err != nil {
		return p, err
	}
	if len(p.Value) > dht.MaxValue {
		return p, fmt.Errorf("%w: %d bytes, at most %d", errTooBig, len(p.Value), dht.MaxValue)
	}
	switch {
	case valueOf(b.Add) && valueOf(b.List), (valueOf(b.Add) || valueOf(b.List)) && b.Content != nil:
		return p, fmt.Errorf("%w: only one of content, add and list names the content", errInvalid)
	case valueOf(b.Add):
		p.Content = dht.SumOf(p.Value)
	case valueOf(b.List):
		rand.Read(p.Content[:]) // never fails (crypto/rand)
	}
	for _, v := range valueOf(b.Based) {
		var version dht.Version
		if err := version.UnmarshalText([]byte(v)); err != nil {
			return p, fmt.Errorf("%w: %w", errInvalid, err)
		}
		p.Based = append(p.Based, version)
	}
	slices.SortFunc(p.Based, dht.Version.Compare)
	p.TTL, p.Absent, p.Fork = seconds(b.TtlS), valueOf(b.Absent), valueOf(b.Fork)
	p.Protect = protection(b.Protect)
	if b.Owner != nil {
		m, err := a.tableMember(*b.Owner)
		if err != nil {
			return p, err
		}
		if p.Protect == 0 {
			return p, fmt.Errorf("%w: an owner of nothing: say in protect what it is to own", errInvalid)
		}
		p.Owner = m.PublicKey
	}
	return p, nil
}

func protection(names *api.DhtProtect) (out dht.Protect) {
	for _, n := range valueOf(names) {
		switch n {
		case "domain":
			out |= dht.ProtectDomain
		case "entry":
			out |= dht.ProtectEntry
		}
	}
	return out
}

// memberOf finds a member by the text of its ID.
func (a *nodeAPI) tableMember(id string) (dht.Member, error) {
	all := a.node.DHT().Nearest(p2p.Key{}, len(a.node.Members()))
	for _, m := range all {
		if m.ID.String() == id {
			return m, nil
		}
	}
	return dht.Member{}, fmt.Errorf("%w: member %.60q: there is none with this ID", errInvalid, id)
}

// PutValue implements api.StrictServerInterface.
func (a *nodeAPI) PutValue(ctx context.Context, r api.PutValueRequestObject) (api.PutValueResponseObject, error) {
	p, err := a.dhtPut(*r.Body)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	result, trace, err := a.node.DHT().Put(ctx, p)
	if err != nil {
		return nil, err
	}
	stored, err := a.stored(result, trace, p.Value)
	if err != nil {
		return nil, err
	}
	if r.Body.RefreshS != nil {
		n, err := a.node.DHT().Refresh(p, seconds(r.Body.RefreshS))
		if err != nil {
			return nil, err
		}
		stored.Refresh = new(int64(n))
	}
	return api.PutValue200JSONResponse(stored), nil
}

// ListRefreshes implements api.StrictServerInterface.
func (a *nodeAPI) ListRefreshes(context.Context, api.ListRefreshesRequestObject) (api.ListRefreshesResponseObject, error) {
	out := api.DhtRefreshList{Items: []api.DhtRefresh{}}
	for _, f := range a.node.DHT().Refreshes() {
		one := api.DhtRefresh{Number: int64(f.Number), Location: hex.EncodeToString(f.Put.Location[:]), EveryS: f.Every.Seconds(), Times: f.Times, Next: f.Next}
		if f.Times > 0 {
			one.Status = new(api.DhtStatus(f.Last.Status.String()))
		}
		if f.Err != nil {
			one.Error = new(f.Err.Error())
		}
		out.Items = append(out.Items, one)
	}
	return api.ListRefreshes200JSONResponse{Body: out}, nil
}

// DeleteRefresh implements api.StrictServerInterface.
func (a *nodeAPI) DeleteRefresh(_ context.Context, r api.DeleteRefreshRequestObject) (api.DeleteRefreshResponseObject, error) {
	if !a.node.DHT().StopRefresh(uint64(r.N)) {
		return nil, fmt.Errorf("refresh %d: %w", r.N, errNoValue)
	}
	return api.DeleteRefresh204Response{}, nil
}

// stored is the reply to a put of one record, or the error that it became.
func (a *nodeAPI) stored(r dht.PutResult, trace dht.Trace, value []byte) (api.DhtStored, error) {
	if err := refusal(r); err != nil {
		return api.DhtStored{}, err
	}
	names := a.memberNames()
	return api.DhtStored{
		Record: apiRecord(putCopy(r, value), names, value != nil), Status: api.DhtStatus(r.Status.String()), Copies: r.Copies,
		Replicas: apiReplicas(r.Replicas), Trace: apiTrace(trace, names),
	}, nil
}

// putCopy is what was put, as a get would find it.
func putCopy(r dht.PutResult, value []byte) dht.Copy {
	c := dht.Copy{Record: dht.Record{Header: r.Header, Value: value}}
	c.Left, _ = r.Header.TimeToLive()
	for _, replica := range r.Replicas {
		if replica.Status.Stored() {
			c.Have = append(c.Have, replica.ID)
		}
	}
	return c
}

func apiReplicas(all []dht.Replica) []api.DhtReplica {
	out := []api.DhtReplica{}
	for _, r := range all {
		out = append(out, api.DhtReplica{Id: r.ID.String(), Name: r.Name, Status: api.DhtStatus(r.Status.String()), Error: known(r.Error)})
	}
	return out
}

func apiItems(results []dht.PutResult) []api.DhtItemStored {
	out := []api.DhtItemStored{}
	for _, r := range results {
		h := r.Header
		out = append(out, api.DhtItemStored{
			Location: hex.EncodeToString(h.Location[:]), Domain: hex.EncodeToString(h.Domain[:]), Content: hex.EncodeToString(h.Content[:]),
			Status: api.DhtStatus(r.Status.String()), Copies: r.Copies,
		})
	}
	return out
}

func bodyQuery(b api.DhtQuery) (dht.Query, error) {
	return dhtQuery{
		key: b.Key, domain: b.Domain, content: b.Content, from: b.From, to: b.To, allDomains: valueOf(b.AllDomains),
		descending: valueOf(b.Descending), noValues: !or(b.Values, true), allVersions: valueOf(b.Versions) == "all", limit: or(b.Limit, 100),
	}.read()
}

func bodyQueries(all []api.DhtQuery) ([]dht.Query, error) {
	out := make([]dht.Query, len(all))
	for i, b := range all {
		q, err := bodyQuery(b)
		if err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
		out[i] = q
	}
	return out, nil
}

// BatchDht implements api.StrictServerInterface.
func (a *nodeAPI) BatchDht(ctx context.Context, r api.BatchDhtRequestObject) (api.BatchDhtResponseObject, error) {
	var puts []dht.Put
	for i, b := range valueOf(r.Body.Put) {
		p, err := a.dhtPut(b)
		if err != nil {
			return nil, fmt.Errorf("put %d: %w", i, err)
		}
		puts = append(puts, p)
	}
	gets, err := bodyQueries(valueOf(r.Body.Get))
	if err != nil {
		return nil, err
	}
	removes, err := bodyQueries(valueOf(r.Body.Remove))
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	names := a.memberNames()
	out := api.DhtBatchResult{Put: []api.DhtItemStored{}, Get: []api.DhtItemFound{}, Remove: []api.DhtItemStored{}}
	var whole dht.Trace
	if len(puts) > 0 {
		results, trace, err := a.node.DHT().MultiPut(ctx, puts)
		if err != nil {
			return nil, err
		}
		out.Put = apiItems(results)
		whole.Add(trace)
	}
	if len(gets) > 0 {
		found, trace, err := a.node.DHT().MultiGet(ctx, gets, dht.ReadOptions{})
		if err != nil {
			return nil, err
		}
		for i, f := range found {
			one := api.DhtItemFound{Key: hex.EncodeToString(gets[i].Location[:]), Items: []api.DhtRecord{}, More: f.More}
			for _, c := range f.Records {
				one.Items = append(one.Items, apiRecord(c, names, !gets[i].Bare))
			}
			out.Get = append(out.Get, one)
		}
		whole.Add(trace)
	}
	if len(removes) > 0 {
		_, results, trace, err := a.node.DHT().MultiRemove(ctx, removes)
		if err != nil {
			return nil, err
		}
		out.Remove = apiItems(results)
		whole.Add(trace)
	}
	out.Trace = apiTrace(whole, names)
	return api.BatchDht200JSONResponse(out), nil
}

// RemoveValues implements api.StrictServerInterface.
func (a *nodeAPI) RemoveValues(ctx context.Context, r api.RemoveValuesRequestObject) (api.RemoveValuesResponseObject, error) {
	q, err := bodyQuery(*r.Body)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	removed, results, trace, err := a.node.DHT().MultiRemove(ctx, []dht.Query{q})
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtRemoved{Items: []api.DhtRecord{}, Results: apiItems(results), Trace: apiTrace(trace, names)}
	for _, c := range removed {
		out.Items = append(out.Items, apiRecord(c, names, !q.Bare))
	}
	if len(results) == 1 {
		if err := refusal(results[0]); err != nil {
			return nil, err
		}
	}
	return api.RemoveValues200JSONResponse(out), nil
}

// RenewValue implements api.StrictServerInterface.
func (a *nodeAPI) RenewValue(ctx context.Context, r api.RenewValueRequestObject) (api.RenewValueResponseObject, error) {
	b := *r.Body
	at, err := dhtAddress(b.Key, b.Domain, b.Content, b.Version)
	if err != nil {
		return nil, err
	}
	var owner dht.Member
	switch {
	case b.Owner != nil && b.TtlS != nil, b.Owner == nil && b.TtlS == nil:
		return nil, fmt.Errorf("%w: either ttl_s or owner", errInvalid)
	case b.Owner != nil:
		if owner, err = a.tableMember(*b.Owner); err != nil {
			return nil, err
		}
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var results []dht.PutResult
	var trace dht.Trace
	if b.Owner != nil {
		results, trace, err = a.node.DHT().Transfer(ctx, []dht.Address{at}, owner.PublicKey)
	} else {
		results, trace, err = a.node.DHT().MultiRenew(ctx, []dht.Address{at}, seconds(b.TtlS))
	}
	if err != nil {
		return nil, err
	}
	stored, err := a.stored(results[0], trace, nil)
	if err != nil {
		return nil, err
	}
	return api.RenewValue200JSONResponse(stored), nil
}
