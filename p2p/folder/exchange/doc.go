// Package exchange keeps the folders of this node the same as those of the other
// members that have them: the shell around package replica.
//
// A [Service] has one goroutine for each folder, which owns its replica.Core and
// does all that changes it: what a scan has found, what others have sent, what a person
// asks. Besides, for each folder and each linked member,
//
//   - a stream of [IndexProtocol] that this node opened brings the member's entries,
//     in the order in which it came to know them, from where it was left off;
//   - one that the member opened takes this node's entries to it;
//   - streams of [FilesProtocol] bring contents: many small ones in one stream, of
//     large ones what they are made of, and then what of that is not here, from
//     several members at once (update.go, package assemble);
//   - streams of [PartsProtocol] say which chunks of a large content a member has that is bringing it
//     too, so that one file for many goes over the line of who has it about once (crowd.go asks, share.go
//     answers).
//
// # Who may do what
//
// The creator of a folder says in its signed offer what others may do. Nobody who may
// not read gets entries or contents, whoever keeps the folder; what members who may not
// write have made is refused by those who get it (replica.Core.Merge). Two replicas talk to
// each other only if both follow the same creator: the ID of a folder can be
// copied.
package exchange
