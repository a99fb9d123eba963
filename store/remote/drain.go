package remote

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// errDraining promises that what was asked for was not done and will not be here.
var errDraining = fmt.Errorf("%w: the server is about to end", store.ErrUnavailable)

// Drain refuses what is new with store.ErrUnavailable, so that clients go to another
// server, and ends the watches. The steps of transactions and the commits that are
// under way go on, and their callers get their answers; once the network has sent
// those, [Server.Close] loses nothing. The watches of those commits end with them.
// Draining again does nothing.
func (s *Server) Drain() {
	var over leftovers
	s.mu.Lock()
	s.draining = true
	for _, n := range slices.Sorted(maps.Keys(s.clients)) {
		c := s.clients[n]
		for _, w := range slices.Sorted(maps.Keys(c.watches)) {
			over.watches = append(over.watches, c.watches[w])
		}
		clear(c.watches)
	}
	s.mu.Unlock()
	over.end()
}

// Versions returns the first and the last version of the protocol that this package
// speaks.
func Versions() (least, most int) { return minVersion, maxVersion }
