package registry

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// check returns an error unless the shard is as it should be, and its ids in the
// order in which they came.
func (s *cacheShard) check() (ids []ActorID, err error) {
	t := s.table.Load()
	taken := 0
	for at := range t.slots {
		if t.slots[at].meta.Load() != 0 {
			taken++
		}
	}
	for p := uint32(0); len(s.queue.places) > 0; {
		next := s.queue.places[p].after
		if s.queue.places[next].before != p {
			return nil, fmt.Errorf("place %d is not before %d", p, next)
		}
		if p = next; p == 0 {
			break
		}
		slot := &t.slots[s.queue.places[p].slot]
		if slot.meta.Load() == 0 || slot.place() != p {
			return nil, fmt.Errorf("place %d leads to a slot of %d", p, slot.place())
		}
		ids = append(ids, slot.text())
	}
	switch {
	case s.version.Load()%2 != 0:
		return nil, fmt.Errorf("version %d: nobody writes", s.version.Load())
	case taken != len(ids) || taken != s.queue.n || taken > s.size:
		return nil, fmt.Errorf("%d slots taken, %d places, counted %d, at most %d", taken, len(ids), s.queue.n, s.size)
	case taken*maxLoadDen > len(t.slots)*maxLoadNum:
		return nil, fmt.Errorf("%d slots of %d taken", taken, len(t.slots))
	}
	return ids, nil
}

// text is the id that a slot holds, of those that [shardIDs] makes.
func (s *cacheSlot) text() ActorID {
	if long := s.long.Load(); long != nil {
		return *long
	}
	for _, id := range shardIDs {
		if s.holds(id, wordsOf(id), s.meta.Load()) {
			return id
		}
	}
	return ""
}

// shardIDs are of all lengths, and many of them have their home in the last slots
// of small tables.
var shardIDs = func() (ids []ActorID) {
	for n := range 40 {
		ids = append(ids, ActorID("0123456789012345678901234567890123456789"[:n+1]))
	}
	for i := 0; len(ids) < 80; i++ {
		for _, format := range []string{"%d", "long-long-long-long-long-%d"} {
			if id := ActorID(fmt.Sprintf(format, i+1000)); keyOf(id).hash%64 >= 61 {
				ids = append(ids, id)
			}
		}
	}
	return ids
}()

func lookUp(s *cacheShard, id ActorID) (cacheEntry, bool) {
	w := wordsOf(id)
	return s.get(id, w, w.hash(len(id)))
}

// TestShardIsABoundedMap holds a shard against a list.
func TestShardIsABoundedMap(t *testing.T) {
	type kept struct {
		id ActorID
		e  cacheEntry
	}
	rapid.Check(t, func(t *rapid.T) {
		var s cacheShard
		size := rapid.IntRange(1, len(shardIDs)).Draw(t, "size")
		s.init(size)
		var model []kept // in order of arrival
		session := &cachedSession{}
		steps := rapid.IntRange(1, 150).Draw(t, "steps")
		for range steps {
			id := rapid.SampledFrom(shardIDs).Draw(t, "id")
			token := Token(rapid.IntRange(1, 3).Draw(t, "token"))
			at := slices.IndexFunc(model, func(k kept) bool { return k.id == id })
			if rapid.IntRange(0, 3).Draw(t, "op") > 0 {
				e := cacheEntry{session, token, time.Duration(rapid.IntRange(0, 2).Draw(t, "began"))}
				s.put(keyOf(id), e)
				switch {
				case at < 0:
					if model = append(model, kept{id, e}); len(model) > size {
						model = model[1:]
					}
				case e.token > model[at].e.token, e.token == model[at].e.token && e.began > model[at].e.began:
					model[at].e = e
				}
			} else {
				token-- // 0: any
				s.drop(keyOf(id), token)
				if at >= 0 && (token == 0 || model[at].e.token <= token) {
					model = slices.Delete(model, at, at+1)
				}
			}
			ids, err := s.check()
			if err != nil {
				t.Fatal(err)
			}
			for i, k := range model {
				if i >= len(ids) || ids[i] != k.id {
					t.Fatalf("%q are kept, want %v", ids, model)
				}
			}
			for _, id := range shardIDs {
				e, ok := lookUp(&s, id)
				at := slices.IndexFunc(model, func(k kept) bool { return k.id == id })
				if ok != (at >= 0) || ok && e != model[at].e {
					t.Fatalf("%q: %v, %v, want %v", id, e, ok, model)
				}
			}
		}
	})
}

// TestReadersSeeWholeEntries runs readers beside a task that replaces, drops and
// evicts. Each token says which actor it is of and which session it came with. The
// actors with even numbers of the roomy shard stay, while those around them come
// and go; nothing stays in the tight one. Number 0 is replaced all the time.
func TestReadersSeeWholeEntries(t *testing.T) {
	const readers, rounds = 3, 1500
	n := Token(len(shardIDs))
	sessions := []*cachedSession{{}, {}, {}}
	var roomy, tight cacheShard
	roomy.init(len(shardIDs))
	tight.init(len(shardIDs) / 3)
	put := func(s *cacheShard, i int, round Token) {
		token := round*n + Token(i)
		s.put(keyOf(shardIDs[i]), cacheEntry{sessions[round%3], token, time.Duration(token)})
	}
	var done atomic.Bool
	var hits, misses atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < len(shardIDs); i += 2 {
		put(&roomy, i, 1)
	}
	read := func() {
		seen := make(map[*cacheShard][]Token)
		seen[&roomy], seen[&tight] = make([]Token, n), make([]Token, n)
		for !done.Load() {
			for turn := range 2 * len(shardIDs) {
				i := turn / 2 * (turn % 2) // every other time the one that is replaced most
				id := shardIDs[i]
				for _, s := range []*cacheShard{&roomy, &tight} {
					e, ok := lookUp(s, id)
					stays := s == &roomy && i%2 == 0
					switch {
					case !ok && stays:
						t.Errorf("%q is not found, and was never removed", id)
						return
					case !ok:
						misses.Add(1)
						continue
					case e.token%n != Token(i), e.session != sessions[e.token/n%3], e.began != time.Duration(e.token):
						t.Errorf("%q, number %d of %d: %+v is no entry of it", id, i, n, e)
						return
					case e.token < seen[s][i]:
						t.Errorf("%q: token %d after %d", id, e.token, seen[s][i])
						return
					}
					seen[s][i] = e.token
					hits.Add(1)
				}
			}
		}
	}
	for range readers {
		wg.Go(read)
	}
	for round := Token(2); round < rounds; round++ {
		for i := range shardIDs {
			put(&roomy, 0, round*n+Token(i))
			if i > 0 {
				put(&roomy, i, round)
			}
			put(&tight, i, round)
			if i%2 != 0 && round%2 == 0 {
				roomy.drop(keyOf(shardIDs[i]), 0)
			}
			if i%5 == 0 {
				tight.drop(keyOf(shardIDs[i]), round*n+Token(i))
			}
		}
	}
	done.Store(true)
	wg.Wait()
	if hits.Load() == 0 || misses.Load() == 0 {
		t.Errorf("%d hits, %d misses: nothing was tried", hits.Load(), misses.Load())
	}
	for _, s := range []*cacheShard{&roomy, &tight} {
		if _, err := s.check(); err != nil {
			t.Error(err)
		}
	}
}

// TestReadersWaitForAWriterThatStandsStill halts a writer with half an entry
// written. A reader that does not wait returns while the writer yields.
func TestReadersWaitForAWriterThatStandsStill(t *testing.T) {
	var s cacheShard
	s.init(1)
	id := shardIDs[0]
	before, after := cacheEntry{&cachedSession{}, 1, 1}, cacheEntry{&cachedSession{}, 2, 2}
	s.put(keyOf(id), before)
	got := make(chan cacheEntry, 1)
	s.mu.Lock()
	s.write(func(table *cacheTable) {
		at, _ := table.find(keyOf(id))
		table.slots[at].session.Store(after.session)
		go func() {
			e, _ := lookUp(&s, id)
			got <- e
		}()
		for range 10_000 {
			runtime.Gosched()
		}
		if len(got) > 0 {
			t.Error("the reader did not wait")
		}
		table.slots[at].set(after)
	})
	s.mu.Unlock()
	if e := <-got; e != after {
		t.Errorf("%+v, want %+v", e, after)
	}
}
