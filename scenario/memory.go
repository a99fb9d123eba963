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

// The processes of the memory store: the server that faults strike, and the disk
// behind it, which none does.
const (
	memoryServer = "store"
	memoryDisk   = "store-disk"
)

func (r *run) startMemory() faults.Handlers {
	disk := r.world.Process(memoryDisk, sim.ProcessOptions{})
	disk.Start(func(context.Context, *sim.Host) {})
	server := simstore.NewServer(r.world, memoryServer, memory.New(memory.Options{Clock: disk.Host()}))
	r.engine = func(h *sim.Host) store.Engine { return server.Client(h) }
	amounts := make(map[faults.Kind]float64)
	apply := func(kind faults.Kind) faults.Handler {
		return faults.Handler{Apply: func(_ string, lasting []faults.Fault) bool {
			amounts[kind] = strongest(lasting)
			unknown := amounts[faults.StoreUnknown] / 2
			err := server.SetFaults(simstore.Faults{
				Conflict:       amounts[faults.StoreConflict],
				Unavailable:    amounts[faults.StoreUnavailable],
				UnknownDropped: unknown,
				UnknownApplied: unknown,
				UnknownLate:    amounts[faults.StoreLate],
				Slow:           time.Duration(amounts[faults.StoreSlow]) * time.Millisecond,
			})
			if err != nil {
				r.world.Fail("harness", err)
			}
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
