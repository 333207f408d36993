package paxos

import "errors"

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	// ErrUnknown: the change may or may not have been made, or may yet be. Try it again
	// with the same Op to find out.
	ErrUnknown = errors.New("it is not known whether the change was made")
	// ErrForgotten: a change that is tried again, so late that the register cannot tell
	// whether it was made. It is an ErrUnknown.
	ErrForgotten = forgotten{}
	// ErrVersion: the register has another version than the change was for (Op.Exact).
	ErrVersion = errors.New("the register has another version")
	// ErrConfig: acceptors of one register and epoch know different configurations.
	ErrConfig = errors.New("two configurations of one epoch")
	// ErrNotAcceptor: the request is for a register of others.
	ErrNotAcceptor = errors.New("not an acceptor of this register")
	// ErrMalformed: a message that nobody can have meant.
	ErrMalformed = errors.New("malformed message")
	// ErrFuture: a ballot, or an epoch, that nobody can have reached. It is an ErrMalformed too.
	ErrFuture = errors.New("too far ahead")
	// ErrForeign: a ballot of somebody else than who sends it.
	ErrForeign = errors.New("somebody else's ballot")
	// ErrNoQuorum: a request that needs a majority does not show it, or shows one that is none.
	ErrNoQuorum = errors.New("no majority is shown")
	// ErrFull: the store takes no more registers.
	ErrFull = errors.New("no room for another register")
)

type forgotten struct{}

func (forgotten) Error() string { return "too late to tell whether the change was made" }

// Is makes it an ErrUnknown too.
func (forgotten) Is(target error) bool { return target == ErrUnknown }
