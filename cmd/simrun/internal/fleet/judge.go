package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/proxy"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// RuleNeverHappened: a long soak did not reach what it is there to test.
const RuleNeverHappened = "never-happened"

// A soak that lasts demandSpan TTLs, and whose processes last demandTogether together,
// must have seen what it is there for; one of luckTogether also what takes some luck.
const (
	demandSpan     = 60
	demandTogether = 240
	luckTogether   = 2000
)

// judge reads what the processes have left and fills the result. The first violation
// is kept, in the order of what may be behind the others.
func (f *fleet) judge(res *Result) error {
	history, err := f.readHistories()
	if err != nil {
		return err
	}
	ledger, err := f.readNotes()
	if err != nil {
		return err
	}
	decisions, err := readLines[sink.Decision](f.path(sinkFile))
	if err != nil {
		return err
	}
	res.History, res.Described = history, f.backend.described()
	res.Counts = soak.Count(history, ledger)
	written := sink.Judge(decisions)
	res.Sink = SinkCounts{Accepted: written.Accepted, Refused: written.Refused, Believers: written.Believers}
	thawed := outlived(history, f.faults, f.o.TTL)
	f.count(res, thawed)
	res.Failovers.Node = spreadOf(nodeFailovers(history, f.faults), f.o.TTL)
	sinceKill, sinceStart := serverFailovers(history, f.faults)
	res.Failovers.Server, res.Failovers.ServerStart = spreadOf(sinceKill, f.o.TTL), spreadOf(sinceStart, f.o.TTL)
	if f.server != nil {
		res.Server = serverUsage(f.usage, f.server.life)
	}
	find := func(v *soak.Violation) {
		if v != nil && v.Rule != "" && v.Message != "" && res.Violation == nil {
			res.Violation = v
		}
	}
	find(&soak.Violation{Rule: written.Rule, Message: written.Message})
	find(&soak.Violation{Rule: RuleOutlivedFreeze, Message: thawed.broken})
	find(ledger.Defect())
	if f.standing != nil {
		var v *soak.Violation
		res.Accounted, v = f.standing.Judge(history)
		find(v)
	}
	find(f.audited)
	if ttls := float64(f.o.For) / float64(f.o.TTL); !res.Interrupted && ttls >= demandSpan && ttls*float64(f.o.Processes) >= demandTogether {
		find(&soak.Violation{Rule: RuleNeverHappened, Message: f.missing(res)})
	}
	return f.writeFaults()
}

func (f *fleet) readHistories() (*linearizability.History, error) {
	files, err := filepath.Glob(f.path(historyFile, "*"))
	if err != nil {
		return nil, err
	}
	parts := make([]*linearizability.History, 0, len(files))
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		h, err := linearizability.DecodeJournal(file, linearizability.Limits{})
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		parts = append(parts, h)
	}
	return linearizability.Merge(linearizability.Header{Scenario: f.scenario(), Seed: f.o.Seed}, parts...), nil
}

// readNotes adds all notes up, in the order of their times.
func (f *fleet) readNotes() (*soak.Ledger, error) {
	files, err := filepath.Glob(f.path(notesFile, "*"))
	if err != nil {
		return nil, err
	}
	var all []soak.Note
	for _, name := range files {
		notes, err := readLines[soak.Note](name)
		if err != nil {
			return nil, err
		}
		all = append(all, notes...)
	}
	slices.SortStableFunc(all, func(a, b soak.Note) int { return cmp.Compare(a.At, b.At) })
	ledger := soak.NewLedger()
	for _, n := range all {
		ledger.Take(n)
	}
	return ledger, nil
}

func readLines[T any](name string) ([]T, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	lines, err := jsonl.Read[T](file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return lines, nil
}

// count counts the faults.
func (f *fleet) count(res *Result, thawed frozen) {
	n := &res.Faults
	n.Cuts, n.OneMember, n.LongFreezes, n.Thawed = f.cuts, f.partly, thawed.long, thawed.asked
	for _, fault := range f.faults {
		switch {
		case fault.Target == serverName && fault.Kind == faultKill:
			n.ServerKills++
		case fault.Target == serverName:
			n.ServerFreezes++
		case fault.Kind == faultKill:
			n.Kills++
		default:
			n.Freezes++
		}
	}
	for _, s := range f.slots {
		for _, p := range s.proxies {
			dropped, resets := p.Stats()
			n.DroppedBytes += dropped
			n.Resets += resets
		}
	}
}

// missing names what did not happen; "" when everything did.
func (f *fleet) missing(res *Result) string {
	lucky := float64(f.o.For)/float64(f.o.TTL)*float64(f.o.Processes) >= luckTogether
	members := len(f.slots[0].proxies)
	proxied := members > 0
	demands := map[string]bool{
		"a session that is degraded":             res.Counts.Degraded > 0,
		"a session that is lost":                 res.Counts.Lost > 0,
		"an actor that fails over":               res.Counts.Failovers > 0,
		"a write that the sink accepts":          res.Sink.Accepted > 0 || !lucky,
		"a write that the sink refuses":          res.Sink.Refused > 0 || !lucky,
		"a claim that is accounted for":          res.Accounted.Claims > 0,
		"a release that is accounted for":        res.Accounted.Releases > 0 || !lucky,
		"a transfer that is accounted for":       res.Accounted.Transfers > 0 || !lucky,
		"a handle that is valid all the while":   res.Accounted.Believed > 0 || !lucky,
		"a commit in doubt":                      res.Counts.Doubts > 0 || !lucky,
		"a kill of a process":                    !f.o.Kill || res.Faults.Kills > 0,
		"a fail-over after the kill of a node":   !f.o.Kill || res.Failovers.Node.N > 0 || !lucky,
		"a freeze of a process":                  !f.o.Pause || res.Faults.LongFreezes > 0,
		"a handle that is asked after a freeze":  !f.o.Pause || res.Faults.Thawed > 0,
		"a kill of the server":                   !f.o.Kill || f.server == nil || res.Faults.ServerKills > 0,
		"a commit after the kill of the server":  !f.o.Kill || f.server == nil || res.Failovers.Server.N > 0,
		"a freeze of the server":                 !f.o.Pause || f.server == nil || res.Faults.ServerFreezes > 0,
		"bytes that go nowhere between the ends": !proxied || res.Faults.DroppedBytes > 0,
		"a connection that is reset":             !proxied || res.Faults.Resets > 0,
		"one member of several that is cut off":  members < 2 || len(f.partly) > 0,
	}
	if proxied {
		for _, m := range proxy.Modes() {
			demands["a connection in the mode "+string(m)] = f.cuts[string(m)] > 0
		}
	}
	for _, what := range slices.Sorted(maps.Keys(demands)) {
		if !demands[what] {
			return "the soak never saw " + what
		}
	}
	return ""
}

// writeFaults leaves the faults beside the histories.
func (f *fleet) writeFaults() error {
	file, err := os.Create(f.path(faultsFile))
	if err != nil {
		return err
	}
	var failed error
	w := jsonl.NewWriter(file, func(err error) { failed = err })
	for i := range f.faults {
		w.Append(&f.faults[i])
	}
	return errors.Join(failed, file.Close())
}
