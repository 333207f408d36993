title The lecture's segment tree (DST)
# A table has no order: where a record is says nothing about its key. Who wants all entries from
# key 1 to key 5 has to know where to look.
#
# Here are eight keys, 1 to 8. All of them are cut into halves, and the halves into halves again:
# seven segments on three levels. Each segment is a place in the table, the hash of its name. A
# leaf has two keys, and each segment is to have two entries, as in the lecture. There is one
# copy of each record, to keep this short; elsewhere there are three.

replicas 1
nodes 6
index lecture dst keys 1..8 leaf 2 room 2
show index lecture

# Question: Ada inserts "test" at key 1. At which segments will it be?
insert Ada lecture 1 test
expect kept [1..8] [1..4] [1..2]
# At each that contains its key, one of each level. First she asks what they have, then she
# puts, both times all at once: two rounds, however many levels there are.
insert Ada lecture 2 hallo
expect kept [1..8] [1..4] [1..2]

# Question: "world" belongs to key 3. Who has room for it? What would be lost if those who have
# none just forgot it?
insert Cleo lecture 3 world
expect refused [1..8] [1..4]
expect kept [3..4]
# Whoever is full refuses, and gets a mark that says so. The mark is a record too, and is there
# before Cleo hears that "world" is kept.
insert Cleo lecture 5 sys
expect refused [1..8]
expect kept [5..8] [5..6]
insert Cleo lecture 7 communication
expect refused [1..8]
expect kept [5..8] [7..8]
# Five entries, three segments to be asked for each: the lecture counts fifteen calls.
show index lecture

# Question: Ben asks for the keys 1 to 5. Which segments make up this range, as few as can be?
# And why must he ask two more?
range Ben lecture 1..5
expect value test hallo world sys
expect asked [1..4] [5..6] [1..2] [3..4]
expect rounds 2
# [1..4] and [5..6] make it up. [1..4] is full: it has refused "world", so its halves are asked
# instead. The program of the lecture gives six strings, because it takes what [1..4] has, and
# then takes it from its halves again. Here each entry comes once.

# Question: what is at key 6? The leaf is [5..6], and has one entry.
range Ben lecture 6..6
expect nothing
# The program of the lecture says "sys", which is at key 5: it gives all that a leaf has. Here who
# keeps the leaf gives only what is in the range.
range Ben lecture 2..7
expect value hallo world sys communication
# There, "test" of key 1 comes along.

# Question: the leaf [1..2] has two entries. Where does a third one go, and a fourth?
insert Dan lecture 1 third
insert Dan lecture 1 fourth
expect kept [1..2]
expect refused [1..8] [1..4]
range Eve lecture 1..2
expect has test hallo third fourth
expect values 4
# Below a leaf there is nothing, so a leaf refuses nobody. The program of the lecture loses the
# third value of a leaf, and the second one of a key.

# Question: Ben has been here before, and asks for the same again. Is he as slow?
range Ben lecture 1..5
expect rounds 1
# He remembers that [1..4] is full, and begins with its halves. Nothing depends on that: if he were
# wrong it would cost a round.

# Four are erased, from wherever they are. Question: [1..4] has room again, and nothing is below
# that it has not. Is its mark of use to anybody?
erase Dan lecture 1 third
erase Dan lecture 1 fourth
erase Ada lecture 2 hallo
erase Cleo lecture 3 world
wait 11m
range Finn lecture 1..4
expect value test
# Finn is the first to see it, and takes the mark away: what is full can become empty. For ten
# minutes marks stay, since somebody who has seen one may be about to put something below it.
range Finn lecture 1..4
expect value test
expect asked [1..4]
expect rounds 1
