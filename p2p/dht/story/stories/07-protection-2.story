title Domain protection, the second demo: NONE and MASTER_PUBLIC_KEY
# Nobody may claim a domain but its master. Others write there as long as he has not.

rules domain none master
node Peer1
node Peer2
node Peer3
put Peer1 k "test" domain of Peer2 protect domain
expect status ok
# True: it is stored, and not protected.
put Peer3 k "hello" domain of Peer2 protect domain
expect status ok
# True: it overwrites.
get Peer1 k domain of Peer2
expect value "hello"
put Peer2 k "MINE!" domain of Peer2 protect domain
expect status ok
# True, and now it is protected.
get Peer1 k domain of Peer2
expect value "MINE!"
put Peer3 k "hello" domain of Peer2
expect status protected
# False.
get Peer1 k domain of Peer2
expect value "MINE!"
