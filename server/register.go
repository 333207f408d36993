package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/server/api"
)

// registerTimeout is how long a change is tried: less than the route waits, so that the
// answer says that it is unknown what became of it.
const registerTimeout = 20 * time.Second

// GetRegister implements api.StrictServerInterface.
func (a *nodeAPI) GetRegister(ctx context.Context, r api.GetRegisterRequestObject) (api.GetRegisterResponseObject, error) {
	key, err := dhtKey(r.Params.Key)
	if err != nil {
		return nil, err
	}
	out, err := a.useRegister(ctx, key, func(ctx context.Context) (paxos.Result, error) { return a.node.Registers().Read(ctx, key) })
	if err != nil {
		return nil, err
	}
	return api.GetRegister200JSONResponse(out), nil
}

// UpdateRegister implements api.StrictServerInterface.
func (a *nodeAPI) UpdateRegister(ctx context.Context, r api.UpdateRegisterRequestObject) (api.UpdateRegisterResponseObject, error) {
	key, err := dhtKey(r.Body.Key)
	if err != nil {
		return nil, err
	}
	change, err := registerChange(*r.Body)
	if err != nil {
		return nil, err
	}
	op := paxos.NewOp()
	if r.Body.Op != nil {
		if op, err = parseOp(*r.Body.Op); err != nil {
			return nil, err
		}
	}
	if want := r.Body.IfVersion; want != nil {
		op.From, op.Exact = uint64(*want)+1, true
	}
	out, err := a.useRegister(ctx, key, func(ctx context.Context) (paxos.Result, error) {
		return a.node.Registers().Update(ctx, key, &op, change)
	})
	if errors.Is(err, paxos.ErrUnknown) {
		return nil, fmt.Errorf("%w: op %s", err, opText(op))
	}
	if err != nil {
		return nil, err
	}
	return api.UpdateRegister200JSONResponse(out), nil
}

// registerChange returns what a request wants to be done with what is there.
func registerChange(b api.DhtRegisterChange) (paxos.Transform, error) {
	var wanted []paxos.Transform
	if b.Value != nil || b.ValueBase64 != nil {
		value, err := bytesOf(b.Value, b.ValueBase64)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, func([]byte, bool) ([]byte, error) { return value, nil })
	}
	if b.Append != nil {
		wanted = append(wanted, func(old []byte, _ bool) ([]byte, error) { return append(old, *b.Append...), nil })
	}
	if b.Add != nil {
		wanted = append(wanted, func(old []byte, exists bool) ([]byte, error) { return added(old, exists, *b.Add) })
	}
	if valueOf(b.Delete) {
		wanted = append(wanted, func([]byte, bool) ([]byte, error) { return nil, nil })
	}
	if len(wanted) != 1 {
		return nil, fmt.Errorf("%w: exactly one of value, value_base64, append, add and delete", errInvalid)
	}
	return func(old []byte, exists bool) ([]byte, error) {
		if b.IfValue != nil && (!exists || !bytes.Equal(old, []byte(*b.IfValue))) {
			return nil, errDiffers
		}
		return wanted[0](old, exists)
	}, nil
}

// added adds to a whole number that is written as text.
func added(old []byte, exists bool, n int64) ([]byte, error) {
	sum := n
	if exists {
		was, err := strconv.ParseInt(strings.TrimSpace(string(old)), 10, 64)
		if err != nil || n > 0 && was > math.MaxInt64-n || n < 0 && was < math.MinInt64-n {
			return nil, errNoNumber
		}
		sum += was
	}
	return strconv.AppendInt(nil, sum, 10), nil
}

// opText names a change, so that it can be tried again.
func opText(op paxos.Op) string {
	return hex.EncodeToString(op.ID[:]) + ":" + strconv.FormatUint(op.From, 10)
}

func parseOp(text string) (op paxos.Op, err error) {
	id, from, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(id)
	if err == nil && len(b) != len(op.ID) {
		err = errors.New("want 16 hexadecimal digits")
	}
	if err == nil {
		op.From, err = strconv.ParseUint(from, 10, 64)
	}
	if err != nil {
		return op, fmt.Errorf("%w: op %.40q: want 16 hexadecimal digits, a colon and a number", errInvalid, text)
	}
	op.ID = paxos.OpID(b)
	return op, nil
}

// useRegister makes an operation, and says what was said meanwhile.
func (a *nodeAPI) useRegister(ctx context.Context, key p2p.Key, use func(context.Context) (paxos.Result, error)) (api.DhtRegister, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return api.DhtRegister{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	var mu sync.Mutex // guards heard
	var heard []p2p.Event
	stop := a.node.Registers().Listen(key, func(e p2p.Event) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, e)
	})
	r, err := use(ctx)
	stop()
	if err != nil {
		return api.DhtRegister{}, err
	}
	names := a.memberNames()
	out := api.DhtRegister{
		Key: hex.EncodeToString(key[:]), Exists: r.Exists, Version: int64(r.Version), Again: r.Again, Epoch: int64(r.Config.Epoch),
	}
	if r.Exists {
		out.Value, out.ValueBase64 = asText(r.Data)
	}
	out.Acceptors = append(out.Acceptors, make([]struct {
		Id   string `json:"id"`
		Name string `json:"name"`
	}, len(r.Config.Acceptors))...)
	for i, id := range r.Config.Acceptors {
		out.Acceptors[i].Id, out.Acceptors[i].Name = id.String(), nameIn(names, id)
	}
	mu.Lock()
	defer mu.Unlock()
	out.Trace = make([]struct {
		Member *string `json:"member,omitempty"`
		Text   string  `json:"text"`
		Topic  string  `json:"topic"`
	}, len(heard))
	for i, e := range heard {
		member, text := registerStep(e, names)
		out.Trace[i].Topic, out.Trace[i].Member, out.Trace[i].Text = e.Topic(), known(member), text
	}
	return out, nil
}

// registerStep says in words what was said in a round, and by whom, or to whom.
func registerStep(e p2p.Event, names map[p2p.ID]string) (member, text string) {
	switch e := e.(type) {
	case paxos.Prepared:
		member = nameIn(names, e.To)
		return member, fmt.Sprintf("prepare %s, to %s", e.Ballot, member)
	case paxos.Promised:
		member = nameIn(names, e.From)
		if e.Accepted.IsZero() {
			return member, fmt.Sprintf("%s promises %s, and has accepted nothing", member, e.Ballot)
		}
		return member, fmt.Sprintf("%s promises %s, and has accepted what %s proposed", member, e.Ballot, e.Accepted)
	case paxos.Proposed:
		member = nameIn(names, e.To)
		return member, fmt.Sprintf("accept version %d with %s, to %s", e.Version, e.Ballot, member)
	case paxos.Accepted:
		member = nameIn(names, e.From)
		return member, fmt.Sprintf("%s has accepted %s", member, e.Ballot)
	case paxos.Conflicted:
		member = nameIn(names, e.From)
		return member, fmt.Sprintf("%s refuses %s: it has promised %s in epoch %d", member, e.Ballot, e.Promised, e.Epoch)
	case paxos.Chosen:
		return "", fmt.Sprintf("a majority has accepted %s: version %d is chosen", e.Ballot, e.Version)
	case paxos.Moved:
		return "", fmt.Sprintf("the register goes on in epoch %d, with %d acceptors", e.Config.Epoch, len(e.Config.Acceptors))
	}
	return "", e.Topic()
}
