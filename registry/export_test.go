package registry

import (
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/store"
)

// RankAmong makes the session, which keeps no roster, rank itself among nodes.
func (s *Session) RankAmong(nodes []NodeID) { s.nodes.Store(&roster{peers: newPeers(nodes)}) }

// LedgerKey is the key of the ledger of revocations.
func (r *Registry) LedgerKey() []byte { return r.keys.ledger() }

// DB is the registry's store.
func (r *Registry) DB() *store.DB { return r.db }

// Registry is the session's.
func (s *Session) Registry() *Registry { return s.r }

// Host is the session's.
func (s *Session) Host() host.Host { return s.r.host }
