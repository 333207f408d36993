title Sybils in a closed network
# In a closed network a member is admitted by another one, who draws a number. The place is the
# hash of the network, of that number and of the member's key: who makes keys does not know
# the number, and who draws the number signs the admission. Nobody chooses his place.

network closed
replicas 3
nodes 8
put Ada news "all is well"

# The attackers grind as before. It does not help: they are put where chance wants.
grind Mallory 500 news
grind Mandy 500 news
who news
lie Mallory Mandy news "attack, attack, attack!"
get Hana news majority
expect value "all is well"

# The attack is not impossible, it costs admissions in place of keys. Each of them is a
# person's decision, which everybody sees, and can be taken back.
admissions news
expect needs 5
