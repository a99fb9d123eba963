package simfdb

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// The files in testdata hold what a real server answered, one recorded line
// ("- what was done -> what came back") after the other, each followed by a
// script that does the same on the simulated cluster, or by "left out:" and a
// reason. A script is steps between semicolons:
//
//	T1 get b -> "1"      the answer, which must occur in the recorded line
//	T1 get b => "1"      an answer that the recording does not spell out
//	db set b 1           in a transaction of its own
//	sleep 1s; kill; down; up 0.5s
//
// T1, T2, … are transactions, each of a client process of its own. A line that
// begins with "- ..." goes on in the world of the line before; all others begin
// a new one, with the steps under "world".

// fact is a recorded line and its script.
type fact struct {
	line    int
	text    string
	script  []string
	leftOut bool
}

func readFacts(t *testing.T, file string) (world []string, facts []fact) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	into := &world
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#") || line == "world":
		case strings.HasPrefix(line, "- "):
			facts = append(facts, fact{line: i + 1, text: line[2:]})
			into = &facts[len(facts)-1].script
		case strings.HasPrefix(line, "    left out: "):
			facts[len(facts)-1].leftOut = true
		case strings.HasPrefix(line, "    "):
			*into = append(*into, strings.Split(strings.TrimSpace(line), "; ")...)
		default:
			t.Fatalf("%s:%d: neither a fact nor a script", file, i+1)
		}
	}
	return world, facts
}

func TestRecordedFacts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			world, facts := readFacts(t, file)
			var r *recital
			for _, f := range facts {
				switch {
				case f.leftOut:
					continue
				case len(f.script) == 0:
					t.Errorf("line %d has no script", f.line)
					continue
				case r == nil || !strings.HasPrefix(f.text, "..."):
					r = newRecital(t, world)
				}
				for _, step := range f.script {
					if err := r.check(f, step); err != nil {
						t.Errorf("line %d: %s\n%s: %v", f.line, f.text, step, err)
					}
				}
			}
		})
	}
}

func TestTranscriptRejectsWrongAnswers(t *testing.T) {
	f := fact{text: `get a -> "1"`}
	for _, step := range []string{`T1 get a -> "2"`, `T1 get a -> nil`, `T1 get a => "2"`, `T1 nonsense a`, `T1 set b 2; T1 version -> 5`} {
		r := newRecital(t, []string{"db set a 1"})
		if err := r.check(f, step); err == nil {
			t.Errorf("%s was accepted", step)
		}
	}
	if err := newRecital(t, []string{"db set a 1"}).check(f, `T1 get a -> "1"`); err != nil {
		t.Error(err)
	}
}

// recital is a world in which scripts run.
type recital struct {
	lab
	transactions map[string]*recited
}

// recited is a transaction of a script.
type recited struct {
	*Transaction
	h       *sim.Host
	client  *Client
	watch   *Watch
	started time.Duration // of the last step
	took    time.Duration
}

func newRecital(t *testing.T, world []string) *recital {
	t.Helper()
	r := &recital{lab: *newLab(t, 1, Options{RecoveryMin: 400 * time.Millisecond, RecoveryMax: time.Second}), transactions: map[string]*recited{}}
	for _, step := range world {
		if err := r.check(fact{}, step); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// check runs a step and compares its answer.
func (r *recital) check(f fact, step string) error {
	recorded := true
	command, want, ok := strings.Cut(step, " -> ")
	if !ok {
		recorded = false
		command, want, ok = strings.Cut(step, " => ")
	}
	got, err := r.do(strings.Fields(command))
	if err != nil {
		return err
	}
	if strings.HasSuffix(command, " result") {
		_, want, _ = strings.Cut(f.text, " -> ")
		ok = true
	}
	if !ok {
		return nil
	}
	if recorded && !strings.Contains(f.text, want) {
		return fmt.Errorf("the recorded line does not say %q", want)
	}
	return match(got, want)
}

// match compares an answer with the one wanted: a text, "positive", or "from a
// to b" and "a to b" for a number or a duration.
func match(got, want string) error {
	parts := strings.Fields(strings.TrimPrefix(want, "from "))
	ok := got == want
	switch {
	case want == "positive":
		n, err := strconv.ParseInt(got, 10, 64)
		ok = err == nil && n > 0
	case len(parts) == 3 && parts[1] == "to" && strings.HasPrefix(want, "from "):
		n, low, high := number(got), number(parts[0]), number(parts[2])
		ok = low <= n && n <= high
	case len(parts) == 3 && parts[1] == "to":
		d, err := time.ParseDuration(got)
		low, _ := time.ParseDuration(parts[0])
		high, _ := time.ParseDuration(parts[2])
		ok = err == nil && low <= d && d <= high
	}
	if !ok {
		return fmt.Errorf("got %s, want %s", clip(got), clip(want))
	}
	return nil
}

func clip(s string) string { return s[:min(len(s), 300)] }

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1 << 62
	}
	return n
}

// do runs one command and returns its answer.
func (r *recital) do(args []string) (string, error) {
	switch args[0] {
	case "sleep":
		d, err := time.ParseDuration(args[1])
		r.run(d)
		return "", err
	case "kill", "down":
		for _, s := range r.c.Servers() {
			r.Lookup(s).Crash()
			if args[0] == "kill" {
				r.Lookup(s).Restart()
			}
		}
		return "", nil
	case "up":
		d, err := time.ParseDuration(args[1])
		r.After(d, "up", func() {
			for _, s := range r.c.Servers() {
				r.Lookup(s).Restart()
			}
		})
		return "", err
	case "db":
		tx := r.begin(context.Background(), "db")
		out, err := r.step(tx, args[1:])
		if err == nil && args[1] != "get" && args[1] != "range" {
			out, err = r.step(tx, []string{"commit"})
			if out != "ok" {
				err = fmt.Errorf("db: %s", out)
			}
		}
		return out, err
	}
	tx := r.transactions[args[0]]
	if tx == nil {
		tx = r.begin(context.Background(), args[0])
		r.transactions[args[0]] = tx
	}
	return r.step(tx, args[1:])
}

// begin starts a transaction of the process of that name.
func (r *recital) begin(ctx context.Context, name string) *recited {
	p := r.Lookup(name)
	if p == nil {
		p = r.Process(name, sim.ProcessOptions{})
		p.Start(func(context.Context, *sim.Host) {})
		r.run(0)
	}
	tx := &recited{h: p.Host(), client: r.c.Client(p.Host())}
	tx.Transaction = tx.client.Transaction(ctx)
	return tx
}

// step runs a command in a task and waits for it.
func (r *recital) step(tx *recited, args []string) (string, error) {
	var out string
	var err error
	done := false
	tx.h.Go("step", func(context.Context) {
		tx.started = r.Now()
		out, err = r.command(tx, args)
		if args[0] != "took" {
			tx.took = r.Now() - tx.started
		}
		done = true
	})
	for limit := r.Now() + 10*time.Second; !done && r.Now() < limit; {
		if stopped := r.Run(r.Now() + 100*time.Microsecond); stopped != nil {
			return "", stopped
		}
	}
	if !done {
		return "", fmt.Errorf("no answer in 10 s")
	}
	return out, err
}

func (r *recital) command(tx *recited, args []string) (string, error) {
	arg := func(i int) []byte {
		if i < len(args) {
			return literal(args[i])
		}
		return nil
	}
	switch args[0] {
	case "get", "sget", "range", "getkey", "selrange":
		return r.read(tx, args), nil
	case "set":
		tx.Set(arg(1), arg(2))
	case "clear":
		tx.Clear(arg(1))
	case "clearrange":
		tx.ClearRange(arg(1), arg(2))
	case "add":
		tx.Atomic(Add, arg(1), arg(2))
	case "atomic":
		tx.Atomic(MutationType(number(args[1])), arg(2), arg(3))
	case "stampkey":
		tx.SetStampedKey(arg(1), arg(2), int(number(args[3])))
	case "stampval":
		tx.SetStamped(arg(1), arg(2), int(number(args[3])))
	case "fill":
		for i := range number(args[1]) {
			tx.Set(fmt.Appendf(nil, "key-%05d", i), make([]byte, 100_000))
		}
	case "readconflict", "writeconflict":
		return addConflict(tx, args[0], arg(1), args[2:]), nil
	case "hidden":
		tx.HideNextWrite()
	case "cancel":
		tx.Cancel()
	case "timeout":
		d, err := time.ParseDuration(args[1])
		ctx, _ := tx.h.WithTimeout(tx.h.Context(), d)
		tx.Transaction = tx.client.Transaction(ctx)
		return "", err
	case "setversion":
		return outcome(tx.SetReadVersion(Version(number(args[1])))), nil
	case "setrv":
		probe := tx.client.Transaction(tx.h.Context())
		rv, err := probe.ReadVersion()
		if err != nil {
			return "", err
		}
		return outcome(tx.SetReadVersion(Version(rv) + Version(number(args[1])))), nil
	case "watch", "pwatch":
		w, err := tx.Transaction.watch(arg(1), args[0] == "pwatch")
		tx.watch = w
		return outcome(err), nil
	case "cancelwatch":
		tx.watch.Cancel()
	case "fired":
		d, err := time.ParseDuration(args[1])
		ctx, cancel := tx.h.WithTimeout(tx.h.Context(), d)
		defer cancel()
		switch werr := tx.watch.Wait(ctx); {
		case ctx.Err() != nil:
			return "not fired in " + args[1], err
		default:
			return "fired " + outcome(werr), err
		}
	default:
		return r.ask(tx, args)
	}
	return "", nil
}

// ask answers the commands that commit, or ask what became of it.
func (r *recital) ask(tx *recited, args []string) (string, error) {
	other := r.transactions[args[len(args)-1]]
	switch args[0] {
	case "commit":
		return outcome(tx.Commit()), nil
	case "result":
		conflicts := "read conflict: " + ranges(tx.ReadConflicts()) + " | write conflict: " + ranges(tx.WriteConflicts())
		tx.Set([]byte("zz-out"), nil)
		return "T1 commit: " + outcome(tx.Commit()) + " | " + conflicts, nil
	case "reads":
		return ranges(tx.ReadConflicts()), nil
	case "writes":
		return ranges(tx.WriteConflicts()), nil
	case "size":
		return fmt.Sprint(tx.ApproximateSize()), nil
	case "version":
		return fmt.Sprint(tx.CommittedVersion()), nil
	case "stamp":
		stamp, err := tx.Versionstamp()
		if err != nil {
			return outcome(err), nil
		}
		return fmt.Sprintf("0x%x", stamp), nil
	case "stampok":
		stamp, err := tx.Versionstamp()
		v, verr := store.StampVersion(stamp[:], 0)
		return fmt.Sprint(err == nil && verr == nil && v == tx.Committed() && stamp[8] == 0 && stamp[9] == 0), nil
	case "rv":
		_, err := tx.ReadVersion()
		return outcome(err), nil
	case "behind": // the other's commit: read version minus commit version
		return fmt.Sprint(tx.readVersion - other.committed), nil
	case "past":
		return fmt.Sprint(tx.readVersion - other.readVersion), nil
	case "above":
		return fmt.Sprint(tx.committed - other.committed), nil
	case "gap":
		return fmt.Sprint(tx.committed - tx.readVersion), nil
	case "took":
		return tx.took.Round(100 * time.Millisecond).String(), nil
	}
	return "", fmt.Errorf("unknown command %q", args)
}

func addConflict(tx *recited, kind string, begin []byte, rest []string) string {
	end := append(bytes.Clone(begin), 0)
	if len(rest) > 0 {
		end = literal(rest[0])
	}
	if kind == "readconflict" {
		tx.AddReadConflict(begin, end)
	} else {
		tx.AddWriteConflict(begin, end)
	}
	return outcome(tx.deferred)
}

func (r *recital) read(tx *recited, args []string) string {
	switch args[0] {
	case "getkey":
		key, err := tx.GetKey(selector(args[1]))
		if err != nil {
			return outcome(err)
		}
		return showKey(string(key))
	case "selrange":
		rows, _, err := tx.GetRangeSelected(selector(args[1]), selector(args[2]), store.RangeOptions{})
		return r.rows(rows, err)
	case "range":
		var o store.RangeOptions
		reader := store.Reader(tx.Transaction)
		for _, a := range args[3:] {
			switch a {
			case "reverse":
				o.Reverse = true
			case "snapshot":
				reader = tx.Snapshot()
			default:
				o.Limit = int(number(strings.TrimPrefix(a, "limit=")))
			}
		}
		rows, _, err := reader.GetRange(literal(args[1]), literal(args[2]), o)
		return r.rows(rows, err)
	}
	get := tx.Get
	if args[0] == "sget" {
		get = tx.Snapshot().Get
	}
	value, err := get(literal(args[1]))
	if err != nil {
		return failure(err)
	}
	return r.show(value)
}

func (r *recital) rows(rows []store.KeyValue, err error) string {
	if err != nil {
		return failure(err)
	}
	var out []string
	for _, kv := range rows {
		out = append(out, r.hideStamp(showKey(string(kv.Key)))+"="+r.show(kv.Value))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// show prints a value: quoted text, or hex, with stamps that were given out
// replaced by their name.
func (r *recital) show(value []byte) string {
	switch {
	case value == nil:
		return "nil"
	case len(value) > 1000:
		return fmt.Sprintf("%d bytes", len(value))
	case strings.ContainsFunc(string(value), func(c rune) bool { return c < ' ' || c > '~' }):
		return r.hideStamp("0x" + hex.EncodeToString(value))
	default:
		return strconv.Quote(string(value))
	}
}

func (r *recital) hideStamp(shown string) string {
	for _, tx := range r.transactions {
		stamp, err := tx.Versionstamp()
		if err != nil {
			continue
		}
		shown = strings.ReplaceAll(shown, hex.EncodeToString(stamp[:]), "<stamp>")
		shown = strings.ReplaceAll(shown, showKey(string(stamp[:])), "<stamp>")
	}
	return shown
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	s := strings.TrimPrefix(err.Error(), "fdb: ")
	s, _, _ = strings.Cut(s, ": simfdb")
	return s
}

func failure(err error) string { return "err " + outcome(err) }

func ranges(rs []KeyRange) string {
	if len(rs) == 0 {
		return "none"
	}
	var out []string
	for _, r := range rs {
		out = append(out, "["+showKey(r.Begin)+", "+showKey(r.End)+")")
	}
	return strings.Join(out, " ")
}

func showKey(key string) string {
	if key == "" {
		return "(empty)"
	}
	var b strings.Builder
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// literal reads a key or a value: (empty), 0x… in hex, x*n for n times the byte
// x, and \x00 and \xff for those bytes.
func literal(s string) []byte {
	switch {
	case s == "(empty)":
		return []byte{}
	case strings.HasPrefix(s, "0x"):
		b, err := hex.DecodeString(s[2:])
		if err != nil {
			panic(err)
		}
		return b
	case len(s) > 2 && s[1] == '*':
		return bytes.Repeat([]byte(s[:1]), int(number(s[2:])))
	}
	for _, c := range []byte{0, 1, 0xfe, 0xff} {
		s = strings.ReplaceAll(s, fmt.Sprintf("\\x%02x", c), string([]byte{c}))
	}
	return []byte(s)
}

// selector reads >=key, >key, <key, <=key, with +n behind.
func selector(s string) Selector {
	s, plus, _ := strings.Cut(s, "+")
	for _, form := range []struct {
		prefix string
		make   func([]byte) Selector
	}{{">=", FirstAtOrAfter}, {">", FirstAfter}, {"<=", LastAtOrBefore}, {"<", LastBefore}} {
		if key, ok := strings.CutPrefix(s, form.prefix); ok {
			sel := form.make(literal(key))
			if plus != "" {
				sel = sel.Plus(int(number(plus)))
			}
			return sel
		}
	}
	panic("no selector: " + s)
}
