package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// list collects a listing.
func (c *client) list(ctx context.Context, o registry.ListOptions) []registry.Listed {
	c.b.t.Helper()
	var all []registry.Listed
	for row, err := range c.List(ctx, o) {
		if err != nil {
			c.b.t.Errorf("list %+v: %v", o, err)
			break
		}
		all = append(all, row)
	}
	return all
}

func actorsOf(rows []registry.Listed) []registry.ActorID {
	ids := make([]registry.ActorID, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.Actor)
	}
	return ids
}

// odd are ids that sort and nest in every way that an encoding could get wrong.
var odd = []registry.ActorID{
	"\x00", "\x00\x00", "\x00a", "\x01", "a", "a\x00", "a\x00\x00", "a\x00b", "a\x01", "ab", "abc", "b",
	"room/", "room/1", "room/10", "room/2", "room0", "z", "\u00e9", "\u00e9\x00", "\uffff", "\U0010ffff", "\U0010ffffx",
}

func TestListFindsEveryActorByPrefixAndNode(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		sessions := []*registry.Session{c.join(ctx, "n1"), c.join(ctx, "n2")}
		of := map[registry.NodeID][]registry.ActorID{}
		want := slices.Clone(odd)
		slices.Sort(want)
		owners := map[registry.ActorID]registry.Listed{}
		for i, a := range want {
			s := sessions[i%2]
			claim := c.claim(ctx, s, a)
			of[s.Node()] = append(of[s.Node()], a)
			owners[a] = registry.Listed{Actor: a, Owner: registry.Owner{
				Node: s.Node(), Incarnation: s.Incarnation(), Token: claim.Token(), Address: "client",
			}}
		}
		prefixes := []string{"", "a", "a\x00", "room/", "room/1", "\u00e9", "\xc3", "\xff", "\U0010ffff", "\x00", "nothing"}
		for _, rows := range []int{1, 2, 3, 1000} {
			for _, prefix := range prefixes {
				for _, node := range []registry.NodeID{"", "n1", "n2", "n3"} {
					from := want
					if node != "" {
						from = of[node]
					}
					for _, after := range append([]registry.ActorID{"", "aa", "q"}, odd[:8]...) {
						var expected []registry.Listed
						for _, a := range from {
							if strings.HasPrefix(string(a), prefix) && a > after {
								expected = append(expected, owners[a])
							}
						}
						o := registry.ListOptions{Node: node, Prefix: prefix, After: after, PageRows: rows}
						if got := c.list(ctx, o); !slices.Equal(got, expected) {
							t.Errorf("list %+v: %q, want %q", o, actorsOf(got), actorsOf(expected))
						}
					}
				}
			}
		}
	})
}

func TestListLeavesOutTheActorsOfEndedSessions(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		gone, stays := c.join(ctx, "gone"), c.join(ctx, "stays")
		for i := range 10 {
			s := gone
			if i%3 == 0 {
				s = stays
			}
			c.claim(ctx, s, registry.ActorID(fmt.Sprint(i)))
		}
		if err := gone.Leave(ctx); err != nil {
			t.Error(err)
		}
		want := []registry.ActorID{"0", "3", "6", "9"}
		if got := actorsOf(c.list(ctx, registry.ListOptions{PageRows: 2})); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if got := c.list(ctx, registry.ListOptions{Node: "gone"}); len(got) != 0 {
			t.Errorf("the node that left has %q", actorsOf(got))
		}
		// A new session of the same node has none of the old one's actors.
		again := c.join(ctx, "gone")
		c.claim(ctx, again, "1")
		if got := actorsOf(c.list(ctx, registry.ListOptions{Node: "gone"})); !slices.Equal(got, []registry.ActorID{"1"}) {
			t.Errorf("the node that came back has %q", got)
		}
	})
}

// TestListGoesOnWhileActorsMove releases and claims between the pages: what stays
// is listed once.
func TestListGoesOnWhileActorsMove(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n")
		claims := map[registry.ActorID]*registry.Claim{}
		for i := range 20 {
			a := registry.ActorID(fmt.Sprintf("%02d", i))
			claims[a] = c.claim(ctx, s, a)
		}
		var got []registry.ActorID
		for row, err := range c.List(ctx, registry.ListOptions{PageRows: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Actor)
			if row.Actor == "05" {
				for _, a := range []registry.ActorID{"04", "05", "06"} {
					if err := claims[a].Release(ctx); err != nil {
						t.Error(err)
					}
				}
				c.claim(ctx, s, "055")
				c.claim(ctx, s, "001")
			}
		}
		want := []registry.ActorID{"00", "01", "02", "03", "04", "05", "055", "07", "08", "09"}
		for i := 10; i < 20; i++ {
			want = append(want, registry.ActorID(fmt.Sprint(i)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestListStopsAtAnErrorAndCanBeTakenUpAgain(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n")
		for i := range 5 {
			c.claim(ctx, s, registry.ActorID(fmt.Sprint(i)))
		}
		ctx2, cancel := c.h.WithCancel(ctx)
		var got []registry.ActorID
		var end error
		for row, err := range c.List(ctx2, registry.ListOptions{PageRows: 2}) {
			if err != nil {
				end = err
				continue
			}
			got = append(got, row.Actor)
			if row.Actor == "1" {
				cancel(nil)
			}
		}
		if !errors.Is(end, context.Canceled) || !slices.Equal(got, []registry.ActorID{"0", "1"}) {
			t.Errorf("%q, %v, want two rows and %v", got, end, context.Canceled)
		}
		rest := actorsOf(c.list(ctx, registry.ListOptions{After: got[1]}))
		if !slices.Equal(rest, []registry.ActorID{"2", "3", "4"}) {
			t.Errorf("taken up again: %q", rest)
		}
	})
}

func TestListAndLookupAllRefuseBadOptions(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		for field, o := range map[string]registry.ListOptions{
			"PageRows": {PageRows: -1},
			"Prefix":   {Prefix: strings.Repeat("p", registry.MaxActorIDBytes+1)},
			"After":    {After: "\xff"},
			"Node":     {Node: registry.NodeID(strings.Repeat("n", registry.MaxNodeIDBytes+1))},
		} {
			n := 0
			for _, err := range c.List(ctx, o) {
				n++
				if !errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), field) {
					t.Errorf("%s: %v", field, err)
				}
			}
			if n != 1 {
				t.Errorf("%s: %d elements, want one error", field, n)
			}
		}
		for _, o := range []registry.ListOptions{{PageRows: registry.MaxPageRows + 1}} {
			for _, err := range c.List(ctx, o) {
				if !errors.Is(err, registry.ErrInvalid) {
					t.Errorf("%+v: %v", o, err)
				}
			}
		}
		if _, err := c.LookupAll(ctx, "a", ""); !errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), "actors[1]") {
			t.Errorf("an empty id: %v", err)
		}
		if _, err := c.LookupAll(ctx, make([]registry.ActorID, registry.MaxBatch+1)...); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("too many: %v", err)
		}
	})
}

func TestListSaysWhatIsCorrupt(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n")
		c.claim(ctx, s, "a")
		_, err := c.db.Transact(ctx, func(tx store.Tx) error {
			tx.Clear([]byte("kelpie\x00aa\x00"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for _, err := range c.List(ctx, registry.ListOptions{Node: "n"}) {
			last = err
		}
		if !errors.Is(last, registry.ErrCorrupt) || !strings.Contains(last.Error(), `"a"`) {
			t.Errorf("an index entry without its record: %v", last)
		}
	})
}

func TestLookupAllAnswersInOrder(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		a, b := c.join(ctx, "a"), c.join(ctx, "b")
		x, y := c.claim(ctx, a, "x"), c.claim(ctx, b, "y")
		c.claim(ctx, b, "left")
		owner := func(s *registry.Session, claim *registry.Claim) registry.Owner {
			return registry.Owner{Node: s.Node(), Incarnation: s.Incarnation(), Token: claim.Token(), Address: "client"}
		}
		got, err := c.LookupAll(ctx, "y", "nobody", "x", "y")
		want := []registry.Owner{owner(b, y), {}, owner(a, x), owner(b, y)}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		if err := b.Leave(ctx); err != nil {
			t.Error(err)
		}
		got, err = c.LookupAll(ctx, "left", "x")
		if err != nil || !slices.Equal(got, []registry.Owner{{}, owner(a, x)}) {
			t.Errorf("after a leave: %v, %v", got, err)
		}
		if got, err := c.LookupAll(ctx); err != nil || len(got) != 0 {
			t.Errorf("no actors: %v, %v", got, err)
		}
	})
}
