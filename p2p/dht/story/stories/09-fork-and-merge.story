title A fork is seen, and merged
# Two write a new version of the same one, and do not look out for each other.

nodes 7
vput Ada draft set "milk"
together
vput Ben draft append " bread" optimistic
vput Cleo draft append " eggs" optimistic
end

# Both are there. A get returns every head, that is, every version that no other replaces.
get Dan draft
expect values 2

# Dan writes one that replaces both. What it says is for people, or their programs, to
# decide: here, all words, each once.
vput Dan draft merge
get Eve draft
expect values 1
expect has milk bread eggs

# From here on there is one line again.
vput Eve draft append " tea"
get Ada draft
expect values 1
expect has milk bread eggs tea
