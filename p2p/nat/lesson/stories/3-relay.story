title: A relay, and the way out of it
public: R
homes: alice bob

Two routers of the worst kind: each gives every destination another address. The address that R sees is
not the one that bob would see, so that there is no hole to tell him of.

[110] Both try nevertheless. Question: do the addresses that they are told stand for anything?

[370] A member that both reach relays. It hands packets from one to the other, encrypted with keys that it
does not have.

[900] One day bob gets a better router. A relayed link looks for a direct way again and again. Question:
alice's router is still the worst. Can a hole be opened from one side alone?

0: alice behind symmetric
0: bob behind symmetric
20: alice asks R
20: bob asks R
100: alice links bob via R
900: bob behind address-restricted
910: bob asks R
950: alice links bob via R
1500: end
