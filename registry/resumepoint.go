package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"

	"github.com/kelpie-registry/kelpie/store"
)

// ResumePoint is a point in the history of the nodes, from which
// [Registry.WatchNodes] can go on, in another process and later on too. The zero
// value is the point before all of them. It is comparable, and has a text form.
type ResumePoint struct {
	namespace uint32 // a checksum
	epoch     uint8
	head      uint64        // changes up to it
	version   store.Version // of the read that saw those changes and no others
}

func namespaceSum(namespace string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(namespace)) // a hash never fails
	return h.Sum32()
}

// String returns the text form, empty for the zero value.
func (p ResumePoint) String() string {
	if p == (ResumePoint{}) {
		return ""
	}
	return fmt.Sprintf("nodes-%08x-%d-%d-%d", p.namespace, p.epoch, p.head, p.version)
}

// Changes returns how many changes of nodes there had been at the point, ever since
// the namespace was first used.
func (p ResumePoint) Changes() uint64 { return p.head }

// MarshalText returns the text form.
func (p ResumePoint) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the text form. The error wraps [ErrInvalid].
func (p *ResumePoint) UnmarshalText(text []byte) error {
	q, err := ParseResumePoint(string(text))
	if err == nil {
		*p = q
	}
	return err
}

// ParseResumePoint is the inverse of [ResumePoint.String]. The error wraps
// [ErrInvalid].
func ParseResumePoint(text string) (ResumePoint, error) {
	var p ResumePoint
	if text == "" {
		return p, nil
	}
	if len(text) <= 64 {
		n, err := fmt.Sscanf(text, "nodes-%08x-%d-%d-%d", &p.namespace, &p.epoch, &p.head, &p.version)
		if err == nil && n == 4 && p.String() == text {
			return p, nil
		}
	}
	return ResumePoint{}, invalid("%.64q is no point at which to resume", text)
}

// check returns an error when the point is of another namespace.
func (p ResumePoint) check(namespace string) error {
	if p != (ResumePoint{}) && p.namespace != namespaceSum(namespace) {
		return invalid("the point at which to resume, %v, is of another namespace than %q", p, namespace)
	}
	return nil
}

// compareStamps orders commits.
func compareStamps(v store.Version, o [2]byte, w store.Version, p [2]byte) int {
	return cmp.Or(cmp.Compare(v, w), bytes.Compare(o[:], p[:]))
}
