title Keywords, and two words at one key
# A table finds what is at a key, and people know words. So whoever has a document puts it at the
# hash of each of its words. There is one copy of each record, to keep this short.

replicas 1
nodes 8

# Ada has a document about the term "Communication Systems Group".
# Question: at how many keys does she put it, and how many rounds does that take?
publish Ada csg at "Communication Systems Group"
expect keys 3
expect rounds 2
# At three, one for each word. In the first round she asks what is there, in the second she puts,
# both times all words at once: a document of a thousand words takes no longer.

find Ben group
expect value csg
expect rounds 1
# Ben remembers another word, and writes it as he likes.
find Ben SYSTEMS
expect value csg
find Ben theory
expect nothing

# Two words: Ben asks for the documents of both, and compares them.
find Ben "communication systems" by lists
expect value csg
expect keys 2

# Question: can two words be at one key, so that there is nothing to compare? And does it matter
# in which order they are typed?
publish Cleo csg2 at "Communication Systems Group" pairs
expect keys 6
# The keys of two words are combined by XOR: each two of n words have one key more, n (n - 1) / 2 of
# them, which makes six keys of three words.
find Dan "communication systems" by pairs
expect value csg2
expect keys 1
find Dan "systems communication" by pairs
expect value csg2
# a XOR b is b XOR a, so the order is of no importance. Ada's document is not found in this way:
# she has not put it at pairs.

# Question: Dan asks for all three words. How many keys does he need?
find Dan "group systems communication" by pairs
expect value csg2
expect keys 2
# Two pairs have all three words. A document of 200 words would have 19900 pairs, and so shoal puts
# only the words of titles in pairs.
find Dan "systems theory" by pairs
expect nothing
