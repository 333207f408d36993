// Package node assembles one shoal node: an identity, a place in a network,
// links to the other members, shared folders and the search over all of them.
// It is the API for programs that embed a node.
//
// The zero Options make a node that lives in memory and listens on loopback:
//
//	n, err := node.Start(ctx, node.Options{})
//	defer n.Close()
//
// Two nodes become members of one network by an invitation ([Node.Invite],
// [Node.Join]); from then on each finds the other by itself. What one of them
// shares ([Node.AddFolder], [Node.AddDocument]) all of them find
// ([Node.Search]). Nodes of one process share nothing: any number may run.
package node
