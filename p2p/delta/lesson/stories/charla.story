# The worked example of the talk. Run it: shoal delta explain --story charla
title: The word of the talk
block: 2
old: charla
new: gocharla

One computer has the word "charla", another one "gocharla". The first one cuts
its word into blocks of two bytes and sends two sums of each, but not the word.

The other one looks at every two bytes of its own word. The weak sum says which
of them are worth a second look: a is the sum of the bytes, b counts the first
one twice, and the sum is written b before a. All sums have eight hexadecimal
digits, as in the talk: four of b, four of a.

[1] g is the byte 67 and o is 6f, so that a is 67 + 6f = 00d6 and b is
2 × 67 + 6f = 013d: the sum is 013d00d6. No block has it.

[2] Rolling: g leaves and c, which is 63, enters. a becomes 00d6 - 67 + 63 = 00d2,
and b becomes 013d - 2 × 67 + 00d2 = 0141: the sum is 014100d2. No block has it.

[2] 406019b is not the sum of any two bytes, though the slides of the talk show
it for this window: that is a slip. No byte is more than ff, so the largest sum
that two bytes have is 02fd01fe, and 0406019b is above that.

[3] The first match. From here the window jumps by a whole block, and the sum
is computed anew.

[5] All blocks are found, one after the other: they are one copy. Two bytes
were literal. The sums alone are longer than the word, though: the method pays
for long files, where a block has thousands of bytes and its sums have eight.
