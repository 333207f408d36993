// Package paxos is a register that several nodes change at the same time: all agree on
// one order of its changes, each of which is made once and sees all before it
// (linearizable). It is CASPaxos (Rystsov, "CASPaxos: Replicated State Machines without
// logs", 2018, arXiv:1802.07000), with configurations that have epochs.
//
// # Terms
//
// Acceptors keep the value; any majority of them will do, so that of 2F+1 acceptors F may
// be away. A proposer changes it in a round, which has a ballot, in two phases. Prepare:
// an acceptor promises to accept nothing with a smaller ballot, and tells what it has
// accepted. From a majority of promises the proposer takes the value with the greatest
// ballot, and applies a change to it. Accept: an acceptor that has not promised for a
// greater ballot accepts the new value. Once a majority has accepted it with one ballot,
// it is chosen. Whoever needs to know that it was chosen is a learner; here that is the
// proposer, which returns. With an accept an acceptor also promises for the proposer's
// next ballot, so that the next round of the same proposer needs one round trip.
//
// [State.Answer] is the acceptor and [Proposer] the proposer, both without I/O and clock.
// [Acceptor] and [Register] are what puts them to work. A read is a change that changes
// nothing.
//
// # Why it is right
//
// Claim: if a value was chosen with ballot b, then a round with a greater ballot b' that
// proposes anything found a value with a ballot of b or more. So each proposed value
// descends, change by change, from all that were chosen before it, and none is lost.
//
// Proof by induction over b'. Let e and e' be the epochs of b and b'; e ≤ e', as ballots
// are ordered by epochs first.
//
// e = e': both rounds have the same acceptors. A majority accepted b, a majority promised
// for b', and one acceptor did both. It accepted first, or it would have refused. What it
// told with its promise was b, or what it accepted after that.
//
// e < e': if one of those who promised had accepted something in e', that is greater than
// b. Otherwise the proposer did not go on before it had the promises of a majority of the
// acceptors of e'-1 as well (Config.Joint, Proposer.prepared). If e'-1 = e, one of those
// accepted b, as above. If e < e'-1: the proposer knew the configuration of e' because a
// value that names it was chosen in e'-1, with a ballot greater than b and less than b';
// that one was found, or a greater one, by the case before.
//
// # Epochs
//
// The acceptors are replaced by a change of the value: it names the next configuration
// (Value.Next). That closes the epoch: a value that names one is proposed again only as it
// is, once at least (see "Who is believed"), so that, by the claim, all values that are chosen afterwards in this epoch are the
// same one, and there is exactly one next configuration. Once it is chosen, which takes a
// majority of the old acceptors, any proposer can go on in the next epoch, and the first
// round of that takes the value over, with promises of majorities of both sets and the
// acceptance of a majority of the new. Only then the old ones are told that they are
// retired, and forget the value, but never that there is a newer epoch. Whoever comes to
// them is sent on; an acceptor that knows of a newer epoch refuses everything of those
// before, since its ballots are greater.
//
// So the change is one at a time; a proposer that fails in the middle blocks nobody,
// since the next one does what is left; and nothing depends on how many acceptors there
// were: the paper's rule that an even number must not be taken for the next odd one with
// one of them away, without a rescan, is kept because the whole value is taken over in
// each change.
//
// # Who begins
//
// Nothing in the proof lets two nodes disagree about epoch 1. "The nearest five that I
// know of" is no configuration: two nodes that see different members would have majorities
// that do not meet, and no protocol between those ten can find that out. Therefore the
// first configuration of a register is itself the value of a register, its entry in the
// [Directory], and is written there once: who comes second gets what the first has
// written ([Directory.Locate]). By the claim, all nodes that ever get a configuration of
// epoch 1 get the same one, whatever they see and propose.
//
// The directory's own registers are pages of a tree ([Page]): each has the entries of a few
// registers, and where it is full the first configurations of the pages below it, of which
// the register's key chooses one. An entry stays on its page, and a page that has children
// gets no entries any more: so whoever looks for a register takes the same way, and comes to
// the page that has its entry, or to one that has room for it and is the only one where it
// can ever be entered. A page below begins as its parent says, once for all, like any register.
//
// What remains is the first page, the root. Everybody must have the same configuration of
// epoch 1 for it: from something that cannot differ between the members of one network, such
// as its first statement, which names the founder; never from a view of who is there. That
// is one acceptor, which can be off. But the root is a register as well: the founder gives it
// to several as soon as they are there, by an ordinary change of epoch, and from then on a
// majority of those does without him. Nothing else is agreed upon by him, not even who they
// are to be: of two who try, by the proof, one succeeds. Who knows epoch 1 only asks members
// for a newer one, of which any will do that was decided: the claim needs no more. As long as
// nobody but the founder has the root, a new register needs him; two computers cannot
// have it otherwise, as one of them alone is no majority that the other one's could meet.
//
// A majority of the acceptors of a page must be there whenever a node uses a register for
// the first time of which no acceptor near to it knows, and only then.
//
// Acceptors guard the rule: one that knows a configuration for an epoch refuses every
// other one, and the proposer ends with [ErrConfig].
//
// # What must hold
//
// An acceptor remembers. What a Store has said to be durable must be, and a disk that was put
// back to an earlier time makes a liar out of an acceptor. It cannot know that by itself, but
// each promise was made to somebody. So a store counts its changes ([Age]), an acceptor says
// with each answer, and with each request of its own proposer, how many there were, and
// others remember the largest number and say it with each request. A node that starts asks
// all that it can reach before it answers anything, and its proposer asks its own acceptor
// before any other one, so that whoever is asked knows of what the node has promised itself.
// An acceptor that is told more than it knows begins a new life ([Age.Renewed]): a
// configuration means an acceptor in one life only (Config.Lives), and what it was in an
// earlier one is for all others an acceptor that is gone for ever. In a later epoch it can be
// made an acceptor again, which knows nothing and whose promise counts for nothing in the
// epoch before (Config.carriers).
//
// That finds all that was forgotten if those who heard it can be asked before the acceptor
// answers somebody else, and the acceptor's messages of before its disk was put back have
// arrived or are lost. A promise of which only those know who are off comes out when they
// return; what was done wrong until then stays. To exclude that, an acceptor would have to
// wait for most of the others of each of its registers after each start, and three computers
// of which one is off could not start another one. A disk that was lost brings a new ID.
//
// Acceptors tell the truth. Messages may be lost, late, doubled and in any order, clocks may
// be wrong, everybody may fail at any time, and proposers may lie (see "Who is believed"). But of
// the acceptors of a register each majority is believed, and an epoch is what its acceptors
// decide: who is made one by an ordinary change, and lies then, can break what the others keep.
//
// # Who is believed
//
// A proposer coordinates; it decides nothing that acceptors could not check. What an acceptor
// says to it is a [Vote], which is signed: what it has promised, and accepted, of which register,
// with which configuration. With each accept the proposer shows the promises of a majority for its
// ballot, or of two in the first round of an epoch, and the head of the value that it found
// ([Proof]). An acceptor looks for the greatest ballot among the votes by itself, and accepts
// nothing but what follows from a value that has it: the same, that one with the next configuration, or
// one change more. So one who has no promises, shows too few, or those for another ballot,
// register, configuration or life, or leaves out what it found, is refused with [ErrNoQuorum].
//
// One lie is left that no acceptor can see alone: several values with one ballot, each of which
// follows from what was found. It harms nobody but the liar. Let b be the ballot of a value that
// an honest proposer has had chosen, and so the only one with b. By the claim's induction every
// value that is proposed with a greater ballot descends from it, also where a ballot has several:
// each shows a majority, in which somebody had b or a greater one, and follows from a value of
// the greatest ballot there, of whatever values that has. What the liar itself took for chosen may
// be gone. But who goes on in the next epoch relies on what somebody else had chosen, and so on
// one value. Therefore a value that closes an epoch is accepted twice, and is sealed when an
// accept shows that a majority has accepted it before, with the greatest ballot. Each acceptor
// has one vote for a ballot, so that with one ballot one value at most is sealed; where one is,
// nothing else follows; and once a majority has accepted it sealed, each later majority has somebody
// who has. So an epoch has one next configuration. It costs one round trip more.
//
// That an epoch was decided is shown by a [Step]: the sealed votes of a majority of the acceptors
// of the epoch before. An acceptor that knows an older epoch goes from one to the next and
// believes no other, and so does a proposer that is told of a newer one. Who was away for many
// epochs asks for the steps ([Missed]); acceptors keep them. And that others have the value, so
// that the one who leaves may forget it, is shown by their votes.
//
// An acceptor that knows nothing of a register asks the directory who its acceptors are
// ([Acceptor.Begin], [Directory.Decided]), and that of the root goes from epoch 1, which everybody
// knows, by steps.
//
// What a member may do, it may do with bad intent: change a value, replace acceptors by others,
// also by itself alone, enter acceptors of its own for a register that has none yet, or note a
// later epoch in the directory that was not decided, which misleads those who come new. Each of
// these is a change that says who has made it. A liar cannot make a register unusable by large numbers
// (MaxJump), exceed the bounds of a value and of a configuration, or change a value as
// somebody else. Who must not trust the writers signs what is in the value.
//
// # Exactly once
//
// A change whose proposer hears nothing may have been made ([ErrUnknown]), and may even be
// made later, by the next proposer that finds it at one acceptor. To make it again blindly
// would make it twice. So each change has an ID, a value carries those of its last Window
// changes, and one that is among them is not made again; and since the change knows from
// which version on it can be there, one that comes too late is told so ([ErrForgotten])
// instead of being made.
//
// # Deletion
//
// A deletion is a change to a value that does not exist: a tombstone, of about a kilobyte
// with the changes that it remembers. It stays. The paper removes tombstones in four steps,
// of which one has to reach every proposer that ever was, to make it forget its promises
// and count on from a greater ballot; that cannot be done where proposers are people's
// computers, some of which are switched off for months. Without that step a late accept
// brings a deleted value back (lost delete), or a value that was written anew loses against
// an old ballot (lost update). Here neither can happen, as an acceptor never forgets a
// ballot. The price is that a register that was ever used costs its acceptors a row; a
// Store bounds their number ([ErrFull]).
package paxos
