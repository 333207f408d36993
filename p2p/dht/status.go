package dht

import "fmt"

// Status says what became of one record at one replica.
type Status uint8

// The statuses. Their numbers are part of the protocol, their texts of the API.
const (
	StatusFailed         Status = iota // the replica could not be asked, or its disk failed
	StatusOK                           // stored
	StatusUnchanged                    // it was there already
	StatusPrepared                     // stored, and not seen before it is confirmed
	StatusStale                        // there is one with a larger sequence number
	StatusNotAbsent                    // there is one, and the caller wanted to be the first
	StatusProtected                    // the domain or the entry belongs to somebody else
	StatusFork                         // another version replaces the same one
	StatusNotFound                     // there is nothing that a header could change
	StatusDeleted                      // it has been removed
	StatusNotResponsible               // others are nearer to the location
	StatusQuota                        // the author has too much at this replica
	StatusMalformed                    // see ErrMalformed
	StatusSignature                    // see ErrSignature
	StatusTooLarge                     // a limit of the replica: of values at one name, say
	StatusFuture                       // its number is from the future: the author's clock is wrong, or it wants to stay for ever
	StatusExpired                      // its time was over long ago
	StatusNoQuorum                     // it confirms a version, and no majority is seen to have prepared that
	statuses
)

var statusTexts = [statuses]string{
	"failed", "ok", "ok_unchanged", "ok_prepared", "stale", "not_absent", "protected", "version_fork", "not_found",
	"deleted", "not_responsible", "quota", "malformed", "bad_signature", "too_large",
	"from_the_future", "expired", "no_quorum",
}

// String returns the stable text.
func (s Status) String() string {
	if s < statuses {
		return statusTexts[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Stored reports whether the replica has the record now.
func (s Status) Stored() bool {
	return s == StatusOK || s == StatusUnchanged || s == StatusPrepared
}

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
