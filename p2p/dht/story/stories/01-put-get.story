title Put and get
# Eight computers keep a table together. Each stands somewhere in a space of 256 bits; a record
# has a place there too, the hash of its name. The three that stand nearest to it keep it.

nodes 8
who greeting
# Ada puts. She knows all members, and so whom to send it to: there is nothing to look up, and
# it takes one round. What each of the three answers is shown; what comes first may be Ada
# herself, who needs no message to keep something.
put Ada greeting "hello"
expect status ok
expect rounds 1
expect copies greeting 3

# Whoever asks finds it, with one question to each of the three.
get Hana greeting
expect value "hello"
get Ben greeting
expect value "hello"
get Ben farewell
expect nothing

# The last writer wins. Everybody signs what he writes.
put Cleo greeting "good morning"
get Hana greeting
expect value "good morning"

# One who wants to be the first can say so.
put Dan greeting "mine" absent
expect status not_absent
get Hana greeting
expect value "good morning"

# A set takes everything that is added to it, each once: the name of a value is its hash.
add Ada fruit "apple"
add Ben fruit "pear"
add Cleo fruit "apple"
get Dan fruit
expect values 2
# A digest says what is there without sending the values.
digest Dan fruit

# A record can have an end. It is never served after it.
put Ada lunch "at noon" ttl 10s
wait 9s
get Ben lunch
expect value "at noon"
renew Ada lunch ttl 10s
wait 9s
get Ben lunch
expect value "at noon"
wait 1s
get Ben lunch
expect nothing

# What is removed leaves a mark, so that an old copy does not bring it back.
remove Ben greeting
get Ada greeting
expect nothing
