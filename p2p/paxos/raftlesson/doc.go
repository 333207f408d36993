// Package raftlesson shows the messages of Raft (Ongaro and Ousterhout, "In Search of an
// Understandable Consensus Algorithm", 2014) on the stage of package lesson, beside those
// of Paxos: followers, candidates and leaders, elections, a log, and a leader that fails.
// What is shown is what go.etcd.io/raft/v3 does. shoal itself does not use Raft.
package raftlesson
