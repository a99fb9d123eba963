package store_test

import (
	"errors"
	"math"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

func TestStampVersion(t *testing.T) {
	value := []byte("ab\x01\x02\x03\x04\x05\x06\x07\x08\x00\x09cd")
	for _, tc := range []struct {
		offset int
		want   store.Version
		err    error
	}{
		{2, 0x0102030405060708, nil},
		{4, 0x0304050607080009, nil},
		{5, 0, store.ErrInvalid},
		{-1, 0, store.ErrInvalid},
		{len(value), 0, store.ErrInvalid},
		{math.MaxInt, 0, store.ErrInvalid},
		{math.MinInt, 0, store.ErrInvalid},
	} {
		got, err := store.StampVersion(value, tc.offset)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("StampVersion(%d) = %x, %v, want %x, %v", tc.offset, got, err, tc.want, tc.err)
		}
	}
	for _, short := range [][]byte{nil, {}, make([]byte, store.StampBytes-1)} {
		if _, err := store.StampVersion(short, 0); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("StampVersion of %d bytes = %v, want %v", len(short), err, store.ErrInvalid)
		}
	}
}
