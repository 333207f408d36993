title n-root: each of those who keep a record is responsible
# With 0-root a copy that is lost waits for the nearest node to notice. With n-root, which is
# the default here, any two who should have a record compare, and bring each other in line.
# The same nodes, at 1, 2 and 4, and a record at 4.

root every
replicas 2
node Ada position 1
put Ada #4 "hello"
node Ben position 2
repair
node Cleo position 4
repair
# Two copies are wanted, and three are there for a moment: Ben gives his away when both who
# are nearer have it.
show copies #4
expect keeps #4 Cleo Ada
expect copies #4 2

# The nearest one fails. One copy is left, and whoever has it makes another.
crash Cleo
show copies #4
expect copies #4 1
repair Ada
show copies #4
expect keeps #4 Ada Ben
expect copies #4 2

# Cleo returns with what is on her disk. Meanwhile the record has changed: she gets the new
# one, and Ben's copy goes.
put Ben #4 "good morning"
return Cleo
repair
show copies #4
get Cleo #4
expect value "good morning"
expect copies #4 2
