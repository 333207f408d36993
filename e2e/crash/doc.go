// Package crash tests what folder sync survives, with real processes on real file
// systems: kill -9, a power cut, a full disk, a disk that is taken away, a disk that
// cannot write, and directories that may not be written.
//
//	go test -tags fault ./e2e/crash                      # the short run
//	go test -tags fault ./e2e/crash -timeout 2h -long    # the long one
//
// Without the tag there is next to nothing to run: the nodes of these tests die at the
// points of package fault, and the run of all tests is not slowed down by them. Only
// TestDownload, of seeds, runs then too, with few kills and a short file.
//
// # What is judged
//
// A writer does random work in the directories of two of three nodes, in such a way
// that it knows exactly which contents it has destroyed itself on which disk: it
// never overwrites or deletes a name, but takes what is there away and reads it.
// From that follows what must hold whenever all nodes are at rest:
//
//   - what was once on a node's disk, and was not destroyed there by the writer, is
//     still there: in the tree or in the trash;
//   - what the writer destroyed nowhere is in the tree of every node;
//   - the trees are equal, and each node says so of the others.
//
// Of a large file it is also judged what has come over the network: what was there when
// the node died does not come again.
package crash
