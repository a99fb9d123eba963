package registry

// RankAmong makes the session rank itself among nodes.
func (s *Session) RankAmong(nodes []NodeID) { s.peers.Store(newPeers(nodes)) }

// LedgerKey is the key of the ledger of revocations.
func (r *Registry) LedgerKey() []byte { return r.keys.ledger() }
