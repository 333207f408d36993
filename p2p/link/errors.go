package link

import (
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
)

// Codes with which a stream is reset or a link goes away. Protocols on streams
// use their own from 256 on.
const (
	CodeNone       uint64 = 0 // no reason given: closed, not interested any more
	CodeBusy       uint64 = 1 // too many streams are open
	CodeCancelled  uint64 = 2 // whoever asked for it has given up
	CodeNoProtocol uint64 = 3 // the stream's protocol is not served
	CodeViolation  uint64 = 4 // the peer broke the rules of this package
	CodeSilent     uint64 = 5 // the peer gave no sign of life
)

// ResetError is what Read and Write of a stream give after the peer has ended
// that direction with a code.
type ResetError struct{ Code uint64 }

func (e *ResetError) Error() string { return fmt.Sprintf("reset by peer with code %d", e.Code) }

// Codes of a p2p.CallError that this package sets.
const (
	CallNoProtocol = "no_protocol" // no handler
	CallInternal   = "internal"    // the handler failed without a code, or panicked
	CallBusy       = "busy"        // too many calls are running
	CallTooLarge   = "too_large"   // the handler's answer exceeds wire.MaxMessage
	CallCancelled  = "cancelled"   // cancelled before it began
)

// violation is the end of a link because of what the peer sent.
func violation(format string, args ...any) error {
	return fmt.Errorf("peer broke the protocol: "+format, args...)
}

// endedError tells why a link has ended; it is p2p.ErrClosed whatever the reason.
type endedError struct {
	peer   p2p.ID
	reason error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("link to %s closed: %v", e.peer.Short(), e.reason)
}

func (e *endedError) Unwrap() []error { return []error{p2p.ErrClosed, e.reason} }
