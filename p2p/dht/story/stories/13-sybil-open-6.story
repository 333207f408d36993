title Sybils in an open network, six replicas
# The same attack where six keep a record.

network open
replicas 6
nodes 8
put Ada news "all is well"
grind Mallory 500 news
grind Mandy 500 news
who news
lie Mallory Mandy news "attack, attack, attack!"

# Four honest ones outvote the two.
get Hana news majority
expect value "all is well"

# It is only a matter of price: who can have two keys can have four.
grind Morgan 500 news
grind Mortimer 500 news
lie Mallory Mandy Morgan Mortimer news "attack, attack, attack!"
get Hana news majority
expect value "attack, attack, attack!"
