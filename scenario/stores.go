package scenario

import (
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
	"github.com/kelpie-registry/kelpie/store"
)

// officeLink is the network between all processes: one data centre.
var officeLink = sim.Link{
	LatencyMin: 100 * time.Microsecond,
	LatencyMax: 500 * time.Microsecond,
	TailProb:   0.01,
	TailMax:    20 * time.Millisecond,
}

// servers are the processes that a kind of store consists of.
type servers struct {
	all   []string
	front []string // those that its clients talk to

	behind []string // those that the front talks to; none without servers of store/remote
}

func (s *shape) serversOf(kind string) servers {
	st := engineServers(kind)
	if s.remotes == 0 {
		return st
	}
	return servers{all: append(st.all, remoteNames(s.remotes)...), front: remoteNames(s.remotes), behind: st.front}
}

// engineServers are those of the engine itself.
func engineServers(kind string) servers {
	if kind == StoreMemory {
		return servers{all: []string{memoryServer}, front: []string{memoryServer}}
	}
	return servers{
		all:   []string{"fdb-proxy", "fdb-resolver", "fdb-log", "fdb-storage"},
		front: []string{"fdb-proxy", "fdb-storage"},
	}
}

// startStore starts the run's store and returns what shows its faults.
func (r *run) startStore() faults.Handlers {
	handlers := r.startEngine()
	if r.shape.remotes > 0 {
		r.startRemotes(handlers)
	}
	return handlers
}

func (r *run) startEngine() faults.Handlers {
	if r.store == StoreMemory {
		return r.startMemory()
	}
	return r.startFDB()
}

func (r *run) startFDB() faults.Handlers {
	cluster := simfdb.NewCluster(r.world, simfdb.Options{})
	r.engine = func(h *sim.Host) store.Engine { return cluster.Client(h) }
	rates := make(map[faults.Kind]float64)
	handler := func(kind faults.Kind, struck func(simfdb.FaultCounts) uint64) faults.Handler {
		return faults.Handler{
			Apply: func(_ string, lasting []faults.Fault) bool {
				rates[kind] = strongest(lasting)
				unknown := rates[faults.StoreUnknown] / 2
				err := cluster.SetFaults(simfdb.Faults{
					RequestLost:  unknown,
					ReplyLost:    unknown,
					Conflict:     rates[faults.StoreConflict],
					TagThrottled: rates[faults.Throttle],
				})
				if err != nil {
					r.world.Fail("harness", err)
				}
				return true
			},
			Struck: func(string) uint64 { return struck(cluster.Counts().Faults) },
		}
	}
	return faults.Handlers{
		faults.StoreUnknown:  handler(faults.StoreUnknown, func(n simfdb.FaultCounts) uint64 { return n.RequestLost + n.ReplyLost }),
		faults.StoreConflict: handler(faults.StoreConflict, func(n simfdb.FaultCounts) uint64 { return n.Conflict }),
		faults.Throttle:      handler(faults.Throttle, func(n simfdb.FaultCounts) uint64 { return n.TagThrottled }),
		faults.ServerCrash:   r.crashHandler(cluster.Servers()),
	}
}

// crashHandler takes a server down while a fault lasts on it.
func (r *run) crashHandler(servers []string) faults.Handler {
	return faults.Handler{Targets: servers, Apply: func(target string, lasting []faults.Fault) bool {
		p := r.world.Lookup(target)
		if down := len(lasting) > 0; p == nil || down != p.Alive() {
			return false
		}
		if p.Alive() {
			p.Crash()
		} else {
			p.Restart()
		}
		return true
	}}
}

// strongest returns the largest amount, zero when nothing lasts.
func strongest(lasting []faults.Fault) float64 {
	var most float64
	for _, f := range lasting {
		most = max(most, f.Amount)
	}
	return most
}
