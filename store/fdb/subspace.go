package fdb

import "slices"

// subspace is the prefix under which an engine keeps its keys: the namespace as
// one string of FoundationDB's tuple layer, so that no subspace is a part of
// another and other tools can show it.
type subspace []byte

// The tuple layer's encoding of a string: a type code, its bytes, a zero.
const (
	tupleString = 0x02
	tupleEnd    = 0x00
)

// newSubspace returns the subspace of a namespace, which has no zero byte.
func newSubspace(namespace string) subspace {
	s := make(subspace, 0, len(namespace)+2)
	s = append(s, tupleString)
	s = append(s, namespace...)
	return append(s, tupleEnd)
}

// key returns the cluster's key for a key of the port. Order is kept, and every
// range of port keys stays within the subspace.
func (s subspace) key(k []byte) []byte { return slices.Concat(s, k) }

// strip returns the port's key for a key of the subspace.
func (s subspace) strip(k []byte) []byte { return k[len(s):] }
