// Package lesson shows how computers behind routers find out how others see them, open holes for
// each other, and use a relay where that cannot be done, on the stage of package paxos/lesson. The
// routers translate and filter as RFC 4787 names it; what a check has seen is judged by package nat,
// with its own sentences. Who sends what to whom is what nodes do, but for what has nothing to do with
// routers: there are no signatures, and a check goes out four times. The end-to-end tests in e2e/nat
// tell the same stories with real nodes and real routers.
package lesson
