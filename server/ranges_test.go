package server

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestRanges: an answer is exact and says how it came about; lists are lists, also those that
// have nothing in them.
func TestRanges(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	call(t, s, post, "/api/ranges", `{"name":"lecture","bits":3,"leaf_bits":1,"capacity":2,"via":["dst","pht","buckets"]}`, 200, nil)
	var put api.RangeInserted
	call(t, s, post, "/api/ranges/lecture", `{"entries":[{"key":1,"value":"test"},{"key":2,"value":"hallo"},{"key":3,"value":"world"},{"key":5,"value":"sys"},{"key":7,"value":"communication"}]}`, 200, &put)
	if put.Stored != 5 || len(put.Items[2].Via[0].Full) != 2 {
		t.Errorf("%+v", put)
	}
	for _, via := range []string{"dst", "pht", "buckets"} {
		var a api.RangeAnswer
		call(t, s, get, "/api/ranges/lecture?from=1&to=5&via="+via, "", 200, &a)
		var got []string
		for _, e := range a.Items {
			got = append(got, *e.Value)
		}
		if strings.Join(got, " ") != "test hallo world sys" || a.Partial || len(a.Segments) < 3 {
			t.Errorf("via %s: %v, %+v", via, got, a.Segments)
		}
		for _, nothing := range []string{"from=6&to=6", "from=5&to=2"} {
			body := call(t, s, get, "/api/ranges/lecture?"+nothing+"&via="+via, "", 200, nil).Body.String()
			if !strings.Contains(body, `"items":[]`) || strings.Contains(body, "null") {
				t.Errorf("via %s, %s: %s", via, nothing, body)
			}
		}
	}
}
