package storetest

import (
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

func TestSlotsCutTheKeySpace(t *testing.T) {
	for _, tc := range []struct {
		begin, end string
		want       []int
	}{
		{"a", "b", []int{0, 1}},
		{"a", "a\x00", []int{0}},
		{"b", "b", nil},
		{"c", "b", nil},
		{"g", "h", []int{12, 13}},
		{"h", "h\x00", []int{14}},
		{"h", beyond, []int{14, 15}},
		{"g", "h\x00", []int{12, 13, 14}},
	} {
		var got, want slotSet
		got.addRange(tc.begin, tc.end)
		for _, i := range tc.want {
			want[i] = true
		}
		if got != want {
			t.Errorf("[%q, %q) is %v, want %v", tc.begin, tc.end, got, want)
		}
	}
}

func TestModelSees(t *testing.T) {
	base := state{"a": "1", "n": le(5)}
	stamp := op{kind: opStamp, key: "a", value: "0123456789", offset: 0}
	for _, tc := range []struct {
		name       string
		calls      []op
		key        string
		want       string
		own        bool
		unreadable bool
	}{
		{"nothing done", nil, "a", "1", false, false},
		{"missing", nil, "b", "-", false, false},
		{"set", []op{{kind: opSet, key: "a", value: "2"}}, "a", "2", true, false},
		{"set to empty", []op{{kind: opSet, key: "a"}}, "a", "", true, false},
		{"set of another", []op{{kind: opSet, key: "b", value: "2"}}, "a", "1", false, false},
		{"cleared", []op{{kind: opClear, key: "a"}}, "a", "-", true, false},
		{"in a cleared range", []op{{kind: opClearRange, key: "a", end: "b"}}, "a", "-", true, false},
		{"at the end of a cleared range", []op{{kind: opClearRange, key: "A", end: "a"}}, "a", "1", false, false},
		{"added to", []op{{kind: opAdd, key: "n", delta: 2}}, "n", le(7), false, false},
		{"added to a short value", []op{{kind: opAdd, key: "a", delta: 1}}, "a", le('2'), false, false},
		{"cleared and added to", []op{{kind: opClear, key: "n"}, {kind: opAdd, key: "n", delta: 2}}, "n", le(2), true, false},
		{"stamped", []op{stamp}, "a", string(place{}.stamp()), true, true},
		{"stamped and set", []op{stamp, {kind: opSet, key: "a", value: "2"}}, "a", "2", true, true},
		{"stamped and cleared", []op{stamp, {kind: opClear, key: "a"}}, "a", "-", true, false},
	} {
		c := see(base, tc.calls, tc.key, place{})
		if show(c.value) != tc.want || c.own != tc.own || c.unreadable != tc.unreadable {
			t.Errorf("%s: %+v, want %q, own %v, unreadable %v", tc.name, c, tc.want, tc.own, tc.unreadable)
		}
	}
}

func TestModelAgreement(t *testing.T) {
	rows := func(keys ...string) []store.KeyValue {
		out := []store.KeyValue{}
		for _, k := range keys {
			out = append(out, store.KeyValue{Key: []byte(k), Value: []byte{}})
		}
		return out
	}
	o := op{kind: opRange, key: "a", end: "z"}
	for _, tc := range []struct {
		name      string
		got, want answer
		ok        bool
	}{
		{"the same", answer{rows: rows("a", "b")}, answer{rows: rows("a", "b")}, true},
		{"more for nothing", answer{rows: rows("a"), more: true}, answer{rows: rows("a")}, true},
		{"cut short", answer{rows: rows("a"), more: true}, answer{rows: rows("a", "b")}, true},
		{"cut short in silence", answer{rows: rows("a")}, answer{rows: rows("a", "b")}, false},
		{"more left unsaid", answer{rows: rows("a")}, answer{rows: rows("a"), more: true}, false},
		{"more of nothing", answer{rows: rows(), more: true}, answer{rows: rows("a")}, false},
		{"a row left out", answer{rows: rows("b"), more: true}, answer{rows: rows("a", "b")}, false},
		{"a row too many", answer{rows: rows("a", "b")}, answer{rows: rows("a")}, false},
		{"unreadable for nothing", answer{err: store.ErrUnreadable}, answer{rows: rows("a")}, false},
		{"readable after all", answer{rows: rows("a")}, answer{err: store.ErrUnreadable}, false},
		{"unreadable", answer{err: store.ErrUnreadable}, answer{err: store.ErrUnreadable}, true},
		{"another error", answer{err: store.ErrUnavailable}, answer{rows: rows()}, false},
	} {
		if agrees(nil, o, tc.got, tc.want) != tc.ok {
			t.Errorf("%s: agrees = %v", tc.name, !tc.ok)
		}
	}
}
