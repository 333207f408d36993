title: One proposer
acceptors: A B C
proposers: P
learner: L

P wants to add the word "tea" to a value that nobody has written yet. There are
three acceptors, so that two are a majority.

[0] Phase one. P takes a ballot, the first one of its own: 1.P. It asks all
acceptors to promise that they will accept nothing with a smaller ballot.

[20] Phase two. Two of three would be enough. Nobody has accepted anything, so
that P is free to propose its own value.

[40] A majority has accepted: "tea" is chosen, whatever happens from now on. P
learns it, and so does L, who only listens.

[100] The accept was a prepare for the next ballot, 2.P, as well. Therefore the
next change of P takes one round trip, until somebody else prepares a greater
ballot.

0: P adds tea
100: P adds cake
200: end
