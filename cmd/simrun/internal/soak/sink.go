package soak

import (
	"sync"

	"github.com/kelpie-registry/kelpie/registry"
)

// sink is a resource outside the store that checks fencing tokens: it refuses a
// write whose token is below the highest it has seen for the actor.
type sink struct {
	mu      sync.Mutex
	highest map[registry.ActorID]registry.Token
}

func newSink() *sink { return &sink{highest: make(map[registry.ActorID]registry.Token)} }

func (s *sink) write(a registry.ActorID, t registry.Token) (accepted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t < s.highest[a] {
		return false
	}
	s.highest[a] = t
	return true
}
