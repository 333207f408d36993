title: A leader is elected
nodes: A B C

All begin as followers. One of them has waited in vain for a leader: it becomes a
candidate and asks the others for their votes. Paxos has no leader: any proposer
may begin at any time, and the ballot takes the place of the term.

[10] RequestVote is the Prepare of Raft. Who votes in a term does not vote for
anybody else in it, and knows of nothing older.

[20] Two of three are a majority. The new leader begins its term with an empty
entry.

[100] A client's word becomes an entry of the log. AppendEntries is the Accept!.

[120] A majority has the entry: it is committed. The others learn that with the next
message.

0: A waits
100: A adds tea
150: B adds cake
250: A beats
300: end
