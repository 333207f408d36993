title: The leader fails
nodes: A B C

A is leader, and fails before anybody else has the entry that it was asked to add.
B is elected in a new term; what A alone had is replaced when A returns. A client
that A has not answered does not know: here its word is lost.

[100] A writes to its own log, and nobody hears of it.

[200] B and C can elect a leader without A: two of three. Until then nothing is
written: the pause of an election, which Paxos does not know.

[400] A returns, and wants to lead again. The others refuse: an entry of term 2 is newer
than all that A has. Only who has every committed entry can be elected.

[450] B leads. A learns of it, throws away "salt", which was never committed, and gets
what it has missed.

0: A waits
50: A adds tea
95: A cuts B
95: A cuts C
100: A adds salt
130: A fails
200: B waits
300: B adds cake
400: A returns
400: A joins B
400: A joins C
405: A waits
520: B beats
600: end
