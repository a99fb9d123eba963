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

// serversOf returns the processes that a kind of store consists of.
func serversOf(kind string) []string {
	if kind == StoreMemory {
		return []string{memoryServer}
	}
	return []string{"fdb-proxy", "fdb-resolver", "fdb-log", "fdb-storage"}
}

// startStore starts the run's store and returns what shows its faults.
func (r *run) startStore(kind string) faults.Handlers {
	if kind == StoreMemory {
		return r.startMemory()
	}
	return r.startFDB()
}

func (r *run) startFDB() faults.Handlers {
	cluster := simfdb.NewCluster(r.world, simfdb.Options{})
	r.engine = func(h *sim.Host) store.Engine { return cluster.Client(h) }
	rates := make(map[faults.Kind]float64)
	apply := func(kind faults.Kind) faults.Handler {
		return faults.Handler{Apply: func(_ string, lasting []faults.Fault) bool {
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
		}}
	}
	return faults.Handlers{
		faults.StoreUnknown:  apply(faults.StoreUnknown),
		faults.StoreConflict: apply(faults.StoreConflict),
		faults.Throttle:      apply(faults.Throttle),
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
