"""What is compared: one file a peer, all with the interface of `load.bench.peers.target`."""
