title Indirect replication: those who keep a record see to its copies
# The lecture's example: nodes at the places 1, 2 and 4, and a record at 4. Near is what has a
# small exclusive or: 4 is at distance 0, 1 at distance 5, 2 at distance 6.
#
# 0-root: only the nearest node is responsible, and sends copies to the others. To begin with
# Ada is alone, and has the record.

root zero
replicas 3
node Ada position 1
put Ada #4 "hello"
show copies #4

# Ben comes, at 2. Ada, the nearest, gives him a copy. Then Cleo comes, right at 4: now she is
# the root, and gets the record.
node Ben position 2
repair
node Cleo position 4
repair
show copies #4
expect keeps #4 Cleo Ada Ben
expect copies #4 3

# 1, 1, 1, as in the lecture. There, the opposite order of arrival gave 1, 0, 1 at first: Ada
# handed responsibility to the new root, who did not know that Ben was there. Here everybody
# knows all members. Another record, at 5, which Ada has alone; then Cleo comes, and Ben after
# her:
crash Ben
crash Cleo
put Ada #5 "good morning"
return Cleo
repair
show copies #5
return Ben
repair Cleo
show copies #5
expect copies #5 3
