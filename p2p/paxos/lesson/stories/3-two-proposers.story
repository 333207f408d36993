title: Two proposers at the same time
acceptors: A B C
proposers: P Q
learner: L

P prepares, Q prepares with a greater ballot, and the acceptors refuse P's accept.
Each could go on overtaking the other for ever: that is why a proposer that was
refused waits for a random time before it tries again.

[30] P's accepts come too late: everybody has promised 1.Q.

[50] Q is through. P waits for a moment, takes a greater ballot, and finds what Q
has added. None of the two words is lost.

0: P adds tea
12: Q adds cake
400: end
