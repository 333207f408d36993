package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

// accessDefault is what a request says of a member that shall have no grant.
const accessDefault = "default"

// grants returns which grants a request changes.
func (a *nodeAPI) grants(creator p2p.ID, change *api.Grants) (map[p2p.ID]string, error) {
	if change == nil {
		return nil, nil //nolint:nilnil // none
	}
	out := map[p2p.ID]string{}
	for text, access := range *change {
		id, err := p2p.ParseID(text)
		if err != nil {
			return nil, fmt.Errorf("%w: body: field grants: %w", errInvalid, err)
		}
		if access == accessDefault {
			out[id] = ""
			continue
		}
		switch _, is := a.node.Member(id); {
		case !p2p.IsAccess(access):
			return nil, fmt.Errorf("%w: body: field grants: %.20q: write, read, none or default", errInvalid, access)
		case id == creator:
			return nil, fmt.Errorf("%w: body: field grants: %s shares the folder, and can always change it", errInvalid, id.Short())
		case !is:
			return nil, fmt.Errorf("%w: body: field grants: %s is not a member", errInvalid, id.Short())
		}
		out[id] = access
	}
	return out, nil
}

// decides reports whether this node may change who may do what with a folder.
func (a *nodeAPI) decides(creator p2p.ID) bool {
	self := a.node.ID()
	m, is := a.node.Member(self)
	return creator == self || is && m.Role == member.RoleAdmin
}

// grantsShown returns the grants of a folder that people here see: all, where they could
// change them, and otherwise their own.
func (a *nodeAPI) grantsShown(all p2p.Grants, creator p2p.ID) p2p.Grants {
	if a.decides(creator) {
		return all
	}
	self := a.node.ID()
	return slices.DeleteFunc(slices.Clone(all), func(g p2p.Grant) bool { return g.Member != self })
}

// apiGrants lists grants by name.
func (a *nodeAPI) apiGrants(all p2p.Grants) []api.Grant {
	out := make([]api.Grant, len(all))
	for i, g := range all {
		out[i] = api.Grant{Node: g.Member.String(), Access: api.Access(g.Access)}
		if m, is := a.node.Member(g.Member); is {
			out[i].NodeName = m.Name
		}
	}
	slices.SortFunc(out, func(a, b api.Grant) int {
		return cmp.Or(strings.Compare(a.NodeName, b.NodeName), strings.Compare(a.Node, b.Node))
	})
	return out
}
