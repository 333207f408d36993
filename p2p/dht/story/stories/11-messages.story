title Messages, and the link that stays
# Data can go from one node to another past the table. The first message opens a link, with a
# handshake in which both prove who they are. It stays: the next message uses it, and so does
# everything else, in both directions.

node Ada
node Ben
node Cleo
links
send Ada Ben "hello"
links
expect links 1
send Ada Ben "are you still there?"
links
expect links 1
send Ben Ada "yes, on the same link"
expect links 1

# The table uses the same links.
put Ada k "something"
links
expect links 2
get Ben k
expect links 3

# Two are cut off from each other: their link ends. With the way back a new one is opened.
cut Ada Ben
send Ada Ben "hello?"
expect status unreachable
get Ada k
expect value "something"
mend Ada Ben
send Ada Ben "hello again"
expect links 3
links
