title Three who append at the same time
# A value says "start". Three add a word each, at the same time. With get and put, whoever
# writes last has not seen what the others wrote a moment before.

nodes 9
seed 7
put Ada plain "start"
together
append Ben plain " one"
append Cleo plain " two"
append Dan plain " three"
end
get Eve plain
expect values 1
expect lost one two three

# Versions (vDHT): a new one stands beside the old ones and says which it replaces. Nothing is
# overwritten, but without more ado the three replace the same version. The version has forked:
# each branch has one word only.
vput Ada forked set "start"
together
vput Ben forked append " one" optimistic
vput Cleo forked append " two" optimistic
vput Dan forked append " three" optimistic
end
get Eve forked
expect values 3

# The pessimistic put has two phases. It is prepared first, which nobody sees; a replica
# refuses what replaces a version that another one is about to replace. Who has a majority
# confirms. Who has not takes it back, reads again, and tries again: no word is lost.
vput Ada agreed set "start"
together
vput Ben agreed append " one"
vput Cleo agreed append " two"
vput Dan agreed append " three"
end
get Eve agreed
expect values 1
expect has start one two three
