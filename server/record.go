package server

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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
	dht.StatusNoQuorum: dht.ErrNoQuorum,
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
