title A prefix hash tree (PHT), and what each way costs
# The segment tree keeps an entry at each level that has room. The prefix hash tree keeps it
# once. Again keys are 1 to 8, a segment is to have two entries, and there is one copy of each
# record. The first bits of a key name a segment: the root [1..8] has no bits, [1..4] and [5..8]
# have one.

replicas 1
nodes 6
index trie pht keys 1..8 room 2

# Question: "test" is the first entry of all. At which segment will it be, and who else is asked?
insert Ada trie 1 test
expect kept [1..8]
insert Ada trie 2 hallo
expect kept [1..8]

# Question: the root has its two entries. "world" belongs to key 3. Where does it go, and what
# becomes of "test" and "hallo"?
insert Cleo trie 3 world
expect refused [1..8]
expect kept [1..4]
# The root is split: it gets a mark, and what comes later goes to one of its halves. In the paper
# the old entries move down. Here they stay, because they are signed by those who have put them,
# who need not be here. So nothing is ever on its way where a question could miss it.
insert Cleo trie 5 sys
expect kept [5..8]
insert Cleo trie 7 communication
expect kept [5..8]
show index trie

# Question: Ben asks for the keys 1 to 5. Whom does he ask first, and how does he learn of the
# others?
range Ben trie 1..5
expect value test hallo world sys
expect rounds 2
range Ben trie 6..6
expect nothing

# Question: two insert at the same time, and [1..4] has room for one of them. Who is refused?
together
insert Dan trie 4 first
insert Eve trie 4 second
end
show index trie
# Nobody need be: how many entries a segment is to have is a wish. Whether it has refused one is a
# fact, for there is a mark. Answers depend on facts only.
range Finn trie 4..4
expect has first second
expect values 2

# Question: the keys 1 to 64 have six bits, and 33, 34 and 35 have the first four of them in
# common. How often must the root be split until a third one has a place?
index long pht keys 1..64 room 2
insert Ada long 33 a
insert Ada long 34 b
insert Ada long 35 c
expect refused [1..64]
expect kept [33..64]
# Once. A tree whose entries move down would be split five times, with all of them on the way.

# Now the same five entries in three ways. Buckets are the simplest: equal parts of the keys, that
# keep whatever comes.
index tree dst keys 1..8 leaf 2 room 2
index buckets buckets keys 1..8 leaf 2
insert Ada tree 1 test
insert Ada tree 2 hallo
insert Ada tree 3 world
insert Ada tree 5 sys
insert Ada tree 7 communication
insert Ada buckets 1 test
insert Ada buckets 2 hallo
insert Ada buckets 3 world
insert Ada buckets 5 sys
insert Ada buckets 7 communication

# Question: all three give the same answer. Which is the cheapest here? And if there were not 8
# keys but a thousand million?
range Eve tree 1..5
expect value test hallo world sys
range Eve buckets 1..5
expect value test hallo world sys
expect asked [1..2] [3..4] [5..6]
range Eve trie 1..5
expect has test hallo world sys
# With few keys buckets win: everybody knows where they are. With many, a range has thousands of
# buckets, all but a few of them empty, and one that is wide enough has everything. Trees are fine
# where the entries are, and coarse where there are none.
