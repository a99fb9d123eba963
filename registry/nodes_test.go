package registry_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

// states returns what is known of the nodes, "id state" each.
func states(nodes []registry.Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, fmt.Sprintf("%s %v", n.ID, n.State))
	}
	return all
}

func TestNodesShowWhatJoinsSaidAndWhatCameSince(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		o := registry.JoinOptions{Address: "10.0.0.1:7000", Labels: map[string]string{"zone": "a", "": "x"}, Capacity: 7, NotReady: true}
		if _, err := c.Join(ctx, "n1", o); !errors.Is(err, registry.ErrInvalid) {
			t.Fatalf("an empty label key: %v", err)
		}
		delete(o.Labels, "")
		s1, err := c.Join(ctx, "n1", o)
		if err != nil {
			t.Fatal(err)
		}
		o.Labels["zone"] = "changed by the caller"
		s2 := c.join(ctx, "n2")
		c.claim(ctx, s1, "a")
		c.claim(ctx, s1, "b")
		nodes, err := c.Nodes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := registry.Node{
			ID: "n1", Incarnation: s1.Incarnation(), State: registry.NodeJoining, Address: "10.0.0.1:7000",
			Labels: map[string]string{"zone": "a"}, Capacity: 7, TTL: ttl, Owned: 2,
		}
		if len(nodes) != 2 || !reflect.DeepEqual(nodes[0], want) {
			t.Errorf("nodes are %+v, want the first to be %+v", nodes, want)
		}
		for range 2 { // the second changes nothing
			if err := s1.Activate(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := s2.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "activate after the end", s2.Activate(ctx), registry.ErrSessionLost)
		nodes, err = c.Nodes(ctx)
		if got := states(nodes); err != nil || !reflect.DeepEqual(got, []string{"n1 active", "n2 left"}) {
			t.Errorf("nodes are %v, %v", got, err)
		}
	})
}

func TestWhatANodeSaysOfItselfIsChecked(t *testing.T) {
	many := make(map[string]string)
	for i := range registry.MaxLabels + 1 {
		many[fmt.Sprint(i)] = ""
	}
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		for _, bad := range []struct {
			want string
			o    registry.JoinOptions
		}{
			{"17 labels, at most 16", registry.JoinOptions{Labels: many}},
			{"empty key", registry.JoinOptions{Labels: map[string]string{"": "v"}}},
			{"has 64 bytes, at most 63", registry.JoinOptions{Labels: map[string]string{strings.Repeat("k", 64): "v"}}},
			{"has 256 bytes, at most 255", registry.JoinOptions{Labels: map[string]string{"k": strings.Repeat("v", 256)}}},
			{"not valid UTF-8", registry.JoinOptions{Labels: map[string]string{"k": "\xff"}}},
			{"not valid UTF-8", registry.JoinOptions{Labels: map[string]string{"\xff": "v"}}},
			{"Capacity is -1, must be from 0", registry.JoinOptions{Capacity: -1}},
			{"Capacity is 1099511627777", registry.JoinOptions{Capacity: registry.MaxCapacity + 1}},
			{"Address has 513 bytes", registry.JoinOptions{Address: strings.Repeat("a", registry.MaxAddressBytes+1)}},
		} {
			_, err := c.Join(ctx, "n1", bad.o)
			if !errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%s: %v", bad.want, err)
			}
		}
		if rows := c.rows(ctx); len(rows) != 0 {
			t.Errorf("refused joins left %d rows", len(rows))
		}
	})
}

func TestWhatANodeSaysOfItselfMayBeAsLongAsItsLimits(t *testing.T) {
	labels := make(map[string]string)
	for i := range registry.MaxLabels {
		labels[fmt.Sprintf("%0*d", registry.MaxLabelKeyBytes, i)] = strings.Repeat("v", registry.MaxLabelValueBytes)
	}
	want := registry.JoinOptions{Address: strings.Repeat("a", registry.MaxAddressBytes), Labels: labels, Capacity: registry.MaxCapacity}
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		if _, err := c.Join(ctx, "n1", want); err != nil {
			t.Fatal(err)
		}
		nodes, err := c.Nodes(ctx)
		if err != nil || nodes[0].Address != want.Address || nodes[0].Capacity != want.Capacity || !reflect.DeepEqual(nodes[0].Labels, labels) {
			t.Errorf("nodes are %+v, %v", nodes, err)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestActivateSettlesItsDoubt(t *testing.T) {
	for _, applied := range []bool{true, false} {
		b := newBench(t)
		b.run(func(ctx context.Context, c *client) {
			s, err := c.Join(ctx, "n1", registry.JoinOptions{NotReady: true})
			if err != nil {
				t.Fatal(err)
			}
			c.faulty.unknownOnce(applied)
			if err := s.Activate(ctx); err != nil {
				t.Errorf("in doubt, applied: %v: %v", applied, err)
			}
			c.claim(ctx, s, "a")
			nodes, err := c.Nodes(ctx)
			if got := states(nodes); err != nil || !reflect.DeepEqual(got, []string{"n1 active"}) {
				t.Errorf("nodes are %v, %v", got, err)
			}
			if err := c.Check(ctx); err != nil { // it is counted and logged once
				t.Error(err)
			}
		})
	}
}

// watch follows the nodes in a task of its own until it has told enough.
type watching struct {
	updates []registry.NodesUpdate
	err     error
}

func (c *client) watchNodes(ctx context.Context, from registry.ResumePoint) *watching {
	w := &watching{}
	c.h.Go("watch", func(context.Context) {
		for u, err := range c.WatchNodes(ctx, from) {
			if err != nil {
				w.err = err
				return
			}
			w.updates = append(w.updates, u)
		}
	})
	return w
}

// changes returns all changes that were told, "id state" each.
func (w *watching) changes() []string {
	var all []string
	for _, u := range w.updates {
		for _, ch := range u.Changes {
			all = append(all, fmt.Sprintf("%s %v", ch.Node.ID, ch.Node.State))
		}
	}
	return all
}

func TestWatchersAreToldEveryChangeInOrder(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		wctx, stop := c.h.WithCancel(ctx)
		w := c.watchNodes(wctx, registry.ResumePoint{})
		c.sleep(ctx, ttl/10)
		s2, err := c.Join(ctx, "n2", registry.JoinOptions{NotReady: true})
		if err != nil {
			t.Fatal(err)
		}
		c.sleep(ctx, ttl/10)
		resume := w.updates[len(w.updates)-1].Resume
		if err := errors.Join(s2.Activate(ctx), s1.Leave(ctx)); err != nil {
			t.Fatal(err)
		}
		s1 = c.join(ctx, "n1")
		c.sleep(ctx, ttl/10)
		stop(nil)
		c.sleep(ctx, ttl/10)
		if got := states(w.updates[0].Nodes); !w.updates[0].Snapshot || !reflect.DeepEqual(got, []string{"n1 active"}) {
			t.Errorf("the first update is %+v", w.updates[0])
		}
		want := []string{"n2 joining", "n2 active", "n1 left", "n1 active"}
		if got := w.changes(); !reflect.DeepEqual(got, want) {
			t.Errorf("changes are %v, want %v", got, want)
		}
		last := w.updates[len(w.updates)-1].Changes
		if inc := last[len(last)-1].Node.Incarnation; inc != s1.Incarnation() {
			t.Errorf("the last change is of incarnation %v, want %v", inc, s1.Incarnation())
		}
		wantErr(t, "the watch's end", w.err, context.Canceled)

		wctx, stop = c.h.WithCancel(ctx)
		w = c.watchNodes(wctx, resume)
		c.sleep(ctx, ttl/10)
		stop(nil)
		if got := w.changes(); len(w.updates) != 1 || w.updates[0].Snapshot || !reflect.DeepEqual(got, want[1:]) {
			t.Errorf("resumed: %+v, want %v", w.updates, want[1:])
		}
	})
}

func TestAWatchThatIsTooFarBehindGetsASnapshotAndIsToldSo(t *testing.T) {
	b := newBench(t)
	b.process("client", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		wctx, stop := c.h.WithCancel(ctx)
		w := c.watchNodes(wctx, registry.ResumePoint{})
		c.sleep(ctx, ttl/10)
		stop(nil)
		resume := w.updates[0].Resume
		for range 2200 { // two changes each, of 4,096 that are kept
			if err := s.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			s = c.join(ctx, "n1")
		}
		wctx, stop = c.h.WithCancel(ctx)
		w = c.watchNodes(wctx, resume)
		c.sleep(ctx, ttl/10)
		stop(nil)
		if len(w.updates) != 1 || !w.updates[0].Snapshot || !w.updates[0].Compacted {
			t.Errorf("resumed far behind: %d updates, the first %+v", len(w.updates), w.updates[0])
		}
		log := 0
		for _, kv := range c.rows(ctx) {
			if strings.HasPrefix(string(kv.Key), "kelpie\x00c") {
				log++
			}
		}
		if log < 4096 || log > 4096+8*64 {
			t.Errorf("%d rows of the log are kept", log)
		}
		b.world.Stop()
	})
	b.until(10 * ttl)
}

func TestAWatcherThatIsSlowGetsASnapshotAndIsToldSo(t *testing.T) {
	b := newBench(t)
	b.process("client", registry.Options{Monitors: -1, LogKeep: registry.MinLogKeep}, func(ctx context.Context, c *client) {
		n := 0
		for u, err := range c.WatchNodes(ctx, registry.ResumePoint{}) {
			if n++; err != nil {
				t.Fatal(err)
			}
			switch n {
			case 1: // as many changes as are kept
				for range registry.MinLogKeep / 2 {
					err = errors.Join(err, c.join(ctx, "n1").Leave(ctx))
				}
			case 2:
				if u.Snapshot || len(u.Changes) != registry.MinLogKeep {
					t.Errorf("after as many changes as are kept: %+v", u)
				}
				for range registry.MinLogKeep/2 + 1 {
					err = errors.Join(err, c.join(ctx, "n1").Leave(ctx))
				}
			case 3:
				if !u.Snapshot || !u.Compacted || len(u.Changes) != 0 || !reflect.DeepEqual(states(u.Nodes), []string{"n1 left"}) {
					t.Errorf("after more changes than are kept: %+v", u)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if n == 3 {
				break
			}
		}
		b.world.Stop()
	})
	b.until(10 * ttl)
}

func TestResumePointsComeBackAndNonsenseIsRefused(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "n1")
		wctx, stop := c.h.WithCancel(ctx)
		w := c.watchNodes(wctx, registry.ResumePoint{})
		c.sleep(ctx, ttl/10)
		stop(nil)
		good := w.updates[0].Resume
		text, err := good.MarshalText()
		var again registry.ResumePoint
		if err = errors.Join(err, again.UnmarshalText(text)); err != nil || again != good {
			t.Errorf("%q comes back as %v, %v", text, again, err)
		}
		parts := strings.Split(string(text), "-")
		with := func(i int, s string) string {
			p := append([]string(nil), parts...)
			p[i] = s
			return strings.Join(p, "-")
		}
		for _, bad := range []string{
			"x", "nodes", "nodes-1-2-3-4", string(text) + "-", " " + string(text), string(text) + " ", with(0, "Nodes"),
			with(2, "256"), with(3, "-1"), with(3, "01"), with(4, "99999999999999999999"), strings.Repeat("9", 1000), "\xff",
		} {
			if p, err := registry.ParseResumePoint(bad); !errors.Is(err, registry.ErrInvalid) || p != (registry.ResumePoint{}) {
				t.Errorf("%.40q is %v, %v", bad, p, err)
			}
		}
		for _, bad := range []string{with(1, "00000001"), with(2, "9"), with(3, "1000"), with(4, "1000000")} {
			p, err := registry.ParseResumePoint(bad)
			if err != nil {
				t.Errorf("%q: %v", bad, err)
			}
			for u, err := range c.WatchNodes(ctx, p) {
				if !errors.Is(err, registry.ErrInvalid) {
					t.Errorf("resumed from %q: %+v, %v", bad, u, err)
				}
				break
			}
		}
	})
}

func FuzzParseResumePoint(f *testing.F) {
	f.Add("nodes-0badcafe-0-12-345")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := registry.ParseResumePoint(text)
		if err == nil && p.String() != text || err != nil && !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%q is %v, %v", text, p, err)
		}
		var q registry.ResumePoint
		if again := q.UnmarshalText([]byte(text)); (again == nil) != (err == nil) || q != p {
			t.Errorf("%q is %v, %v when unmarshaled", text, q, again)
		}
	})
}

func TestANewEpochIsTold(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "n1")
		wctx, stop := c.h.WithCancel(ctx)
		w := c.watchNodes(wctx, registry.ResumePoint{})
		c.sleep(ctx, ttl/10)
		if _, err := c.AdvanceEpoch(ctx); err != nil {
			t.Fatal(err)
		}
		c.sleep(ctx, ttl/10)
		stop(nil)
		last := w.updates[len(w.updates)-1]
		if !last.Snapshot || !last.Compacted || len(last.Nodes) != 0 {
			t.Errorf("after a new epoch: %+v", last)
		}
	})
}

func TestAChangeThatCommitsLateIsNotMissed(t *testing.T) {
	for _, changes := range []int{10, 300} { // within the trail, and far behind it
		b := newBench(t)
		late := false
		b.process("late", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
			c.faulty.commit = func(commit func() error) error {
				c.faulty.commit = nil
				c.sleep(ctx, ttl)
				late = true
				return commit()
			}
			c.join(ctx, "late")
		})
		b.process("client", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
			wctx, stop := c.h.WithCancel(ctx)
			w := c.watchNodes(wctx, registry.ResumePoint{})
			c.sleep(ctx, ttl/10)
			for range changes / 2 {
				if err := c.join(ctx, "n1").Leave(ctx); err != nil {
					t.Fatal(err)
				}
			}
			c.sleep(ctx, ttl/2)
			if late || len(w.changes()) != changes {
				t.Errorf("%d changes were told, %d were made; late: %v", len(w.changes()), changes, late)
			}
			c.sleep(ctx, ttl)
			stop(nil)
			got := w.changes()
			if !late || len(got) != changes+1 || got[changes] != "late active" {
				t.Errorf("%d changes were told, the last %q; want %d, the last the late one", len(got), got[len(got)-1], changes+1)
			}
			for _, u := range w.updates[1:] {
				if u.Snapshot {
					t.Error("a snapshot stood in for changes")
				}
			}
			b.world.Stop()
		})
		b.until(10 * ttl)
	}
}
