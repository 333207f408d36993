package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

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
