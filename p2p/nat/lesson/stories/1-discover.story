title: How do others see me?
public: R S
homes: alice bob

A computer at home has an address that means nothing outside. Its router writes another one on each
packet that leaves, and nobody tells the computer. So it asks: every node answers on its p2p port (STUN,
RFC 8489). Question: will two who are asked see the same?

[10] The first step: R answers with the address that it sees.

[30] Now all that "shoal netcheck" does. A fresh socket asks R, another port of R, and S. If all three see
the same, the router gives it one address for everybody, which can be told to others.

[200] The second step: who may send to that address? R tries from where alice has sent to, and from
another port, and S from an address that she never sent to.

[400] The third step: somebody calls the p2p port back from a port that it never sent anything to. At a
public computer that arrives. Who cannot be reached keeps relays, the fourth step.

[700] Bob's router is of another kind: each destination sees another address. Question: what is the
answer of R worth to anybody else?

0: alice asks R
690: bob behind symmetric
30: alice checks
700: bob checks
1500: end
