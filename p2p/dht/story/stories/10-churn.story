title Nodes come and go
# Twelve nodes and three copies of each record. Some fail without a word, others come.

nodes 12
put Ada a "alpha"
put Ben b "beta"
put Cleo c "gamma"
put Dan d "delta"
put Eve e "epsilon"

crash Finn
crash Kim
repair
get Ada a
expect value "alpha"
get Ada e
expect value "epsilon"
expect copies a 3
expect copies b 3
expect copies c 3
expect copies d 3
expect copies e 3

# New ones take over what they stand nearest to, and those who need not keep it any more drop
# it when all others have it.
node Mia
node Noa
node Ole
repair
expect copies a 3
expect copies b 3
expect copies c 3
expect copies d 3
expect copies e 3

# One who leaves in order hands over what it has before it goes: no moment with fewer copies.
leave Ada
expect copies a 3
leave Ben
expect copies b 3
get Mia b
expect value "beta"

# One who is only away comes back with an old copy. It is brought up to date, and does not win.
who c
crash Jon
put Noa c "GAMMA"
return Jon
repair
get Jon c
expect value "GAMMA"
expect copies c 3

# There is a limit: when all three fail before anybody has noticed, the record is gone.
# Five or more replicas make that rarer, and nothing makes it impossible.
put Noa z "omega"
who z
crash Eve
crash Leo
crash Jon
repair
get Ole z
expect nothing
