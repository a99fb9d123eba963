//go:build linux

package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/store"
)

// TestMain lets the test binary play the processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains(Roles(), os.Args[1]) {
		os.Exit(Play(context.Background(), os.Args[1], os.Args[2:], append(soak.Stores(), pair()), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func storeNamed(t *testing.T, name string) soak.Store {
	t.Helper()
	for _, s := range soak.Stores() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no store %s", name)
	return soak.Store{}
}

func options(t *testing.T) Options {
	t.Helper()
	return Options{
		Store: storeNamed(t, "disk"), Processes: 3, For: 4 * time.Second, TTL: 300 * time.Millisecond, Seed: 1,
		Kill: true, Pause: true, Program: os.Args[0], Dir: t.TempDir(),
	}
}

// ran is a fleet that has run and is over.
func ran(t *testing.T, o Options) (*fleet, *Result) {
	t.Helper()
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	f := newFleet(o)
	res, err := f.all(t.Context())
	if err := errors.Join(err, f.end()); err != nil {
		t.Fatal(err)
	}
	return f, res
}

// conclusive runs a fleet until one shows what a test wants to see, with longer leases
// each time: where a disk takes longer to sync than a lease lasts, no session lives
// through a run, and nothing can be told from it.
func conclusive(t *testing.T, o Options, shown func(*fleet, *Result) bool) (*fleet, *Result) {
	t.Helper()
	for range 3 {
		o.Dir = t.TempDir()
		f, res := ran(t, o)
		if shown(f, res) {
			return f, res
		}
		t.Logf("not conclusive with leases of %v: %+v", o.TTL, *res)
		o.TTL, o.For = 5*o.TTL, 5*o.For
	}
	t.Fatal("it was never seen")
	return nil, nil
}

// TestAFleetHoldsAndItsJudgeCanFail runs processes that are killed and frozen, and
// then judges doctored copies of what they left.
func TestAFleetHoldsAndItsJudgeCanFail(t *testing.T) {
	f, _ := conclusive(t, options(t), func(_ *fleet, res *Result) bool {
		if res.Violation != nil || res.Interrupted {
			t.Fatalf("interrupted %v, %+v", res.Interrupted, res.Violation)
		}
		report := linearizability.Check(res.History, linearizability.Options{})
		if err := report.Err(); err != nil {
			t.Fatal(err)
		}
		n, a := &res.Faults, &res.Accounted
		return n.Kills > 0 && n.Freezes > 0 && a.Claims > 0 && a.Believed > 0 && res.Sink.Accepted > 0 && res.Counts.Operations() > 100
	})
	for _, c := range []struct {
		name   string
		doctor func(p patient)
		rule   string // of the judge or the checker; "": none
		err    string
	}{
		{"nothing", func(patient) {}, "", ""},
		{"a torn last line", func(p patient) { appendTo(p.t, p.path(historyFile, "nodes-1.1"), `{"e":"inv`) }, "", ""},
		{"a line that is lost", func(p patient) { appendTo(p.t, p.path(historyFile, "nodes-1.1"), "x\n") }, "", "nodes-1.1.history.jsonl"},
		{"a stale write that got through", func(p patient) { believe(p.t, p.fleet, true) }, sink.RuleStaleWrite, ""},
		{"two that believed at once", func(p patient) { believe(p.t, p.fleet, false) }, sink.RuleTwoBelieved, ""},
		{"a use after a higher token", func(p patient) { staleUse(p.t, p.fleet) }, string(linearizability.RuleStaleUse), ""},
		{"a handle that outlives a freeze", func(p patient) { useAcross(p.t, p.fleet) }, RuleOutlivedFreeze, ""},
		{"a claim that the store has lost", func(p patient) { clear(p.standing.Owners) }, soak.RuleUnaccounted, ""},
		{"a guarded write that the store has lost", func(p patient) { clear(p.standing.Guarded) }, soak.RuleUnaccounted, ""},
		{"a payload that nobody sent", func(p patient) {
			appendTo(p.t, p.path(notesFile, "nodes-1.1"), `{"t":1,"note":"opened","actor":"actor-1","token":7,"payload":"x"}`+"\n")
		}, soak.RuleWrongPayload, ""},
		{"a soak that tested nothing", func(p patient) {
			p.faults, p.o.For, p.o.Processes = nil, demandSpan*p.o.TTL, demandTogether
		}, RuleNeverHappened, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := f.o
			o.Dir = filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(o.Dir, os.DirFS(f.o.Dir)); err != nil {
				t.Fatal(err)
			}
			standing := *f.standing
			standing.Owners, standing.Guarded = cloned(standing.Owners), cloned(standing.Guarded)
			g := &fleet{
				o: o, clock: f.clock, began: f.began, backend: f.backend, slots: f.slots, server: f.server,
				standing: &standing, faults: f.faults, cuts: f.cuts, usage: f.usage,
			}
			c.doctor(patient{g, t})
			var res Result
			err := g.judge(&res)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want one about %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := rules(&res)
			if c.rule == "" && len(got) > 0 || c.rule != "" && !slices.Contains(got, c.rule) {
				t.Errorf("broken: %v, want %q", got, c.rule)
			}
		})
	}
}

// patient is a copy of a fleet that has run, to be doctored.
type patient struct {
	*fleet
	t *testing.T
}

// rules names what the judge and the checker find broken.
func rules(res *Result) []string {
	var got []string
	if res.Violation != nil {
		got = append(got, res.Violation.Rule)
	}
	for _, v := range linearizability.Check(res.History, linearizability.Options{}).Violations {
		got = append(got, string(v.Rule))
	}
	return got
}

func cloned[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// believe adds a write of a token below the last one that was accepted, by one who
// found it valid after the higher one had been.
func believe(t *testing.T, f *fleet, accepted bool) {
	t.Helper()
	decisions, err := readLines[sink.Decision](f.path(sinkFile))
	if err != nil {
		t.Fatal(err)
	}
	d := decisions[len(decisions)-1]
	d.Token--
	d.Node, d.Accepted, d.Asked, d.Answered = "stranger", accepted, d.Answered+1, d.Answered+2
	line, err := json.Marshal(&d)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, f.path(sinkFile), string(line)+"\n")
}

// history adds a file with operations of a process that there was not.
func history(t *testing.T, f *fleet, ops ...linearizability.Op) {
	t.Helper()
	var file bytes.Buffer
	j, err := linearizability.NewJournal(&file, linearizability.Header{})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		id := j.Invoke(op.Call, op)
		j.Return(op.Return, id, linearizability.Result{Outcome: op.Outcome})
	}
	if err := errors.Join(j.Err(), os.WriteFile(f.path(historyFile, "doctor"), file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// use is one of a claim's handle, at a time.
func use(claim *linearizability.Op, at time.Duration) linearizability.Op {
	return linearizability.Op{
		Client: "doctor", Kind: linearizability.KindUse, Node: claim.Node, Incarnation: claim.Incarnation,
		Actor: claim.Actor, Token: claim.Token, Call: at, Return: at + 1, Outcome: linearizability.OutcomeValid,
	}
}

// staleUse lets the first owner of an actor believe after the last one has got it.
func staleUse(t *testing.T, f *fleet) {
	t.Helper()
	h, err := f.readHistories()
	if err != nil {
		t.Fatal(err)
	}
	first := make(map[string]*linearizability.Op)
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind != linearizability.KindClaim || op.Outcome != linearizability.OutcomeOK {
			continue
		}
		before := first[op.Actor]
		if before != nil && before.Token < op.Token {
			history(t, f, use(before, op.Return+1))
			return
		}
		first[op.Actor] = op
	}
	t.Fatal("no actor had two owners")
}

// useAcross lets a node believe at once in what it had before a freeze, right after it.
func useAcross(t *testing.T, f *fleet) {
	t.Helper()
	h, err := f.readHistories()
	if err != nil {
		t.Fatal(err)
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind == linearizability.KindClaim && op.Outcome == linearizability.OutcomeOK && op.Client != "auditor/0" {
			n := 0
			if _, err := fmt.Sscanf(op.Node, "node-%d", &n); err != nil {
				t.Fatal(err)
			}
			f.faults = append(slices.Clone(f.faults), Fault{
				Kind: faultFreeze, Target: "nodes", Nodes: []int{n - 1}, At: op.Return, Until: op.Return + f.o.TTL,
			})
			history(t, f, use(op, op.Return+f.o.TTL))
			return
		}
	}
	t.Fatal("no claims")
}

// TestARecordThatIsDeletedIsMissed deletes what one live session owns, behind the back
// of everybody, in the store itself.
func TestARecordThatIsDeletedIsMissed(t *testing.T) {
	o := options(t)
	o.For, o.Kill, o.Pause = MinSpan*o.TTL, false, false
	o.tamper = deleteActors
	conclusive(t, o, func(_ *fleet, res *Result) bool {
		if v := res.Violation; v != nil && v.Rule != soak.RuleUnaccounted {
			t.Fatalf("every record of an actor was deleted: %+v, want %s", v, soak.RuleUnaccounted)
		}
		return res.Violation != nil // else no session lived that had any
	})
}

// deleteActors deletes every key that names an actor, in the end.
func deleteActors(ctx context.Context, engine store.Engine) error {
	for {
		err := tryToDeleteActors(ctx, engine)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func tryToDeleteActors(ctx context.Context, engine store.Engine) error {
	tx := engine.Begin(ctx)
	defer tx.Cancel()
	rows, more, err := tx.Snapshot().GetRange(nil, []byte{0xff}, store.RangeOptions{Limit: 10_000})
	if err != nil || more {
		return fmt.Errorf("more %v, error %w", more, err)
	}
	for _, row := range rows {
		if bytes.Contains(row.Key, []byte("actor-")) && !bytes.HasPrefix(row.Key, []byte("data/")) {
			tx.Clear(row.Key)
		}
	}
	return tx.Commit()
}

func TestAnInterruptedFleetReturnsWhatWasDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options(t)
	o.For = time.Hour
	o.Tick = func() {
		histories, err := filepath.Glob(filepath.Join(o.Dir, fmt.Sprintf(historyFile, "*")))
		if err != nil {
			t.Error(err)
		}
		for _, name := range histories {
			if text, err := os.ReadFile(name); err != nil {
				t.Error(err)
			} else if bytes.Count(text, []byte("\n")) > 10 {
				cancel()
			}
		}
	}
	res, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Interrupted || res.Violation != nil || len(res.History.Ops) == 0 {
		t.Errorf("interrupted %v, violation %v, %d operations", res.Interrupted, res.Violation, len(res.History.Ops))
	}
}

func TestAFleetThatIsInterruptedAtItsStartSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, options(t)); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "before all processes had started") {
		t.Errorf("error %v", err)
	}
}

func TestAProcessThatDoesNotStartIsAFaultOfTheHarness(t *testing.T) {
	o := options(t)
	o.Program = filepath.Join(t.TempDir(), "none")
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "start") {
		t.Errorf("error %v", err)
	}
}

func TestAProcessThatDiesByItselfIsAFaultOfTheHarness(t *testing.T) {
	o := options(t)
	o.Kill, o.Pause = false, false
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	f := newFleet(o)
	once := sync.OnceFunc(func() {
		f.slots[0].mu.Lock()
		defer f.slots[0].mu.Unlock()
		if err := f.slots[0].p.Kill(); err != nil { // behind the harness's back, as when memory is short
			t.Error(err)
		}
	})
	f.o.Tick = once
	_, err := f.all(t.Context())
	if err := errors.Join(err, f.end()); err == nil || !strings.Contains(err.Error(), "ended that was to go on") {
		t.Errorf("error %v", err)
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*Options)
	}{
		{"Processes", func(o *Options) { o.Processes = 0 }},
		{"Processes", func(o *Options) { o.Processes = MaxProcesses + 1 }},
		{"Nodes", func(o *Options) { o.Nodes = 2 }},
		{"Nodes", func(o *Options) { o.Nodes = soak.MaxNodes + 1 }},
		{"Actors", func(o *Options) { o.Actors = -1 }},
		{"TTL", func(o *Options) { o.TTL = MinTTL - 1 }},
		{"For", func(o *Options) { o.For = MinSpan*o.TTL - 1 }},
		{"Store", func(o *Options) { o.Store = storeNamed(t, "memory") }},
	} {
		o := options(t)
		c.change(&o)
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("error %v, want %v about %s", err, ErrOptions, c.field)
		}
	}
}
