title: A port that the router forwards
public: R S
homes: alice bob

Most routers at home do as they are asked: by UPnP, NAT-PMP or PCP. Then everybody reaches the port, and
nothing has to be punched.

[0] Before: S, to which alice has never sent anything, tries.

[100] Alice asks her router. It is asked again before the time is over, and gets the port back when the
program ends.

[200] A call back shows whether it is true: some routers say so and forward nothing, and some stand behind
another router.

[1000] Bob is behind the worst router. Question: will the two need a relay?

0: alice asks R
0: bob behind symmetric
30: S tries alice
100: alice maps
150: S tries alice
200: alice checks
900: bob asks R
1000: bob links alice via R
1600: end
