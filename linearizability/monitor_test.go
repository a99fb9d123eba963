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

func TestMonitorAsksLostSessionsAtOnceAndThenInTurn(t *testing.T) {
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
		if handles[i].asked == 0 {
			t.Errorf("handle %d was not asked at the check after the loss", i)
		}
		handles[i].asked = 0
	}
	for range 10 {
		if err := m.Check(4); err != nil {
			t.Fatal(err)
		}
	}
	for i := range handles {
		if handles[i].asked == 0 {
			t.Errorf("handle %d was not asked in ten more", i)
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

// A check without suspicion asks one handle, all of them in turn.
func TestMonitorAsksEveryHandleInTurn(t *testing.T) {
	m := NewMonitor()
	handles := make([]holder, 6)
	for i := range handles {
		handles[i].is = true
		m.Granted(1, string(rune('a'+i%3)), "n1", 1, uint64(1+i%3), handles[i].valid)
	}
	for range 2 * 12 {
		if err := m.Check(2); err != nil {
			t.Fatal(err)
		}
	}
	for i := range handles {
		if handles[i].asked != 2 {
			t.Errorf("handle %d was asked %d times in two dozen checks", i, handles[i].asked)
		}
	}
	// Nobody knows of the loss of handle 4 but the handle.
	for _, is := range []bool{false, true} {
		handles[4].is = is
		err := m.Check(3)
		for range 2*len(handles) - 1 {
			err = m.Check(3)
		}
		var broken *MonitorError
		if errors.As(err, &broken) != is || is && (broken.Rule != RuleValidAgain || broken.Actor != "b") {
			t.Errorf("valid %v: %v", is, err)
		}
	}
}

func TestMonitorOfEndedSessions(t *testing.T) {
	for _, c := range []struct {
		name     string
		deadline time.Duration
		until    time.Duration // the node believes before that
		broken   time.Duration // 0: never
	}{
		{"its node has stopped", 5, 0, 0},
		{"its node believes", 5, 100, 5},
		{"it may for a while", 7, 7, 0},
		{"it may for a while, and goes on", 7, 9, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMonitor()
			var now, broken time.Duration
			m.Granted(1, "a", "n2", 1, 1, (&holder{is: true}).valid)
			for now = 1; now < 20; now++ {
				if now == 5 {
					m.SessionEnded(now, now, "n2", 1, (&holder{}).valid)
					m.SessionEnded(now, c.deadline, "n1", 2, func() bool { return now < c.until })
				}
				var e *MonitorError
				for range 4 {
					if errors.As(m.Check(now), &e) && broken == 0 {
						broken = now
					}
				}
				if e != nil && e.Rule != RuleEndedSessionValid {
					t.Fatal(e)
				}
			}
			if broken != c.broken {
				t.Errorf("broken at %v, want %v", broken, c.broken)
			}
		})
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
