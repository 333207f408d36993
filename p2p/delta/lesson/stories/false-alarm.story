# Two blocks with one weak sum. Run it: shoal delta explain --story false-alarm
title: A false alarm
block: 3
old: catbabdog
new: catacadog

The sums a and b do not tell all blocks of three bytes apart. From "bab" to "aca"
the first byte falls by one, the second one grows by two, the third one falls by
one: a stays as it is. b counts the first byte three times and the second one
twice, and 3 × -1 + 2 × 2 + 1 × -1 is 0, so b stays as well. Both have the sum
024a0125.

[2] The weak sum 024a0125 is that of "bab". It costs a second look: the strong sum is
another one, and the window moves on by one byte, as if nothing had been known.
That is why there are two sums. The weak one is cheap and asked at every byte;
the strong one is asked only here.

[5] After three literal bytes the window is at a block again.
