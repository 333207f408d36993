title Both words, in three ways
# Two words have a thousand documents each: "nr1" has the numbers 0 to 999, and "nr2" has 800 to
# 1799. Who asks for both words wants the 200 numbers from 800 to 999. There is one copy of each
# record, to keep this short.

replicas 1
nodes 8
publish Ada 0..999 at nr1
publish Ada 800..1799 at nr2
# One place is to have 512 documents. What does not fit goes to the places of two halves, by
# the hash of the document: so nobody keeps all of a frequent word.

# The first way fetches everything, and compares it. Question: how many entries come, for 200 that
# are wanted?
find Eve "nr1 nr2" by lists
expect values 200
expect has 800 999
expect lost 799
expect lost 1000

# The second way asks those who keep "nr1" for a Bloom filter, which is a few bits for each
# document, and sends it to those who keep "nr2". They return what it lets through.
# Question: a filter is wrong now and then. May the answer be wrong as well? And what makes this
# way slow?
find Finn "nr1 nr2" by sequential
expect values 200
expect has 800 999
expect lost 799
expect lost 1000
# It asks how many documents each word has, so that the rarest one makes the filter, which has
# as many bits as pay. What came through the filter is looked for at "nr1" once more, so that nothing
# false is left. Each step waits for the one before: it has the most rounds.

# The third way fetches filters of both words at the same time, and then asks each word for what the
# other one's filter lets through.
# Question: nobody looks twice here. How are those found that a filter lets through by mistake?
find Gus "nr1 nr2" by parallel
expect values 200
expect has 800 999
expect lost 799
expect lost 1000
# What one word returns by mistake the other one does not have, so it is in one of the two lists
# only. A few entries more have come than 400.

# Question: in the lecture's program a filter has a fixed size, of 1263 bytes, which is made for 1000
# entries. What becomes of it when a word has more?
publish Ada 2000..2999 at nr1
find Hana "nr1 nr2" by parallel
expect values 200
# All its bits would be set in the end, and it would let everything through. Here half of the bits
# are set, however many documents there are: a filter is made by who keeps the documents, and has
# the size that fits them.
