package linearizability

import (
	"errors"
	"testing"
	"time"
)

// holder is a handle whose validity the test sets.
type holder struct {
	is    bool
	asked int
}

func (h *holder) valid() bool {
	h.asked++
	return h.is
}

func TestMonitorRules(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(m *Monitor)
		rule Rule // "": nothing is wrong
	}{
		{"one valid handle", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
		}, ""},
		{"a new owner after the old one stopped", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: false}).valid)
			m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		}, ""},
		{"a new owner after the old one was dropped", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Dropped("a", 3)
			m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		}, ""},
		{"a new owner after the old one's session was dropped", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.DroppedSession("n1", 1)
			m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		}, ""},
		{"two valid handles", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		}, RuleTwoValidHandles},
		{"two valid handles of one session", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Granted(2, "a", "n1", 1, 4, (&holder{is: true}).valid)
		}, RuleTwoValidHandles},
		{"two handles of one claim", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Granted(2, "a", "n1", 1, 3, (&holder{is: true}).valid)
		}, ""},
		{"valid handles of two actors", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Granted(2, "b", "n2", 2, 4, (&holder{is: true}).valid)
		}, ""},
		{"two valid handles where clocks promise nothing", func(m *Monitor) {
			m.SkipExclusion = true
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		}, ""},
		{"an answer that came late, for a claim that is over", func(m *Monitor) {
			m.Granted(1, "a", "n2", 2, 4, (&holder{is: true}).valid)
			m.Granted(2, "a", "n1", 1, 3, (&holder{is: false}).valid)
		}, ""},
		{"a valid claim below one that was granted and dropped", func(m *Monitor) {
			m.Granted(1, "a", "n2", 2, 4, (&holder{is: false}).valid)
			m.Dropped("a", 4)
			m.Granted(2, "a", "n1", 1, 3, (&holder{is: true}).valid)
		}, RuleTokenOrder},
		{"one token for two sessions", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: false}).valid)
			m.Granted(2, "a", "n2", 2, 3, (&holder{is: false}).valid)
		}, RuleTokenReused},
		{"one token for two sessions where clocks promise nothing", func(m *Monitor) {
			m.SkipExclusion = true
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: false}).valid)
			m.Granted(2, "a", "n2", 2, 3, (&holder{is: false}).valid)
		}, RuleTokenReused},
		{"writes in the order of their tokens", func(m *Monitor) {
			m.FencedWrite(1, "a", 3, true)
			m.FencedWrite(2, "a", 3, true)
			m.FencedWrite(3, "a", 4, true)
			m.FencedWrite(4, "a", 3, false)
			m.FencedWrite(5, "b", 1, true)
		}, ""},
		{"a stale write that was accepted", func(m *Monitor) {
			m.FencedWrite(1, "a", 4, true)
			m.FencedWrite(2, "a", 3, true)
		}, RuleStaleWriteAccepted},
		{"a lost session that stopped", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: false}).valid)
			m.SessionLost(2, "n1", 1)
		}, ""},
		{"a lost session that holds on", func(m *Monitor) {
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.SessionLost(2, "n1", 1)
		}, RuleLostNodeActs},
		{"a lost session that is handed a claim", func(m *Monitor) {
			m.SessionLost(1, "n1", 1)
			m.Granted(2, "a", "n1", 1, 3, (&holder{is: true}).valid)
		}, RuleLostNodeActs},
		{"another incarnation of a lost node", func(m *Monitor) {
			m.SessionLost(1, "n1", 1)
			m.Granted(2, "a", "n1", 2, 3, (&holder{is: true}).valid)
		}, ""},
		{"a lost session holds on where clocks promise nothing", func(m *Monitor) {
			m.SkipExclusion = true
			m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
			m.SessionLost(2, "n1", 1)
		}, RuleLostNodeActs},
		{"drops of what is not tracked", func(m *Monitor) {
			m.Dropped("a", 3)
			m.DroppedSession("n1", 1)
			m.SessionLost(1, "n1", 1)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMonitor()
			if err := m.Check(0); err != nil {
				t.Fatal(err)
			}
			c.run(m)
			err := m.Check(10 * time.Second)
			if c.rule == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var broken *MonitorError
			if !errors.As(err, &broken) || broken.Rule != c.rule || broken.Actor != "a" {
				t.Fatalf("%v, want %s", err, c.rule)
			}
			if again := m.Check(11 * time.Second); !errors.Is(again, err) {
				t.Errorf("the first broken promise did not stick: %v", again)
			}
			m.Reset()
			if err := m.Check(12 * time.Second); err != nil {
				t.Errorf("after Reset: %v", err)
			}
		})
	}
}

func TestMonitorFindsAHandleThatBecomesValidAgain(t *testing.T) {
	m := NewMonitor()
	old := &holder{}
	m.Granted(1, "a", "n1", 1, 3, old.valid)
	m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
	for range 5 {
		if err := m.Check(3); err != nil {
			t.Fatal(err)
		}
	}
	old.is = true
	if err := m.Check(4); err == nil {
		t.Error("not at the next check")
	}
}

func TestMonitorAsksLostSessionsInTurn(t *testing.T) {
	m := NewMonitor()
	handles := make([]holder, 10)
	for i := range handles {
		m.Granted(1, string(rune('a'+i)), "n1", 1, uint64(i+1), handles[i].valid)
	}
	m.SessionLost(2, "n1", 1)
	if err := m.Check(3); err != nil {
		t.Fatal(err)
	}
	for i := range handles {
		if handles[i].asked != 1 {
			t.Errorf("handle %d was asked %d times at the check after the loss", i, handles[i].asked)
		}
	}
	for range 10 {
		if err := m.Check(4); err != nil {
			t.Fatal(err)
		}
	}
	for i := range handles {
		if handles[i].asked != 2 {
			t.Errorf("handle %d was asked %d times after ten more", i, handles[i].asked)
		}
	}
	handles[6].is = true
	var err error
	for range 10 {
		err = m.Check(5)
	}
	if err == nil {
		t.Error("a lost session's handle became valid, and ten checks did not see it")
	}
}

func TestMonitorAsksNobodyWithoutSuspicion(t *testing.T) {
	m := NewMonitor()
	h := &holder{is: true}
	m.Granted(1, "a", "n1", 1, 3, h.valid)
	for range 100 {
		if err := m.Check(2); err != nil {
			t.Fatal(err)
		}
	}
	if h.asked != 0 {
		t.Errorf("asked %d times", h.asked)
	}
	newer := &holder{is: true}
	h.is = false
	m.Granted(3, "a", "n2", 2, 4, newer.valid)
	m.Dropped("a", 3)
	before := newer.asked
	if err := m.Check(4); err != nil || newer.asked != before {
		t.Errorf("%v; asked %d times after the older claim was dropped", err, newer.asked-before)
	}
}

func BenchmarkMonitorCheck(b *testing.B) {
	b.Run("quiet", func(b *testing.B) {
		m := NewMonitor()
		m.Granted(1, "a", "n1", 1, 3, (&holder{is: true}).valid)
		b.ReportAllocs()
		for b.Loop() {
			if m.Check(2) != nil {
				b.Fatal()
			}
		}
	})
	b.Run("contested", func(b *testing.B) {
		m := NewMonitor()
		m.Granted(1, "a", "n1", 1, 3, (&holder{}).valid)
		m.Granted(2, "a", "n2", 2, 4, (&holder{is: true}).valid)
		b.ReportAllocs()
		for b.Loop() {
			if m.Check(2) != nil {
				b.Fatal()
			}
		}
	})
}
