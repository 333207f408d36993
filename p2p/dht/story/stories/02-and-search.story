title What has both words
# A keyword index is a set for each word, of the texts that have it. Somebody looks for texts
# with two words. The simple way is to fetch both sets and to throw most of it away.

nodes 10
add Ada tea "Green tea is not fermented" padded 700
add Ben tea "Black tea is, and keeps for longer" padded 700
add Cleo tea "Tea and cake in the afternoon" padded 700
add Cleo cake "Tea and cake in the afternoon" padded 700
add Dan cake "A cake of nuts" padded 700
add Eve cake "A cake for those who wait" padded 700

get Hana tea
expect values 3
get Hana cake
expect values 3

# The other way asks for digests of both sets in one round: the names of what is there, which
# are hashes, with the signatures. Names that are in both are the answer, and only those
# values travel.
#
# Others put a Bloom filter of one set into the question for the other. It is smaller than a
# list, and is wrong now and then: candidates have to be looked at again. Here the names are
# exact.
and Hana tea cake
expect values 1
expect has Tea cake
expect rounds 2
and Hana tea coffee
expect nothing
