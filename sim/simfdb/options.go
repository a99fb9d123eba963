package simfdb

import (
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// Options of a [Cluster]. The zero value is a cluster on one fast network.
type Options struct {
	// Name prefixes the names of the server processes: "fdb" gives "fdb-proxy",
	// "fdb-resolver", "fdb-log" and "fdb-storage". Default: "fdb".
	Name string

	// ServerLink is set on the links between the servers. Default: 50 to 150 µs.
	ServerLink sim.Link
	// ClientLink is set, once, on the links between each process that has a
	// client and the servers. The zero Link leaves those as the network has them.
	ClientLink sim.Link

	// BatchInterval is how long the proxy gathers commits; above 0. Default: 500 µs.
	BatchInterval time.Duration
	// MaxBatch bounds the transactions in a batch; 1 to 65,535. Default: 1,000.
	MaxBatch int
	// MaxQueue bounds the commits that the proxy holds; more get error 1042.
	// Above 0. Default: 10,000.
	MaxQueue int

	// SyncMin and SyncMax bound the time that the log takes to make a batch
	// durable. Default: none, the link to the log accounts for it.
	SyncMin, SyncMax time.Duration

	// RecoveryMin and RecoveryMax bound how long a recovery takes beyond its
	// messages. Default: 0.5 to 1.5 s. The first start of a cluster takes none.
	RecoveryMin, RecoveryMax time.Duration

	// FailureTimeout is how long a client with a commit in flight hears nothing
	// from the proxy before it gives the connection up; above 0. Default: 2 s.
	FailureTimeout time.Duration
	// Keepalive is how often a client with watches renews them; above 0.
	// Default: 5 s.
	Keepalive time.Duration

	// ReadVersionBatch is how long a client gathers transactions that ask for a
	// read version, to ask once for them all. 0 to 100 ms; 0: each asks for itself.
	ReadVersionBatch time.Duration
	// ReadVersionRate bounds the read versions given out per second to transactions
	// of default priority; more have to wait, and those of priority batch get 1051.
	// 0 to 1,000,000; 0: no bound.
	ReadVersionRate int

	// Faults are the faults that no crash or cut brings about; see
	// [Cluster.SetFaults].
	Faults Faults
}

// Faults are probabilities, 0 to 1, of faults that the servers show of
// themselves. What a request meets is drawn by its identity, so that it does
// not depend on other requests.
type Faults struct {
	TagThrottled   float64 // a read version request gets 1213
	BatchRateLimit float64 // a read version request gets 1051
	ProcessBehind  float64 // a read gets 1037
	FutureVersion  float64 // a read gets 1009
	TimedOut       float64 // a read gets 1004, which is worth no other try to the client
	ProxyMemory    float64 // a commit gets 1042
	Conflict       float64 // a commit gets 1020, though nothing conflicts
	RequestLost    float64 // the connection breaks when a commit arrives: not applied
	ReplyLost      float64 // the connection breaks when a commit is done: applied
	UpgradeBefore  float64 // a commit gets 1039 when it arrives: not applied
	UpgradeAfter   float64 // a commit gets 1039 when it is done: applied
}

// rates returns the probabilities with their names, in the order of the fields.
func (f *Faults) rates() []namedRate {
	return []namedRate{
		{"TagThrottled", f.TagThrottled},
		{"BatchRateLimit", f.BatchRateLimit},
		{"ProcessBehind", f.ProcessBehind},
		{"FutureVersion", f.FutureVersion},
		{"TimedOut", f.TimedOut},
		{"ProxyMemory", f.ProxyMemory},
		{"Conflict", f.Conflict},
		{"RequestLost", f.RequestLost},
		{"ReplyLost", f.ReplyLost},
		{"UpgradeBefore", f.UpgradeBefore},
		{"UpgradeAfter", f.UpgradeAfter},
	}
}

type namedRate struct {
	name string
	rate float64
}

// Validate returns an error that names the field that is not a probability.
func (f Faults) Validate() error {
	for _, r := range f.rates() {
		if !(r.rate >= 0 && r.rate <= 1) {
			return fmt.Errorf("simfdb: Faults.%s is %v, must be 0 to 1", r.name, r.rate)
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	setDefault(&o.Name, "fdb")
	setDefault(&o.ServerLink, sim.Link{LatencyMin: 50 * time.Microsecond, LatencyMax: 150 * time.Microsecond})
	setDefault(&o.BatchInterval, 500*time.Microsecond)
	setDefault(&o.MaxBatch, 1000)
	setDefault(&o.MaxQueue, 10_000)
	if o.RecoveryMin == 0 && o.RecoveryMax == 0 {
		o.RecoveryMin, o.RecoveryMax = 500*time.Millisecond, 1500*time.Millisecond
	}
	setDefault(&o.FailureTimeout, 2*time.Second)
	setDefault(&o.Keepalive, 5*time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that names the fields that are out of range. A zero
// field that has a default is in range.
func (o Options) Validate() error {
	o.setDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("simfdb: Options."+format, args...))
		}
	}
	check(o.BatchInterval > 0, "BatchInterval is %v, must be above 0", o.BatchInterval)
	check(o.MaxBatch > 0 && o.MaxBatch <= 65_535, "MaxBatch is %d, must be 1 to 65,535", o.MaxBatch)
	check(o.MaxQueue > 0, "MaxQueue is %d, must be above 0", o.MaxQueue)
	check(o.SyncMin >= 0 && o.SyncMin <= o.SyncMax, "SyncMin is %v, must be 0 to SyncMax (%v)", o.SyncMin, o.SyncMax)
	check(o.RecoveryMin >= 0 && o.RecoveryMin <= o.RecoveryMax, "RecoveryMin is %v, must be 0 to RecoveryMax (%v)", o.RecoveryMin, o.RecoveryMax)
	check(o.FailureTimeout > 0, "FailureTimeout is %v, must be above 0", o.FailureTimeout)
	check(o.Keepalive > 0, "Keepalive is %v, must be above 0", o.Keepalive)
	check(o.ReadVersionBatch >= 0 && o.ReadVersionBatch <= 100*time.Millisecond, "ReadVersionBatch is %v, must be 0 to 100ms", o.ReadVersionBatch)
	check(o.ReadVersionRate >= 0 && o.ReadVersionRate <= 1_000_000, "ReadVersionRate is %d, must be 0 to 1,000,000", o.ReadVersionRate)
	errs = append(errs, o.Faults.Validate())
	return errors.Join(errs...)
}
