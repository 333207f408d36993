package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

type connectCmd struct {
	To     string `arg:"" optional:"" name:"member|link" help:"Whom to link with: a member's name or ID, or an invitation (@FILE reads it). With --answer the offer; default: from the standard input."`
	Answer bool   `help:"Answer an offer that somebody has sent you, instead of making one."`
	JSON   bool   `name:"json" help:"Print the API's answers, one a line."`
}

// pastedLimit is more than any text of a handshake has.
const pastedLimit = 48 << 10

// Run makes an offer or answers one. The text alone goes to the standard output, what a
// person has to do with it to the standard error.
func (k connectCmd) Run(c *console) error {
	if k.Answer {
		return k.answer(c)
	}
	if k.To == "" {
		return UsageError{"connect: with whom? Give a member or an invitation, or --answer to answer an offer"}
	}
	body, err := k.whom(c)
	if err != nil {
		return err
	}
	var offer api.HandshakeOffer
	done, err := c.post("/api/handshakes", body, &offer, k.JSON)
	if err != nil {
		return err
	}
	if !done {
		fmt.Fprintf(c.Stderr, "Send this text to %s, where `shoal connect --answer` or the page answers it. It is good until %s.\n",
			oneLine(offer.To.Name), timeText(offer.Expires))
		fmt.Fprintln(c.Stdout, oneLine(offer.Offer))
		fmt.Fprintln(c.Stderr, "Then paste the answer here:")
	}
	err = k.finish(c, offer)
	if err != nil {
		c.giveUp(offer.Id)
	}
	return err
}

// whom reads the argument: a link, or else a member.
func (k connectCmd) whom(c *console) (api.HandshakeNew, error) {
	if strings.HasPrefix(k.To, "@") || strings.Contains(k.To, "://") {
		link, err := ReadLink(k.To, strings.NewReader(""))
		return api.HandshakeNew{Link: &link}, err
	}
	if _, err := member.ParseInvitation(k.To); err == nil {
		return api.HandshakeNew{Link: &k.To}, nil
	}
	id, err := c.member(k.To)
	return api.HandshakeNew{Member: &id}, err
}

// finish waits for the answer on the standard input, and then for the link.
func (k connectCmd) finish(c *console, offer api.HandshakeOffer) error {
	late := time.NewTimer(time.Until(offer.Expires))
	defer late.Stop()
	return c.pasted(late.C, func(text string) error {
		linked, err := k.use(c, offer, text)
		if err != nil {
			return err
		}
		return k.tell(c, linked)
	})
}

// pasted gives to use what comes over the standard input, until it takes something. A
// text may come in several lines. What is wrong with one is told, and the next awaited.
func (c *console) pasted(late <-chan time.Time, use func(text string) error) error {
	lines := c.lines()
	var text string
	var last error = outcome{errNoText, "the standard input has ended without a text"}
	for {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-late:
			return outcome{errNoText, "no answer came in time: make a new offer"}
		case line, more := <-lines:
			if !more {
				return last
			}
			if len(text) > pastedLimit || strings.Contains(line, "://") {
				text = "" // the next one
			}
			text += line
			if strings.TrimSpace(line) == "" || !strings.Contains(text, "://") {
				continue
			}
		}
		err := use(text)
		var p *problem
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &p) || p.Status == http.StatusGone || p.Status == http.StatusNotFound || !strings.HasPrefix(p.Code, "handshake"):
			return err
		case p.Code != "handshake_malformed": // then the rest may be on the next line
			c.complain(err)
			text = ""
		}
		last = err
	}
}

// use gives the node an answer, again and again as long as it may help.
func (k connectCmd) use(c *console, offer api.HandshakeOffer, answer string) (linked []byte, err error) {
	for {
		linked, err = c.call(http.MethodPost, "/api/handshakes/"+url.PathEscape(offer.Id), nil, api.HandshakeFinish{Answer: answer})
		var p *problem
		if err == nil || !errors.As(err, &p) || p.Code != "handshake_waiting" || !time.Now().Before(offer.Expires) {
			return linked, err
		}
		fmt.Fprintf(c.Stderr, "Not yet: %s. It goes on until %s.\n", oneLine(sentence(p.Detail)), timeText(offer.Expires))
	}
}

func (k connectCmd) tell(c *console, answer []byte) error {
	var linked api.HandshakeLinked
	if done, err := c.show("/api/handshakes", answer, &linked, k.JSON); done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "linked with %s: %s\n", oneLine(linked.Peer.Name), oneLine(linked.Path.Why))
	if linked.Network != nil {
		fmt.Fprintf(c.Stdout, "joined %s\n", oneLine(linked.Network.Name))
	}
	if linked.Words != nil && len(*linked.Words) > 0 {
		fmt.Fprintf(c.Stdout, "compare with the one who invited you: %s\n", oneLine(strings.Join(*linked.Words, " ")))
	}
	return nil
}

func (k connectCmd) answer(c *console) error {
	if k.To != "" && k.To != "-" {
		return k.answerTo(c, k.To)
	}
	fmt.Fprintln(c.Stderr, "Paste the offer here:")
	return c.pasted(nil, func(text string) error { return k.answerTo(c, text) })
}

func (k connectCmd) answerTo(c *console, offer string) error {
	var answer api.HandshakeAnswer
	done, err := c.post("/api/handshakes/answer", api.HandshakeToAnswer{Offer: offer}, &answer, k.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "Send this text back to %s, within ten minutes. The link then comes by itself: see `shoal peers`.\n", oneLine(answer.From.Name))
	fmt.Fprintln(c.Stdout, oneLine(answer.Answer))
	return nil
}

// errNoText: nobody has given the text that was waited for.
var errNoText = errors.New("no text")

// giveUp tells the node that nobody waits for a handshake any more. What has ended
// meanwhile needs no telling.
func (c *console) giveUp(id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*time.Second)
	defer cancel()
	last := *c
	last.ctx = ctx
	_, _ = last.call(http.MethodDelete, "/api/handshakes/"+url.PathEscape(id), nil, nil)
}

// lines are those of the standard input. Nobody can stop to read it: the goroutine
// ends with the input, or the program.
func (c *console) lines() <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		in := bufio.NewScanner(c.Stdin)
		in.Buffer(nil, 2*pastedLimit)
		for in.Scan() {
			select {
			case out <- in.Text():
			case <-c.ctx.Done():
				return
			}
		}
	}()
	return out
}
