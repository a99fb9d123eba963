package simfdb

import (
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// TestResetLosesTheConnectionUnderACommit resets the connection to each server
// while a commit is on its way. Only the proxy's carries it.
func TestResetLosesTheConnectionUnderACommit(t *testing.T) {
	for _, c := range []struct {
		server string
		broken int
	}{{"fdb-proxy", 1}, {"fdb-storage", 0}} {
		l := newLab(t, 1, Options{})
		done := false
		l.client("client", func(h *sim.Host, cl *Client) error {
			tx := cl.Begin(h.Context())
			if _, err := tx.ReadVersion(); err != nil {
				return err
			}
			tx.Set([]byte("k"), []byte("x"))
			l.Net().SetLink("client", "fdb-proxy", sim.Link{LatencyMin: 100 * time.Millisecond, LatencyMax: 100 * time.Millisecond})
			l.After(50*time.Millisecond, "reset", func() {
				if broken := l.Net().Reset(c.server, "client"); broken != c.broken {
					t.Errorf("%s: a reset broke %d calls, want %d", c.server, broken, c.broken)
				}
			})
			err := tx.Commit()
			if errors.Is(err, store.ErrCommitUnknown) != (c.broken > 0) || (err == nil) != (c.broken == 0) {
				t.Errorf("%s: commit: %v", c.server, err)
			}
			done = true
			return nil
		})
		l.run(10 * time.Second)
		if !done {
			t.Errorf("%s: not finished", c.server)
		}
		if n := l.c.Counts().CommitUnknown; n != uint64(c.broken) {
			t.Errorf("%s: %d commits unknown", c.server, n)
		}
	}
}
