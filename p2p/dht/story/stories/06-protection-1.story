title Domain protection, the first demo: ALL and MASTER_PUBLIC_KEY
# A location has domains, and a domain may have an owner. Here all may claim one, and whoever
# has the key of which the domain is the hash is its master, who can take it over.
# Peer1, Peer2 and Peer3 are the three of TomP2P's example; the domain is that of Peer2.

rules domain all master
node Peer1
node Peer2
node Peer3
put Peer1 k "test" domain of Peer2 protect domain
expect status ok
# True, says the lecture: Peer1 has claimed it.
put Peer3 k "hello" domain of Peer2 protect domain
expect status protected
# False: it belongs to Peer1.
put Peer2 k "MINE!" domain of Peer2 protect domain
expect status ok
# True: the master overrides.
get Peer1 k domain of Peer2
expect value "MINE!"
# Now Peer1 is out.
put Peer1 k "test" domain of Peer2
expect status protected
