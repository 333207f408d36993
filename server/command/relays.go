package command

import (
	"fmt"
	"net"
	"strings"
)

// Ports of what is named without one: of STUN and TURN servers (RFC 8489, RFC 8656),
// and of nodes.
const (
	portOfSTUN = "3478"
	portOfNode = "4747"
)

// TURNServer is a relay that --turn names.
type TURNServer struct {
	Host           string // "name:port"
	User, Password string
	TCP            bool // and not UDP
}

// STUNServers are those of --stun, each "name:port".
func (s Serve) STUNServers() ([]string, error) {
	var out []string
	for _, text := range s.STUN {
		host, err := hostPort(strings.TrimPrefix(strings.TrimSpace(text), "stun:"), portOfSTUN)
		if err != nil {
			return nil, UsageError{fmt.Sprintf("--stun %s: %v", text, err)}
		}
		out = append(out, host)
	}
	return out, nil
}

// TURNServers are those of --turn.
func (s Serve) TURNServers() ([]TURNServer, error) {
	var out []TURNServer
	for i, text := range s.TURN {
		t, err := parseTURN(text)
		if err != nil {
			// The text holds a password.
			return nil, UsageError{fmt.Sprintf("--turn, server %d: %v", i+1, err)}
		}
		out = append(out, t)
	}
	return out, nil
}

func parseTURN(text string) (TURNServer, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "turn:")
	text, query, _ := strings.Cut(text, "?")
	var t TURNServer
	switch query {
	case "", "transport=udp":
	case "transport=tcp":
		t.TCP = true
	default:
		return t, fmt.Errorf("behind the question mark only transport=udp or transport=tcp may stand")
	}
	at := strings.LastIndexByte(text, '@')
	user, password, ok := strings.Cut(text[:max(at, 0)], ":")
	if !ok || user == "" || password == "" {
		return t, fmt.Errorf("want USER:PASSWORD@HOST:PORT")
	}
	host, err := hostPort(text[at+1:], portOfSTUN)
	if err != nil {
		return t, err
	}
	t.Host, t.User, t.Password = host, user, password
	return t, nil
}

// Meetings are the nodes of --rendezvous, each "name:port".
func (s Serve) Meetings() ([]string, error) {
	var out []string
	for _, text := range s.Rendezvous {
		host, err := hostPort(strings.TrimSpace(text), portOfNode)
		if err != nil {
			return nil, UsageError{fmt.Sprintf("--rendezvous %s: %v", text, err)}
		}
		out = append(out, host)
	}
	return out, nil
}

// hostPort adds the usual port to a host without one.
func hostPort(text, usual string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), usual
	}
	if host == "" || strings.ContainsAny(host, " /@?") {
		return "", fmt.Errorf("want HOST:PORT")
	}
	if _, err := net.LookupPort("udp", port); err != nil {
		return "", fmt.Errorf("%q is no port", port)
	}
	return net.JoinHostPort(host, port), nil
}
