// Package waiting blocks in ways that the simulator does not see.
package waiting

import (
	"elsewhere"
	"sync"
	"sync/atomic"
)

type group struct {
	sync.WaitGroup            // want `sync\.WaitGroup: wait for an event of the host's clock`
	cond           *sync.Cond // want `sync\.Cond: use clock\.Cond`
}

type renamed = sync.WaitGroup // want `sync\.WaitGroup`

func uses(g *group, l sync.Locker) {
	g.Add(1)                 // want `sync\.WaitGroup\.Add`
	g.Go(func() {})          // want `sync\.WaitGroup\.Go`
	g.Wait()                 // want `sync\.WaitGroup\.Wait`
	g.cond = sync.NewCond(l) // want `sync\.NewCond`
	g.cond.Wait()            // want `sync\.Cond\.Wait`
	var r renamed            // want `sync\.WaitGroup`
	r.Done()                 // want `sync\.WaitGroup\.Done`
}

func hidden() {
	g := elsewhere.Group()
	g.Wait()              // want `sync\.WaitGroup\.Wait`
	var a elsewhere.Alias // want `sync\.WaitGroup`
	wait := a.Wait        // want `sync\.WaitGroup\.Wait`
	wait()
	var s elsewhere.Embeds
	s.Wait() // want `sync\.WaitGroup\.Wait`
}

func syncMap(m *sync.Map) {
	m.Store(1, 2)
	m.Range(func(k, v any) bool { return true }) // want `sync\.Map\.Range`
	_, _ = m.Load(1)
}

type fine struct {
	mu   sync.Mutex
	rw   sync.RWMutex
	once sync.Once
	n    atomic.Int64
	pool sync.Pool
}

func (f *fine) work() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.once.Do(func() { f.n.Add(1) })
	return f.n.Load()
}
