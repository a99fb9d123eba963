package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// What waits in the inbox is read a page at a time, with the records of its actors: the
// round trips do not grow with the actors of a page.
func TestAssignmentsAreReadByPages(t *testing.T) {
	const actors = 150 // three pages of 64
	newBench(t).run(func(ctx context.Context, c *client) {
		giver := c.b.client(c.h, registry.Options{})
		s1, s2 := giver.join(ctx, "n1"), c.join(ctx, "n2")
		var ids []registry.ActorID
		for i := range actors {
			ids = append(ids, registry.ActorID(fmt.Sprintf("a%03d", i)))
		}
		giver.give(ctx, s1, s2, ids...)
		asked, got := 0, 0
		c.faulty.asked = func() { asked++ }
		c.faulty.commit = func(func() error) error { return store.ErrUnavailable } // no row is cleared
		for cl, err := range s2.Assignments(ctx) {
			if err != nil {
				t.Error(err)
				break
			}
			c.wantPayload(cl, "for "+string(ids[got]))
			if got++; got == actors {
				break
			}
		}
		// Of each page the range, the records, and the commit of the first for the watch;
		// and the two of the task that clears rows, in vain, and then waits.
		if most := 3*2 + 1 + 2; asked > most {
			t.Errorf("%d assignments took %d round trips, at most %d expected", got, asked, most)
		}
		c.faulty.commit = nil
		c.sleep(ctx, ttl/4)
		c.wantConsistent(ctx)
	})
}

// Between the read of a page and the moment at which an actor of it is handed out other
// operations of the session may come in between: what was read is not believed then.
func TestAnAssignmentIsNoOlderThanTheLastOperationOnItsActor(t *testing.T) {
	type given struct {
		actor   registry.ActorID
		payload string
	}
	for name, do := range map[string]struct {
		do   func(ctx context.Context, c *client, s1, s2 *registry.Session)
		want []given // after "a"
	}{
		"nothing":   {func(context.Context, *client, *registry.Session, *registry.Session) {}, []given{{"b", "for b"}, {"c", "for c"}}},
		"claimed":   {func(ctx context.Context, c *client, _, s2 *registry.Session) { c.claim(ctx, s2, "b") }, []given{{"c", "for c"}}},
		"let go of": {func(ctx context.Context, c *client, _, s2 *registry.Session) { c.release(c.claim(ctx, s2, "b")) }, []given{{"c", "for c"}}},
		"passed on": {func(ctx context.Context, c *client, s1, s2 *registry.Session) { c.give(ctx, s2, s1, "b") }, []given{{"c", "for c"}}},
		"back again": {func(ctx context.Context, c *client, s1, s2 *registry.Session) {
			c.give(ctx, s2, s1, "b")
			if _, err := c.claim(ctx, s1, "b").Transfer(ctx, registry.Target{Node: s2.Node()}, payload("once more")); err != nil {
				t.Error(err)
			}
		}, []given{{"b", "once more"}, {"c", "for c"}}},
		"drained": {func(ctx context.Context, c *client, _, s2 *registry.Session) {
			c.drain(ctx, s2, registry.DrainOptions{}, registry.Drained{Moved: 3})
		}, nil},
		"left": {func(ctx context.Context, _ *client, _, s2 *registry.Session) {
			if err := s2.Leave(ctx); err != nil {
				t.Error(err)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			newBench(t).run(func(ctx context.Context, c *client) {
				s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
				c.give(ctx, s1, s2, "a", "b", "c")
				var got []given
				short, cancel := c.h.WithTimeout(ctx, time.Second)
				defer cancel()
				for cl, err := range s2.Assignments(short) {
					if err != nil {
						break
					}
					if !cl.Valid() {
						t.Errorf("the handle of %q is not valid", cl.Actor())
					}
					if got = append(got, given{cl.Actor(), string(cl.Payload())}); len(got) == 1 {
						do.do(ctx, c, s1, s2)
					}
				}
				if want := append([]given{{"a", "for a"}}, do.want...); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("handed out %v, want %v", got, want)
				}
				c.wantConsistent(ctx)
			})
		})
	}
}

// A release is on its way when the page is read, which shows that the session has the
// actor, and how it came by it.
func TestAnAssignmentIsNotWhatIsBeingReleasedAtTheRead(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		giver := c.b.client(c.h, registry.Options{})
		s1, s2 := giver.join(ctx, "n1"), c.join(ctx, "n2")
		giver.give(ctx, s1, s2, "a")
		c.faulty.commit = func(commit func() error) error { // of the release, and of what clears the row
			c.sleep(ctx, 100*time.Millisecond)
			return commit()
		}
		cl := c.claim(ctx, s2, "a")
		c.h.Go("release", func(context.Context) { c.release(cl) })
		c.sleep(ctx, 10*time.Millisecond)
		if got := c.next(ctx, s2, time.Second); got != nil {
			t.Errorf("handed out: %v, token %v; released: token %v", got.Actor(), got.Token(), cl.Token())
		}
		c.faulty.commit = nil
		c.wantConsistent(ctx)
	})
}

// release releases a claim.
func (c *client) release(cl *registry.Claim) {
	c.b.t.Helper()
	if err := cl.Release(c.h.Context()); err != nil {
		c.b.t.Error(err)
	}
}

// BenchmarkAssignments measures what it costs a session to take up actors that it was
// given all at once: the time, and the round trips of its process, those that clear the
// inbox included.
func BenchmarkAssignments(b *testing.B) {
	for _, actors := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("actors=%d", actors), func(b *testing.B) { benchmarkAssignments(b, actors) })
	}
}

func benchmarkAssignments(b *testing.B, actors int) {
	b.Helper()
	ctx := b.Context()
	places, takes, counted := besideCounted(b)
	s, err := takes.Join(ctx, "node", registry.JoinOptions{Address: "10.0.0.1:7000"})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	taken := 0
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		for j := range actors {
			if _, err := places.Place(ctx, actor(i*actors+j), registry.PlaceOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		left := actors
		for _, err := range s.Assignments(ctx) {
			if err != nil {
				b.Fatal(err)
			}
			if left--; left == 0 {
				break
			}
		}
		taken += actors
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(taken), "µs/actor")
	b.ReportMetric(float64(counted.reads.Load())/float64(taken), "reads/actor")
}
