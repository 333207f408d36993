title: Other acceptors
acceptors: A B C D E
begin: A B C
proposers: P Q

A is old and is to be replaced by D. The change is itself a value that the old
acceptors choose: it says who comes next, and closes the first epoch. Then the
value is taken over: promises of a majority of the old acceptors and of the new,
then acceptance by a majority of the new. Only now A may forget the value.

[100] P proposes that B, C and D come next.

[300] Q has been away and knows the first acceptors only. Those send it on.

0: P adds tea
100: P replaces B C D
300: Q adds cake
400: A fails
405: Q reads
500: end
