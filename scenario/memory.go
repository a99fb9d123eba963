package scenario

import (
	"context"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simstore"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// The processes of the memory store: the server at the far end of the wire, for
// cuts and crashes, and the disk behind it, which no fault strikes.
const (
	memoryServer = "store"
	memoryDisk   = "store-disk"
)

func (r *run) startMemory() faults.Handlers {
	for _, name := range []string{memoryServer, memoryDisk} {
		r.world.Process(name, sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	}
	engine := memory.New(memory.Options{Clock: r.world.Lookup(memoryDisk).Host()})
	wire := &simstore.Faults{Server: memoryServer, Timeout: 2 * time.Second}
	amounts := make(map[faults.Kind]float64)
	r.engine = func(h *sim.Host) store.Engine { return simstore.New(h, engine, wire) }
	setWire(wire, amounts)
	apply := func(kind faults.Kind) faults.Handler {
		return faults.Handler{Apply: func(_ string, lasting []faults.Fault) bool {
			amounts[kind] = strongest(lasting)
			setWire(wire, amounts)
			return true
		}}
	}
	return faults.Handlers{
		faults.StoreUnknown:     apply(faults.StoreUnknown),
		faults.StoreLate:        apply(faults.StoreLate),
		faults.StoreConflict:    apply(faults.StoreConflict),
		faults.StoreUnavailable: apply(faults.StoreUnavailable),
		faults.StoreSlow:        apply(faults.StoreSlow),
		faults.ServerCrash:      r.crashHandler([]string{memoryServer}),
	}
}

// setWire makes the wire as bad as the faults that last say. A commit meets one
// fault at most, so that rates which add up to more than 1 are scaled down.
func setWire(wire *simstore.Faults, amounts map[faults.Kind]float64) {
	unknown, late := amounts[faults.StoreUnknown], amounts[faults.StoreLate]
	conflict, refused := amounts[faults.StoreConflict], amounts[faults.StoreUnavailable]
	scale := 1 / max(1, unknown+late+conflict+refused)
	wire.UnknownAppliedRate, wire.UnknownDroppedRate = scale*unknown/2, scale*unknown/2
	wire.UnknownLateRate = scale * late
	wire.ConflictRate = scale * conflict
	wire.UnavailableRate = scale * refused
	slow := time.Duration(amounts[faults.StoreSlow]) * time.Millisecond
	way := simstore.Latency{Min: officeLink.LatencyMin, Max: officeLink.LatencyMax + slow}
	wire.ReadLatency, wire.CommitLatency = way, way
}
