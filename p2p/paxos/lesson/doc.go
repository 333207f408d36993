// Package lesson shows the messages of Paxos to people: who sends Prepare, Promise,
// Accept! and Accepted to whom, what happens when a proposer fails, and what when two are
// at it at the same time. What is shown is what package paxos does, on a stage where each
// message takes ten milliseconds.
//
// A [Story] is a plain text file: people on the stage, what they do and when, and notes.
// The package raftlesson plays stories of Raft on the same stage.
package lesson
