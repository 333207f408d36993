package command

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

type dhtSendCmd struct {
	Member string        `arg:"" optional:"" help:"A member's name or ID; without it, --key says who."`
	Data   string        `arg:"" optional:"" help:"The message; @FILE is a file's content, - the standard input (default)."`
	Key    string        `placeholder:"KEY" help:"To whoever is responsible for this key."`
	Port   string        `placeholder:"NAME" help:"What the message is for."`
	Wait   time.Duration `default:"0" placeholder:"TIME" help:"Wait so long for an answer, at most 60s."`
	JSON   bool          `name:"json" help:"Print the API's answer."`
}

// Run sends a message.
func (s dhtSendCmd) Run(c *console) error {
	if s.Key != "" && s.Data == "" {
		s.Member, s.Data = "", s.Member // with a key the only argument is the message
	}
	if (s.Key == "") == (s.Member == "") {
		return UsageError{"dht send: to whom? MEMBER MESSAGE, or --key KEY MESSAGE"}
	}
	data, err := c.value(s.Data)
	if err != nil {
		return err
	}
	body := api.DataNew{Key: given(s.Key), Port: given(s.Port), WaitS: new(s.Wait.Seconds())}
	if s.Member != "" {
		id, err := c.member(s.Member)
		if err != nil {
			return err
		}
		body.To = &id
	}
	body.Data, body.DataBase64 = textOrBase64(data)
	var sent api.DataSent
	done, err := c.post("/api/dht/send", body, &sent, s.JSON)
	if done || err != nil {
		return err
	}
	switch {
	case !sent.Answered:
		fmt.Fprintf(c.Stdout, "%s has received it (%.1f ms)\n", nodeName(sent.ToName, sent.To), sent.TookMs)
	case sent.Data != nil:
		fmt.Fprintln(c.Stdout, Printable(*sent.Data))
	case sent.DataBase64 != nil:
		_, err = c.Stdout.Write(*sent.DataBase64)
	}
	return err
}

type dhtInboxCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run lists messages.
func (i dhtInboxCmd) Run(c *console) error {
	var in api.Inbox
	done, err := c.get("/api/dht/inbox", nil, &in, i.JSON)
	if done || err != nil {
		return err
	}
	if len(in.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No message waits for an answer.")
		return nil
	}
	var rows [][]string
	for _, m := range in.Items {
		text := "(bytes)"
		if m.Data != nil {
			text = *m.Data
		}
		rows = append(rows, []string{strconv.FormatInt(m.Number, 10), nodeName(m.FromName, m.From), m.Port, timeText(m.At), text})
	}
	return table(c.Stdout, []string{"N", "FROM", "PORT", "AT", "MESSAGE"}, rows)
}

type dhtReplyCmd struct {
	Number int64  `arg:"" help:"The message's number, from the inbox."`
	Data   string `arg:"" optional:"" help:"The answer; @FILE is a file's content, - the standard input (default)."`
}

// Run answers a message.
func (r dhtReplyCmd) Run(c *console) error {
	data, err := c.value(r.Data)
	if err != nil {
		return err
	}
	var body api.DataReply
	body.Data, body.DataBase64 = textOrBase64(data)
	_, err = c.call(http.MethodPost, "/api/dht/inbox/"+strconv.FormatInt(r.Number, 10), nil, body)
	return err
}
