package registry

import (
	"bytes"
	"errors"
	"testing"
)

func TestCallsAndOwnersSurviveTheWire(t *testing.T) {
	for _, c := range []call{
		{actor: "a", token: 1},
		{actor: "a\x00b\x00", token: 1<<64 - 1, payload: []byte("\x00\xff")},
		{actor: "a", token: 1, payload: []byte("\xffb\x00c")},
	} {
		got, err := decodeCall(c.encode())
		if err != nil || got.actor != c.actor || got.token != c.token || !bytes.Equal(got.payload, c.payload) {
			t.Errorf("%+v came back as %+v, %v", c, got, err)
		}
	}
	for _, o := range []Owner{{}, {Node: "n\x00", Incarnation: 2, Token: 3, Address: "10.0.0.1:80"}, {Node: "n", Token: 1}, {Node: "n", Address: "\xff"}} {
		if got, err := decodeOwner(o.encode(nil)); err != nil || got != o {
			t.Errorf("%+v came back as %+v, %v", o, got, err)
		}
	}
}

func TestMalformedCallsAndOwnersAreRefused(t *testing.T) {
	good := call{actor: "actor", token: 7}.encode()
	for i := range len(good) {
		if _, err := decodeCall(good[:i]); !errors.Is(err, errWire) {
			t.Errorf("the first %d bytes of a call: %v", i, err)
		}
	}
	good[0]++
	if _, err := decodeCall(good); !errors.Is(err, errWire) {
		t.Errorf("another format: %v", err)
	}
	if _, err := decodeCall(append(make([]byte, 0, 20), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0)); !errors.Is(err, errWire) {
		t.Errorf("an id that is not UTF-8: %v", err)
	}
	owner := Owner{Node: "n", Incarnation: 2, Token: 3}.encode(nil)
	for i := 1; i < len(owner); i++ {
		if _, err := decodeOwner(owner[:i]); !errors.Is(err, errWire) {
			t.Errorf("the first %d bytes of an owner: %v", i, err)
		}
	}
	if _, err := decodeOwner(append(owner, make([]byte, MaxAddressBytes+1)...)); !errors.Is(err, errWire) {
		t.Errorf("a long address: %v", err)
	}
}

func FuzzRouterWire(f *testing.F) {
	f.Add(call{actor: "a", token: 1, payload: []byte("x")}.encode())
	f.Add(Owner{Node: "n", Incarnation: 2, Token: 3, Address: "x"}.encode(nil))
	f.Add([]byte("\xffb\x00c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sent := call{actor: "a", token: 1, payload: b}
		if c, err := decodeCall(sent.encode()); err != nil || c.actor != sent.actor || !bytes.Equal(c.payload, b) {
			t.Errorf("%+v came back as %+v, %v", sent, c, err)
		}
		if c, err := decodeCall(b); err == nil && !bytes.Equal(c.encode(), b) {
			t.Errorf("call %x is %+v, which is %x", b, c, c.encode())
		}
		if o, err := decodeOwner(b); err == nil && !bytes.Equal(o.encode(nil), b) {
			t.Errorf("owner %x is %+v, which is %x", b, o, o.encode(nil))
		}
	})
}
