title: A failed proposer
acceptors: A B C
proposers: P Q
learner: L

P fails in the middle of phase two: its accept has reached one acceptor only.
Nobody needs to wait for P, and what P has begun is not lost.

[5] P will lose B and C just before phase two.

[25] Now "tea" is accepted by one of three. It is not chosen, but may be, later.

[100] Q knows nothing of P. It begins with its own first ballot. A refuses: with P's
accept it has promised P's next ballot. C promises, and knows of nothing. B, which
is switched off, does not answer. One promise is no majority, so that Q waits.

[2000] A round that takes two seconds has failed. Q takes a ballot that is greater
than all that it has heard of. Now A promises, and tells what it has accepted: "tea".

[2150] Q must go on with "tea". It does what P has begun, and adds its own word.
If A had been off in place of B, B and C would have known nothing and "cake" alone
would have been chosen. That is right too: nobody was ever told that "tea" was.

0: P adds tea
15: P cuts B
15: P cuts C
25: P fails
95: B fails
105: Q adds cake
3000: end
