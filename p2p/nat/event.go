package nat

// Changed: a check has found that this node is seen in another way than before.
type Changed struct {
	External  string    `json:"external"`  // empty: not known
	Mapping   Mapping   `json:"mapping"`   // empty: not known
	Filtering Filtering `json:"filtering"` // "unknown": not known
	Reachable *bool     `json:"reachable"` // null: not known
}

// Topic implements p2p.Event.
func (Changed) Topic() string { return "network.changed" }

func changed(r Report) Changed {
	c := Changed{Mapping: r.Mapping, Filtering: r.Filtering, Reachable: r.Reachable.Bool()}
	if r.External.IsValid() {
		c.External = r.External.String()
	}
	return c
}

// Bool is nil for not known.
func (t Truth) Bool() *bool {
	if t == "" {
		return nil
	}
	yes := t == Yes
	return &yes
}
