package storetest

import (
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// rangeChecks hold GetRange to the port: bounds, limit, direction and more.
func rangeChecks() []check {
	return []check{
		{name: "range/bounds", run: rangeBounds},
		{name: "range/inverted and negative limit are invalid", run: rangeInvalid},
		{name: "range/limit, reverse and more", run: rangeLimits},
		{name: "range/a long one is read to its end", run: rangeLong},
		{name: "range/limits with holes from own removals", run: rangeHoles},
	}
}

func rangeBounds(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "2", "b\x00", "3", "c", "4"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		for _, tc := range []struct {
			begin, end string
			want       []string
		}{
			{"a", "c", []string{"a", "1", "b", "2", "b\x00", "3"}},
			{"a\x00", "c\x00", []string{"b", "2", "b\x00", "3", "c", "4"}},
			{"b", "b\x00", []string{"b", "2"}},
			{"b", "b", nil},
			{"c\x00", "z", nil},
			{"", "b", []string{"a", "1"}},
		} {
			for _, reverse := range []bool{false, true} {
				rows, err := whole(tx, []byte(tc.begin), []byte(tc.end), store.RangeOptions{Reverse: reverse})
				if err != nil {
					return err
				}
				if reverse {
					slices.Reverse(rows)
				}
				if err := wantRows(rows, tc.want...); err != nil {
					return fmt.Errorf("[%q, %q), reverse %v: %w", tc.begin, tc.end, reverse, err)
				}
			}
		}
		return nil
	})
}

func rangeInvalid(l *lab) error {
	return l.solo(func(c *client) error {
		for _, tc := range []struct {
			name       string
			begin, end string
			o          store.RangeOptions
		}{
			{"inverted", "b", "a", store.RangeOptions{}},
			{"inverted and reverse", "b", "a", store.RangeOptions{Reverse: true}},
			{"negative limit", "a", "b", store.RangeOptions{Limit: -1}},
		} {
			tx := c.begin()
			_, _, err := tx.GetRange([]byte(tc.begin), []byte(tc.end), tc.o)
			_, _, serr := tx.Snapshot().GetRange([]byte(tc.begin), []byte(tc.end), tc.o)
			tx.Cancel()
			if err := firstError(wantError(tc.name, err, store.ErrInvalid), wantError(tc.name+", snapshot", serr, store.ErrInvalid)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rangeLimits reads five rows with each limit in each direction.
func rangeLimits(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "2", "c", "3", "d", "4", "e", "5"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		for _, reverse := range []bool{false, true} {
			want := []string{"a", "b", "c", "d", "e"}
			if reverse {
				slices.Reverse(want)
			}
			for limit := 1; limit <= 7; limit++ {
				rows, more, err := tx.GetRange(first, last, store.RangeOptions{Limit: limit, Reverse: reverse})
				if err != nil {
					return fmt.Errorf("GetRange: %w", err)
				}
				name := fmt.Sprintf("limit %d, reverse %v", limit, reverse)
				if len(rows) > limit || len(rows) > len(want) {
					return fmt.Errorf("%s: %d rows", name, len(rows))
				}
				for i, kv := range rows {
					if string(kv.Key) != want[i] {
						return fmt.Errorf("%s: rows are %v", name, showRows(rows))
					}
				}
				if len(rows) < len(want) && !more {
					return fmt.Errorf("%s: %d of %d rows, without more", name, len(rows), len(want))
				}
				if len(rows) == 0 {
					return fmt.Errorf("%s: more, but no row", name)
				}
			}
		}
		return nil
	})
}

// rangeLong reads more rows than any engine is likely to give in one answer.
func rangeLong(l *lab) error {
	const n = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "k%06d", i) }
	return l.solo(func(c *client) error {
		value := make([]byte, 100)
		if _, err := c.commit(func(tx store.Txn) {
			for i := range n {
				tx.Set(key(i), value)
			}
		}); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Clear(key(1500))
		tx.Set(key(n), value)
		for _, o := range []store.RangeOptions{{}, {Reverse: true}, {Limit: 2500}, {Limit: 2500, Reverse: true}} {
			rows, err := all(tx, o)
			if err != nil {
				return err
			}
			want := n
			if o.Limit > 0 {
				want = o.Limit
			}
			if len(rows) != want {
				return fmt.Errorf("%+v: %d rows, want %d", o, len(rows), want)
			}
			i, step := 0, 1
			if o.Reverse {
				i, step = n, -1
			}
			for _, kv := range rows {
				if i == 1500 {
					i += step
				}
				if string(kv.Key) != string(key(i)) || len(kv.Value) != len(value) {
					return fmt.Errorf("%+v: row %q with %d bytes, want %q", o, kv.Key, len(kv.Value), key(i))
				}
				i += step
			}
		}
		return nil
	})
}

// rangeHoles asks for few rows where the first committed ones are removed by
// the transaction itself.
func rangeHoles(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "2", "c", "3", "d", "4", "e", "5"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Clear([]byte("a"))
		tx.ClearRange([]byte("b"), []byte("c\x00"))
		tx.Clear([]byte("e"))
		for _, tc := range []struct {
			o    store.RangeOptions
			want []string
		}{
			{store.RangeOptions{Limit: 1}, []string{"d", "4"}},
			{store.RangeOptions{Limit: 1, Reverse: true}, []string{"d", "4"}},
			{store.RangeOptions{Limit: 2}, []string{"d", "4"}},
		} {
			rows, err := all(tx, tc.o)
			if err != nil {
				return err
			}
			if err := wantRows(rows, tc.want...); err != nil {
				return fmt.Errorf("%+v: %w", tc.o, err)
			}
		}
		return nil
	})
}
