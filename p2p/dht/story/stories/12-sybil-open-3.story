title Sybils in an open network, three replicas
# In an open network anybody may come, and the place of a node is the hash of its key. Keys
# cost nothing: whoever wants a place makes many of them and takes the one that fits.

network open
replicas 3
nodes 8
put Ada news "all is well"
get Hana news majority
expect value "all is well"

# Two attackers, who work together, take places beside the record. Each of them has tried
# some hundred keys.
grind Mallory 500 news
grind Mandy 500 news
who news
lie Mallory Mandy news "attack, attack, attack!"

# A reader believes what most of the three say. Two of them are the attackers.
get Hana news majority
expect value "attack, attack, attack!"
