// Package lesson is one door to all stories that nodes play to people: of the distributed
// table (package dht/story), of Paxos and of Raft (packages paxos/lesson and
// paxos/raftlesson), and of routers (package nat/lesson). Each shows who sends what to whom, and what comes of it.
package lesson
