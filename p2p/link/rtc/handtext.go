package rtc

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/shoal-p2p/shoal/p2p"
)

// The texts that people carry look like links: this, then the payload.
const (
	offerPrefix  = "shoal://offer#"
	answerPrefix = "shoal://answer#"
)

const (
	// maxHandText bounds what is read as such a text, in bytes. What people paste may
	// have more around it.
	maxHandText = 48 << 10
	handVersion = 1
	handSum     = 4 // bytes of a SHA-256, so that a part of a text is known for one
)

// handDictionary is what the texts have in common, for the compression: a short text is
// a QR code that cameras can read. It belongs to version 1 and never changes.
const handDictionary = " 1 tcp 1073741823  typ host tcptype passive shoal-relay  1 udp 16777215  typ relay raddr 0.0.0.0 rport 0" +
	"  1 udp 1694498815  typ srflx raddr 0.0.0.0 rport 0 4747 typ host\r\na=candidate:mapped 1 udp 2130706431 192.168. 4747 typ host\r\na=candidate:1 1 udp 2130706431 10.0.0. 4747 typ host\r\n" +
	"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 " +
	"\r\na=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:active\r\na=setup:actpass" +
	"\r\na=mid:0\r\na=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:16640\r\na=shoal-datagram:8192\r\na=ice-ufrag:\r\na=ice-pwd:\r\na=end-of-candidates\r\n"

var handEncoding = base64.RawURLEncoding.Strict()

// Errors of texts that people carry.
var (
	// ErrHandText: the text is none of a handshake, or not all of one.
	ErrHandText = errors.New("not a whole text of a handshake")
	// ErrHandKind: it is an answer where an offer is wanted, or the other way round.
	ErrHandKind = errors.New("the other kind of text")
)

// handText writes a sealed envelope as text.
func handText(k kind, msg []byte) (string, error) {
	var b bytes.Buffer
	b.WriteByte(handVersion)
	w, err := flate.NewWriterDict(&b, flate.BestCompression, []byte(handDictionary))
	if err == nil {
		_, err = w.Write(msg)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("rtc: hand text: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	prefix := offerPrefix
	if k == answer {
		prefix = answerPrefix
	}
	return prefix + handEncoding.EncodeToString(append(sum[:handSum], b.Bytes()...)), nil
}

// readHandText finds a text in what somebody has pasted, with the spaces and line breaks
// of a mail, or between quotes, and returns the sealed envelope. Nothing is verified.
func readHandText(pasted string) (kind, []byte, error) {
	if len(pasted) > maxHandText {
		return 0, nil, fmt.Errorf("%d bytes, at most %d: %w", len(pasted), maxHandText, ErrHandText)
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, pasted)
	k, payload, found := cutHandText(text)
	if !found {
		return 0, nil, fmt.Errorf("it does not begin with %s or %s: %w", offerPrefix, answerPrefix, ErrHandText)
	}
	raw, err := handEncoding.DecodeString(strings.TrimRight(payload, `"'>)]}.,;`))
	if err != nil {
		return k, nil, fmt.Errorf("%w: %w", ErrHandText, err)
	}
	msg, err := unpackHand(raw)
	return k, msg, err
}

func cutHandText(text string) (k kind, payload string, found bool) {
	if _, payload, found = strings.Cut(text, offerPrefix); found {
		return offer, payload, true
	}
	_, payload, found = strings.Cut(text, answerPrefix)
	return answer, payload, found
}

func unpackHand(raw []byte) ([]byte, error) {
	if len(raw) < handSum+1 {
		return nil, fmt.Errorf("only %d bytes: %w", len(raw), ErrHandText)
	}
	body := raw[handSum:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:handSum], raw[:handSum]) {
		return nil, fmt.Errorf("wrong checksum, part of it is missing or changed: %w", ErrHandText)
	}
	if body[0] != handVersion {
		return nil, fmt.Errorf("version %d, this program knows %d: %w", body[0], handVersion, ErrHandText)
	}
	in := bytes.NewReader(body[1:])
	msg, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, []byte(handDictionary)), maxEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHandText, err)
	}
	if in.Len() > 0 || len(msg) > maxEnvelope {
		return nil, fmt.Errorf("more than an envelope: %w", ErrHandText)
	}
	return msg, nil
}

// HandText is what a text says of itself. Its author has signed it.
type HandText struct {
	Answer   bool // else it is an offer
	From, To p2p.ID
	Name     string // what From calls itself; it may be empty, or wrong
	Network  p2p.ID
}

// ReadHandText reads a text that a person carries, whoever it is for. Errors:
// ErrHandText.
func ReadHandText(pasted string) (HandText, error) {
	e, _, err := openHandText(pasted)
	if err != nil {
		return HandText{}, fmt.Errorf("rtc: read a text: %w", err)
	}
	return HandText{Answer: e.Kind == answer, From: p2p.IDOf(e.From), To: e.To, Name: e.Name, Network: e.Network}, nil
}

// openHandText opens the envelope of a text, and returns it sealed too.
func openHandText(pasted string) (envelope, []byte, error) {
	k, msg, err := readHandText(pasted)
	if err != nil {
		return envelope{}, nil, err
	}
	e, err := open(msg)
	switch {
	case err != nil:
		return envelope{}, nil, fmt.Errorf("%w: %w", ErrHandText, err)
	case e.Kind != k || e.Kind == offer && e.Wait == 0:
		return envelope{}, nil, fmt.Errorf("something else than it begins with: %w", ErrHandText)
	}
	return e, msg, nil
}
