package scenario

import (
	"context"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simstore"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// The processes of the memory store: the server, and the disk behind it, which
// no fault strikes.
const (
	memoryServer = "store"
	memoryDisk   = "store-disk"
)

func (r *run) startMemory() faults.Handlers {
	r.world.Process(memoryDisk, sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	engine := memory.New(memory.Options{Clock: r.world.Lookup(memoryDisk).Host()})
	f := &simstore.Faults{Server: memoryServer, Timeout: 2 * time.Second}
	server := simstore.NewServer(r.world, engine, f)
	r.engine = server.Connect
	amounts := make(map[faults.Kind]float64)
	handler := func(kind faults.Kind, struck func(simstore.Fired) uint64) faults.Handler {
		return faults.Handler{
			Apply: func(_ string, lasting []faults.Fault) bool {
				amounts[kind] = strongest(lasting)
				setFaults(f, amounts)
				return true
			},
			Struck: func(string) uint64 { return struck(f.Fired()) },
		}
	}
	return faults.Handlers{
		faults.StoreUnknown:     handler(faults.StoreUnknown, func(n simstore.Fired) uint64 { return n.UnknownApplied + n.UnknownDropped }),
		faults.StoreLate:        handler(faults.StoreLate, func(n simstore.Fired) uint64 { return n.UnknownLate }),
		faults.StoreConflict:    handler(faults.StoreConflict, func(n simstore.Fired) uint64 { return n.Conflicts }),
		faults.StoreUnavailable: handler(faults.StoreUnavailable, func(n simstore.Fired) uint64 { return n.Unavailable }),
		faults.StoreSlow:        handler(faults.StoreSlow, func(n simstore.Fired) uint64 { return n.Slowed }),
		faults.ServerCrash:      r.crashHandler([]string{memoryServer}),
	}
}

// setFaults makes the server as bad as the faults that last say. A commit meets
// one fault at most, so that rates which add up to more than 1 are scaled down.
func setFaults(f *simstore.Faults, amounts map[faults.Kind]float64) {
	unknown, late := amounts[faults.StoreUnknown], amounts[faults.StoreLate]
	conflict, refused := amounts[faults.StoreConflict], amounts[faults.StoreUnavailable]
	scale := 1 / max(1, unknown+late+conflict+refused)
	f.UnknownAppliedRate, f.UnknownDroppedRate = scale*unknown/2, scale*unknown/2
	f.UnknownLateRate = scale * late
	f.ConflictRate = scale * conflict
	f.UnavailableRate = scale * refused
	slow := simstore.Latency{Max: time.Duration(amounts[faults.StoreSlow]) * time.Millisecond / 2}
	f.ReadLatency, f.CommitLatency = slow, slow
}
