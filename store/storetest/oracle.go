package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// judgement judges a history for strict serializability. The witness order is
// the one that the engine itself claims: transactions that wrote stand where
// their stamps put them, those that did not at their read version. In that
// order it is enough to check that
//
//   - what a client was told agrees with what was applied;
//   - each transaction read the state at its read version, over its own writes;
//   - nothing that an applied transaction read, and not by a snapshot reader,
//     changed between its read version and its own place;
//   - the order agrees with real time.
//
// A commit whose result was unknown stands where its marker says, or nowhere,
// and has no end in real time: it may be applied after its answer.
type judgement struct {
	h       *history
	precise bool // no refusal without a reason; see spurious

	applied []*record // by place
	states  []state   // states[i] is the state before applied[i]; one more at the end
}

// judge returns what is wrong with a finished history.
func (h *history) judge(precise bool) error {
	j := &judgement{h: h, precise: precise}
	if err := j.settle(); err != nil {
		return err
	}
	j.replay()
	for _, r := range h.sorted() {
		if err := firstError(j.reads(r), j.unchanged(r), j.excused(r)); err != nil {
			return fmt.Errorf("%w\n%v", err, r)
		}
	}
	return firstError(j.realTime(), j.finalState())
}

// settle finds out which transactions were applied, and where.
func (j *judgement) settle() error {
	for _, r := range j.h.sorted() {
		at, there := j.h.markers[r.marker()]
		var err error
		switch {
		case r.outcome == refused && there:
			err = errors.New("a refused transaction was applied")
		case r.outcome == committed && !r.wrote() && r.version != 0:
			err = errors.New("a transaction that wrote nothing has a commit version")
		case r.outcome == committed && r.wrote() && !there:
			err = errors.New("a committed transaction was not applied")
		case r.outcome == committed && r.wrote() && at.version != r.version:
			err = fmt.Errorf("the stamp says version %d, the commit %d", at.version, r.version)
		case there && at.version <= r.rv:
			err = fmt.Errorf("applied at version %d, not above its own read version", at.version)
		}
		if err != nil {
			return fmt.Errorf("%w\n%v", err, r)
		}
		if there {
			r.place = at
			j.applied = append(j.applied, r)
		}
	}
	slices.SortStableFunc(j.applied, func(a, b *record) int {
		switch {
		case a.place.less(b.place):
			return -1
		case b.place.less(a.place):
			return 1
		default:
			return 0
		}
	})
	for i := 1; i < len(j.applied); i++ {
		if j.applied[i-1].place == j.applied[i].place {
			return fmt.Errorf("two transactions have one stamp\n%v\n%v", j.applied[i-1], j.applied[i])
		}
	}
	return nil
}

func (j *judgement) replay() {
	s := state{}
	j.states = append(j.states, s)
	for _, r := range j.applied {
		s = s.after(r.calls, r.place)
		j.states = append(j.states, s)
	}
}

// before returns how many applied transactions a read at version v sees.
func (j *judgement) before(v store.Version) int {
	i, _ := slices.BinarySearchFunc(j.applied, v, func(r *record, v store.Version) int {
		if r.place.version <= v {
			return -1
		}
		return 1
	})
	return i
}

// reads checks each answer against the state at the read version.
func (j *judgement) reads(r *record) error {
	base := j.states[j.before(r.rv)]
	for i, o := range r.calls {
		if !o.reads() || isTransient(r.answers[i].err) {
			continue
		}
		if want := expect(base, r.calls[:i], o); !agrees(r.calls[:i], o, r.answers[i], want) {
			return fmt.Errorf("%v = %v; at read version %d it is %v", o, r.answers[i], r.rv, want)
		}
	}
	return nil
}

// unchanged checks that what an applied transaction read, other transactions
// left alone until it was applied.
func (j *judgement) unchanged(r *record) error {
	if r.place == (place{}) || r.rv == 0 {
		return nil
	}
	var read slotSet
	for i, o := range r.calls {
		s := readsOf(r.calls[:i], o, r.answers[i])
		for k := range s {
			read[k] = read[k] || s[k]
		}
	}
	for i := j.before(r.rv); j.applied[i] != r; i++ {
		changed := slotSet{}
		for slot := 0; slot < slots; slot += 2 {
			old, was := j.states[i][universe[slot/2]]
			now, is := j.states[i+1][universe[slot/2]]
			changed[slot] = old != now || was != is
		}
		if changed.meets(&read) {
			return fmt.Errorf("applied at %v, although what it read had changed at %v, by\n%v", r.place, j.applied[i].place, j.applied[i])
		}
	}
	return nil
}

// excused checks that a refusal for a conflict has a cause: some other
// transaction that wrote and may have been applied since this one began.
func (j *judgement) excused(r *record) error {
	if !j.precise || !errors.Is(r.err, store.ErrConflict) {
		return nil
	}
	for _, other := range j.h.records {
		if other != r && other.wrote() && other.outcome != refused && (other.end > r.begin || other.outcome == doubtful) && other.begin < r.end {
			return nil
		}
	}
	return errors.New("refused for a conflict, and nobody else wrote meanwhile")
}

// realTime checks that what ended before a transaction began is before it.
func (j *judgement) realTime() error {
	byEnd := slices.Clone(j.h.records)
	slices.SortFunc(byEnd, func(a, b *record) int { return a.end - b.end })
	var newest *record // of those that have ended, the one placed last
	var highest *record
	next := 0
	for _, r := range j.h.sorted() {
		for ; next < len(byEnd) && byEnd[next].end < r.begin; next++ {
			ended := byEnd[next]
			if ended.outcome == committed && ended.place != (place{}) && (newest == nil || newest.place.less(ended.place)) {
				newest = ended
			}
			if ended.rv != 0 && (highest == nil || ended.rv > highest.rv) {
				highest = ended
			}
		}
		if err := follows(r, newest, highest); err != nil {
			return err
		}
	}
	return nil
}

// follows checks r against transactions that ended before it began: the one
// placed last, and the one that read at the highest version.
func follows(r, newest, highest *record) error {
	if newest != nil {
		if r.rv != 0 && r.rv < newest.place.version {
			return fmt.Errorf("a stale read: began after a commit at version %d was acknowledged\n%v\n%v", newest.place.version, r, newest)
		}
		if r.place != (place{}) && !newest.place.less(r.place) {
			return fmt.Errorf("applied before a transaction that had ended when it began\n%v\n%v", r, newest)
		}
	}
	if highest != nil {
		if r.rv != 0 && r.rv < highest.rv {
			return fmt.Errorf("the read version went back from %d\n%v\n%v", highest.rv, r, highest)
		}
		if r.place != (place{}) && r.place.version <= highest.rv {
			return fmt.Errorf("applied at or below a version that had been read before it began\n%v\n%v", r, highest)
		}
	}
	return nil
}

func (j *judgement) finalState() error {
	want := j.states[j.before(j.h.finalVersion)]
	if maps.Equal(want, j.h.final) {
		return nil
	}
	return fmt.Errorf("in the end the store holds %q, want %q", j.h.final, want)
}
