title Similar words (FastSS)
# A hash tells nothing about what is similar: "greet" and "great" are at keys that have nothing to do
# with each other. FastSS makes of "similar" something that is equal: two words that differ in one
# letter are the same word once a letter of each has been deleted. There is one copy of each record, to
# keep this short.

replicas 1
nodes 8

# Question: Ada has "another great song". What is left of its words when one letter is deleted, or
# none? At how many keys are they all together?
publish Ada "another great song" at "another great song" similar 1
expect keys 22
expect rounds 2
# A word of n letters has n + 1 keys: 8 of "another", 6 of "great" and 5 of "song" are 19. Each leads
# to the word, and the words, three keys more, lead to the song. The lecture's program puts one
# after the other; here they are all in the same two rounds.

# Question: Ben types "greet". Which letters can be deleted, and how many different keys is that?
find Ben greet similar 1
expect value "another great song"
expect keys 5 2
expect rounds 2
# They are greet, reet, geet, gret and gree: it does not matter which e is deleted. One of the five
# has something, since "gret" is also left of "great". The first round leads from what is left to
# words, the second one from words to documents.

# Exactly as it was typed nothing is there.
find Ben greet
expect nothing

# Question: Cleo publishes another song with the word "great". How often is that word put at what is
# left of it?
publish Cleo "great songs" at "great songs" similar 1
find Dan greet similar 1
expect values 2
# Once for each node that has the word, and not for each of its documents: only words are at what
# is left of words. So a document is put at its own words only.

# Question: two words are wrong. How many rounds does that take?
find Dan "anothr sogn" similar 1
expect value "another great song"
expect rounds 3
# One for the words that are meant, whatever their number, and then two as for any two words: their
# filters, and what these let through. Two letters that have changed places, as in "sogn", are one
# edit: when one of them is deleted on each side, the same is left.
