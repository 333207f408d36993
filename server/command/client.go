package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/shoal-p2p/shoal/server/api"
)

// errUnreachable: no node answers where one was expected.
var errUnreachable = errors.New("no node answers")

// answerTimeout is how long a verb waits for an answer. Joining takes longest:
// the node tries every way to the inviter first.
const answerTimeout = 90 * time.Second

// answerLimit bounds the size of an answer.
const answerLimit = 64 << 20

// problem is an answer that says what went wrong (RFC 9457).
type problem struct{ api.Problem }

func (p *problem) Error() string {
	text := sentence(p.Detail)
	if text == "" {
		text = sentence(p.Title)
	}
	if p.Hint != nil && !says(text, *p.Hint) {
		text += ". " + sentence(*p.Hint)
	}
	return text
}

// sentence leaves out the full stop, which the caller sets where one is due.
func sentence(text string) string { return strings.TrimRight(strings.TrimSpace(text), ".") }

// says reports whether every word of hint is in text already: then the hint would
// only repeat it. The short words do not count.
func says(text, hint string) bool {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	said := words(text)
	for _, w := range words(hint) {
		if len(w) > 2 && !slices.Contains(said, w) {
			return false
		}
	}
	return true
}

func (p *problem) exitCode() int {
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ExitUnauthorized
	case http.StatusNotFound:
		return ExitNotFound
	}
	if p.Code == "starting" || p.Code == "stopping" {
		return ExitUnreachable
	}
	return ExitError
}

// node is where the API answers and what it wants to see.
type node struct {
	base  *url.URL
	told  string // who said that it is there, for errors
	token string
}

// node finds the node that the verb is for: by flag or variable, by DIR/http, or
// at the default address. Who names a data directory means the node that runs
// with it, not whichever has the default address.
func (c *console) node() (node, error) {
	given := c.global.HTTP != "" && !portZero(c.global.HTTP)
	dir, err := c.global.dir(c.Getenv)
	if err != nil && !given {
		return node{}, err
	}
	var n node
	kept, missing := "", error(nil)
	if dir != "" {
		kept, missing = keptAddress(dir)
	}
	at := kept
	switch {
	case given:
		at, n.told = c.global.HTTP, "as given"
	case kept != "":
		n.told = "as " + filepath.Join(dir, addressFile) + " says"
	case c.global.Data != "":
		return node{}, nobody(dir, missing)
	default:
		at, n.told = DefaultHTTP, "the default"
	}
	if n.base, err = baseURL(at); err != nil {
		return node{}, err
	}
	n.token = c.global.Token
	// The token on disk goes to the node that put it there, or to this computer
	// when a person says that the node is there: never to another computer, nor
	// to whatever program happens to have the default port.
	if n.token == "" && dir != "" && (at == kept || given && loopback(n.base.Hostname())) {
		n.token = firstLine(filepath.Join(dir, tokenFile))
	}
	return n, nil
}

// keptAddress is what serve wrote into DIR/http.
func keptAddress(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, addressFile))
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line), err
}

// nobody says that no node is known to run with dir; err is why DIR/http was not
// read, nil if it is empty.
func nobody(dir string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return outcome{errUnreachable, fmt.Sprintf("no node runs with %s (start one: shoal --data %s)", dir, dir)}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return outcome{errUnreachable, fmt.Sprintf("no node is known to run with %s: %s cannot be read: %v", dir, filepath.Join(dir, addressFile), err)}
}

// baseURL reads an address as --http takes it, or a whole URL, such as that of
// one node of a lab (http://127.0.0.1:8080/n/2).
func baseURL(addr string) (*url.URL, error) {
	text := addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, UsageError{fmt.Sprintf("--http %s: not an address such as 127.0.0.1:8080", addr)}
	}
	// A node that listens everywhere is reached at this computer's own address.
	if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() == "" || err == nil && ip.IsUnspecified() {
		host := "127.0.0.1"
		if ip.Is6() && !ip.Is4In6() {
			host = "::1"
		}
		u.Host = net.JoinHostPort(host, u.Port())
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

func portZero(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == "0"
}

// client speaks to nodes only: it goes through no proxy, which would learn the
// token, and follows no redirect.
var client = &http.Client{
	Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
	Timeout:       answerTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call sends body, if it is not nil, and returns the answer as it came.
func (c *console) call(method, path string, query url.Values, body any) ([]byte, error) {
	return c.send(client, method, path, query, body)
}

// send is call by another client, which may wait longer.
func (c *console) send(by *http.Client, method, path string, query url.Values, body any) ([]byte, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	u := n.base.JoinPath(path)
	u.RawQuery = query.Encode()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.ctx, method, u.String(), content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if n.token != "" {
		req.Header.Set("Authorization", "Bearer "+n.token)
	}
	resp, err := by.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w at %s (%s): %w", errUnreachable, n.base.Host, n.told, cause(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, u, err)
	case len(answer) > answerLimit:
		return nil, fmt.Errorf("%s %s: the answer has more than %d bytes", method, u, answerLimit)
	}
	return answer, n.check(resp, answer)
}

// check tells an answer of a node from a problem, and from what another program
// at this address says.
func (n node) check(resp *http.Response, answer []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ok := resp.StatusCode >= 200 && resp.StatusCode <= 299
	switch {
	case kind == "application/problem+json":
		p := new(problem)
		if err := json.Unmarshal(answer, &p.Problem); err == nil && p.Code != "" {
			p.Status = resp.StatusCode
			return p
		}
	case ok && (kind == "application/json" || (kind == "text/plain" || kind == "application/octet-stream") && resp.Header.Get("Shoal-Position") != "" || len(answer) == 0):
		return nil
	}
	return fmt.Errorf("%w at %s (%s): what is there answers %s, not as a shoal node does", errUnreachable, n.base.Host, n.told, resp.Status)
}

// cause leaves out method and URL, which the caller says better.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// get fetches path into v and, when asJSON, prints the answer as it came and
// returns done.
func (c *console) get(path string, query url.Values, v any, asJSON bool) (done bool, err error) {
	answer, err := c.call(http.MethodGet, path, query, nil)
	if err != nil {
		return false, c.showProblem(answer, err, asJSON)
	}
	return c.show(path, answer, v, asJSON)
}

// post sends body to path; the rest is get's.
func (c *console) post(path string, body, v any, asJSON bool) (done bool, err error) {
	answer, err := c.call(http.MethodPost, path, nil, body)
	if err != nil {
		return false, c.showProblem(answer, err, asJSON)
	}
	return c.show(path, answer, v, asJSON)
}

// showProblem prints a refusal of the API as it came, for programs, which tell refusals apart by their
// code. It returns err, which people read.
func (c *console) showProblem(answer []byte, err error, asJSON bool) error {
	var p *problem
	if asJSON && errors.As(err, &p) {
		if _, werr := fmt.Fprintf(c.Stdout, "%s\n", asciiControls(bytes.TrimSpace(answer))); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

func (c *console) show(path string, answer []byte, v any, asJSON bool) (done bool, err error) {
	if err := json.Unmarshal(answer, v); err != nil {
		return false, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if asJSON {
		_, err := fmt.Fprintf(c.Stdout, "%s\n", asciiControls(bytes.TrimSpace(answer)))
		return true, err
	}
	return false, nil
}
