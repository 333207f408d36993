title A tracker: update, query, get_seed, and what happens when it dies
# A seed is the text that describes a file: its name, its length and the hashes of its pieces. Whoever
# wants the file needs to know who has it. A tracker knows, because those who have it tell it.

nodes 8

# Ada has a lecture. Its seed names Hana as its tracker.
share Ada lecture.mp4 tracker Hana
# The update tells Hana what the seed is, and that Ada has all of it. And Ada puts a record into the
# table, at the hash of the seed's ID. It says that she has it; nobody else can write there in her name.

# Ben has the seed, too, but not the file. He says that he wants it, and asks who has it.
share Ben lecture.mp4 wanted tracker Hana
query Ben lecture.mp4
expect value Ada
expect status tracker
# Ben is a source now, too, though he has nothing yet: who downloads at the same time exchanges pieces
# with him as soon as he has some.
share Ben lecture.mp4 part tracker Hana
share Cleo lecture.mp4 wanted tracker Hana
query Cleo lecture.mp4
expect value Ada Ben

# Question: Ada's computer breaks. How does Hana know?
crash Ada
wait 30s
update Ben
update Cleo
# It does not. But those who are there say so again every 30 seconds. That all they have said still
# holds takes less than forty bytes, whatever they have. Three times nothing, and they are forgotten.
wait 30s
update Ben
update Cleo
wait 31s
update Ben
update Cleo
query Cleo lecture.mp4
expect value Ada Ben
# Hana has forgotten Ada. But the record in the table lives for ten minutes, since putting it costs
# more than an update. It is a hint: Cleo asks Ada before she counts on her, gets no answer, and leaves
# her alone.

# Ada comes back, and says so. (Who has just asked waits some seconds before asking again.)
return Ada
share Ada lecture.mp4 tracker Hana
wait 5s
query Cleo lecture.mp4
expect value Ada Ben

# Hana's computer is switched off and on. What she was told is on her disk, and still holds.
crash Hana
return Hana
share Dan lecture.mp4 wanted tracker Hana
query Dan lecture.mp4
expect value Ada Ben Cleo
# Cleo is named too, who has nothing yet: Hana knows who else is downloading, so that Dan begins with
# another part of the file than Cleo.

# Question: what if there is no tracker at all?
crash Hana
query Eve lecture.mp4
expect value Ada Ben
expect status table
get_seed Eve lecture.mp4
expect value lecture.mp4
# Nobody has noticed. Eve found Ada and Ben in the table and asked them what the seed is.

# Ada wants to share it no more. She says so, and does not wait for any time to be over.
withdraw Ada lecture.mp4
query Finn lecture.mp4
expect value Ben
