title: Two homes punch a hole
public: R
homes: alice bob

Two homes want to link. Each router throws away what nobody inside has asked for, so neither can
begin. Both are linked to R: they have asked it how they are seen, and their routers know R.

[50] Bob simply tries. Question: what becomes of it?

[100] R brings alice's addresses to bob and bob's to alice. Then both send at the same time.

[125] Bob's first check comes too early: alice has sent nothing to bob yet. But what went out through bob's
router has opened a hole for answers. Question: what becomes of alice's check?

0: alice asks R
0: bob asks R
50: bob tries alice
100: alice links bob via R
600: end
