# The worked example of the talk. Run it: shoal delta explain --story charla
title: The word of the talk
block: 2
old: charla
new: gocharla

One computer has the word "charla", another one "gocharla". The first one cuts
its word into blocks of two bytes and sends two sums of each, but not the word.

The other one looks at every two bytes of its own word. The weak sum says which
of them are worth a second look: a is the sum of the bytes, b counts the first
one twice, and the sum is written b before a, in hexadecimal digits.

[1] g is 67 and o is 6f, so that a is 00d6 and b is 013d. No block has this sum.

[2] Rolling: g leaves and c enters. a becomes 00d6 - 67 + 63 = 00d2, and b
becomes 013d - 2 × 67 + 00d2 = 0141. On the slides of the talk the sum of the
second window is 406019b. That cannot be: two bytes add up to 510 at most, which
is 01fe, and with the first one counted twice to 765, which is 02fd. Here b
would be 0406, so 406019b is not the sum of any two bytes.

[3] The first match. From here the window jumps by a whole block, and the sum
is computed anew.

[5] All blocks are found, one after the other: they are one copy. Two bytes
were literal. The sums alone are longer than the word, though: the method pays
for long files, where a block has thousands of bytes and its sums have eight.
