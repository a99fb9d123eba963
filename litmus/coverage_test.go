package litmus_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onsimfdb"
)

// covered and coveredSlow are the programs of a level that have to show
// everything.
const (
	covered     = 5000
	coveredSlow = 1500
)

// shown runs programs on the simulated FoundationDB and gathers what they show.
func shown(t *testing.T, g litmus.Generation, n uint64) *situations {
	t.Helper()
	s := &situations{counts: map[string]int{}}
	simulated := onsimfdb.New(onsimfdb.Options{})
	defer simulated.Close()
	for seed := range n {
		p := litmus.Generate(g, seed)
		lines, err := simulated.Run(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.program(p, lines)
	}
	return s
}

// must are situations that the programs of a level have to bring about, each at
// least so often as least says.
var must = map[litmus.Level][]string{
	litmus.Port: {
		"get -> nil", "get -> empty", "get -> bytes", "get -> stamped", "get -> error unreadable", "get -> error used", "get -> error invalid",
		"snapshot get -> nil", "snapshot get -> bytes", "get-all -> values", "snapshot get-all -> values",
		"get sees own write -> bytes", "get sees own write -> nil", "range over own writes", "range over own atomics",
		"range -> rows", "range -> no rows", "range limit -> rows more", "range limit -> rows", "range reverse -> rows", "range reverse limit -> rows more",
		"snapshot range limit -> rows more", "range -> error invalid", "range -> error unreadable",
		"refused for a get", "refused for a get of nothing", "refused for a get of several", "refused for a range",
		"refused for a limited range", "refused for a limited reverse range", "refused for an explicit conflict",
		"not refused for a limited reverse range", "not refused for a snapshot", "not refused for own writes",
		"not refused for a watch", "not refused, had read nothing", "read-only, not refused",
		"commit -> ok", "commit -> ok version", "commit -> error invalid", "commit -> error too large", "commit -> error unreadable", "commit -> error used",
		"committed -> none", "committed -> version", "read-version -> version", "cancel -> ok",
		"fired -> fired", "fired -> quiet", "fired -> error conflict", "fired -> error used", "fired -> ended",
	},
	litmus.Client: {
		"get -> nil", "get -> empty", "get -> bytes", "get -> stamped", "get -> error 1025", "get -> error 1036", "get -> error 2004", "get -> error 2017",
		"get sees own write -> bytes", "get sees own write -> nil", "range over own writes", "range over own atomics",
		"range limit -> rows more", "range reverse limit -> rows more", "range -> error 2004", "range -> error 1036",
		"get-key up -> bytes", "get-key up -> the end", "get-key down -> bytes", "get-key down -> empty", "get-key up -> error 2004",
		"selected range -> rows", "selected range reverse -> rows", "selected range limit -> rows more", "selector over own writes",
		"refused for a get", "refused for a range", "refused for a limited range", "refused for selectors", "refused for a watch",
		"refused for an explicit conflict", "not refused for a snapshot", "not refused for own writes", "not refused for selectors",
		"conflict-ranges -> ranges", "a hidden write",
		"append-if-fits on an empty value", "append-if-fits on a shorter value", "atomic-add on a longer value", "atomic-add on a shorter value",
		"atomic-add on a value as long", "bit-and on an empty value", "bit-and on a longer value", "bit-or on a shorter value", "bit-xor on a value as long",
		"byte-max on an empty value", "byte-min on a longer value", "max on a shorter value", "min on an empty value", "compare-and-clear on its operand",
		"compare-and-clear on something else",
		"commit -> error 1020", "commit -> error 1025", "commit -> error 1036", "commit -> error 2000", "commit -> error 2004",
		"commit -> error 2005", "commit -> error 2010", "commit -> error 2011", "commit -> error 2017",
		"commit -> error 2101", "commit -> error 2102", "commit -> error 2103", "commit -> error 1007",
		"committed -> none", "committed -> version", "versionstamp -> stamped", "versionstamp -> error 2020", "versionstamp -> error 2021",
		"approximate-size -> ", "set-read-version first commit -> ok", "set-read-version last commit -> ok",
		"on-error 1020 -> ok", "on-error 1020 -> error 1025", "on-error 2000 -> error 2000", "reset -> ok",
		"fired -> fired", "fired -> quiet", "fired -> error 1020", "fired -> error 1025", "fired -> error 1101",
		"fired before the commit", "two watches of a key fired",
		"committed after a reset -> version", "reset after a commit -> ok", "late-versionstamp -> error 2017",
		"get past an own write", "snapshot get past an own write", "range past own writes", "get sees own write after an option ended",
		"get of a bypassed stamp", "get of a system key -> nil", "get of a system key -> error 2004",
		"get -> error 2000", "get -> error 2006", "get -> error 2109", "get -> error 2113", "range -> error 2112",
		"commit -> error 2006", "commit -> error 2023", "commit -> error 2109", "commit -> error 2114",
		"over the size limit by option", "under the size limit by option", "on-error 1020 at the retry limit -> error 1020",
		"iterate small -> rows more", "iterate medium -> rows", "iterate exact -> error 2210", "iterate small after a read -> rows more",
		"iterate small reverse limit -> rows", "iterate iterator reverse -> rows more",
		"conflict-ranges after an iteration", "conflict-ranges after a range", "conflict-ranges after a limited range",
		"get of a key too long -> nil", "range to a key too long", "clear of a key too long",
		"refused for a stamped key", "not refused for what no stamped key became",
		"conflicting -> ranges", "conflicting -> none",
	},
}

// slowMust are those of slow programs.
var slowMust = map[litmus.Level][]string{
	litmus.Port: {
		"get -> error too old", "range -> error too old", "snapshot get -> error too old", "fired -> error too old",
		"commit of an old one -> error too old", "commit of an old one -> ok", "commit of an old one -> ok version",
	},
	litmus.Client: {
		"get -> error 1007", "get -> error 1009", "range -> error 1007", "get-key up -> error 1007", "selected range -> error 1007", "watch -> error 1007",
		"commit of an old one -> error 1007", "commit of an old one -> ok", "commit of an old one -> ok version", "fired -> error 1007",
	},
}

// least is how often each of them has to come about.
const least = 3

func TestProgramsShowEverything(t *testing.T) {
	for _, level := range []litmus.Level{litmus.Port, litmus.Client} {
		for _, slow := range []bool{false, true} {
			want, n := must[level], uint64(covered)
			if slow {
				want, n = slowMust[level], coveredSlow
			}
			s := shown(t, litmus.Generation{Level: level, Slow: slow}, n)
			for _, name := range want {
				if s.counts[name] < least {
					t.Errorf("%s, slow %v: %q came about %d times in %d programs, want %d", level, slow, name, s.counts[name], n, least)
				}
			}
			if slow {
				continue
			}
			// Clients must meet, and must not always lose.
			if s.contended < covered/4 || s.refused*100 < s.contended*30 || s.refused*100 > s.contended*90 {
				t.Errorf("%s: of %d contended commits %d were refused", level, s.contended, s.refused)
			}
		}
	}
}

// byOneDriver maps the rows of docs/simfdb.md to situations that show them, or
// to the reason why no program can.
var byOneDriver = map[string]string{
	"versions advance by about a million a second of true time":                                                                                       "no: how fast versions advance is not determined",
	"an idle cluster's read version moves in steps of about two seconds":                                                                              "no: how fast versions advance is not determined",
	"the next read version is that of the commit before it, for every client":                                                                         "read-version -> version",
	"concurrent commits share a version, never a stamp":                                                                                               "no: one driver waits for each commit",
	"sequential commits have versions of their own":                                                                                                   "commit -> ok version",
	"of two conflicting commits in one batch one wins":                                                                                                "no: one driver waits for each commit",
	"read-only commits need no server and have version -1":                                                                                            "committed -> none",
	"the committed version outlives a reset":                                                                                                          "committed after a reset -> version",
	"a read version given to a reader is used for no later commit":                                                                                    "commit -> ok version",
	"1007: reads and commits more than five seconds of versions old":                                                                                  "get -> error 1007; commit of an old one -> error 1007",
	"1009: a read above the cluster's version, after a second":                                                                                        "get -> error 1009",
	"set read version; 2010, 2011":                                                                                                                    "set-read-version last commit -> ok; commit -> error 2010; commit -> error 2011",
	"clients gather requests for read versions, if the cluster's options say so":                                                                      "no: one driver waits for each read version",
	"admission at a rate: default priority waits, batch gets 1051, system immediate passes, 1078 when too many wait":                                  "no: one driver waits for each read version, so no cluster is busy",
	"throttled tags: 1213; at most five tags: 2109":                                                                                                   "get -> error 2109",
	"read-your-writes for sets, clears, cleared ranges and atomic operations, in gets, ranges and key selectors":                                      "get sees own write -> nil; range over own writes; range over own atomics; selector over own writes",
	"repeatable reads; what was read once needs no server again, also when too old":                                                                   "commit of an old one -> ok",
	"snapshot reads, which see own writes, or do not by option":                                                                                       "not refused for a snapshot; not refused for own writes; snapshot get past an own write",
	"reads that see no own writes, by option; 2000 when set too late":                                                                                 "get past an own write; range past own writes; get -> error 2000",
	"futures: a read sees the writes made before its call, and the commit waits for it and fails with it":                                             "no: one driver waits for each read before it makes another call",
	"streaming modes, iteration and target bytes, row by row; 2000, 2012, 2210":                                                                       "iterate small -> rows more; iterate medium -> rows; iterate exact -> error 2210",
	"*more* also at exactly the limit; answers of 80,000 bytes with 24 bytes for each row":                                                            "range limit -> rows more; range reverse limit -> rows more",
	"an answer bounded by bytes ends where known rows end":                                                                                            "iterate small after a read -> rows more",
	"the binding's iterator and slice, with limit, reverse and the next answer asked for at a row's taking":                                           "iterate small reverse limit -> rows; iterate iterator reverse -> rows more; conflict-ranges after an iteration",
	"key selectors with offsets, over own writes, in ranges":                                                                                          "get-key down -> empty; selector over own writes; selected range reverse -> rows",
	"size estimates and split points, which conflict with nothing":                                                                                    "no: FoundationDB estimates sizes by sampling",
	"keys over the limit are known to be missing, and shortened in ranges":                                                                            "get of a key too long -> nil; range to a key too long; clear of a key too long",
	"the data at each version of the window":                                                                                                          "set-read-version first commit -> ok",
	"1020, and the read and write conflict ranges of each kind of read and write":                                                                     "conflict-ranges -> ranges; commit -> error 1020; refused for selectors",
	"an exhausted range and a limited one leave different conflict ranges":                                                                            "conflict-ranges after a limited range; conflict-ranges after a range",
	"explicit conflict ranges; own writes are left out of read conflicts; the next write hidden":                                                      "refused for an explicit conflict; not refused for own writes; a hidden write",
	"the key that a versionstamped key becomes conflicts, the others that it might have become do not":                                                "refused for a stamped key; not refused for what no stamped key became",
	"which reads conflicted, by option, in special keys":                                                                                              "conflicting -> ranges; conflicting -> none",
	"the window of five seconds, to the version":                                                                                                      "no: a program waits for far more than five seconds, or not at all",
	"transactions are strictly serializable":                                                                                                          "refused for a get; refused for a range",
	"contention: the rate stays, the slowest waits hundreds of times as long":                                                                         "no: one driver waits for each commit",
	"all ten atomic operations, with missing, empty, shorter and longer values":                                                                       "byte-max on an empty value; atomic-add on a longer value; compare-and-clear on its operand",
	"versionstamped values and keys; 1036 for reads of them before the commit, and for the commit after such a read":                                  "get -> stamped; get -> error 1036; commit -> error 1036",
	"bypass unreadable, for versionstamped values":                                                                                                    "get of a bypassed stamp",
	"the stamp of a transaction; 1100, 2017, 2020, 2021":                                                                                              "versionstamp -> stamped; versionstamp -> error 2020; versionstamp -> error 2021; late-versionstamp -> error 2017",
	"limits: 2101, 2102, 2103, to the byte; approximate size; the size limit by option":                                                               "commit -> error 2101; commit -> error 2102; commit -> error 2103; approximate-size -> ; over the size limit by option; under the size limit by option",
	"2000, 2004, 2005, 2018 for calls that make no sense; the error of a mutation or an option comes with the next call":                              "commit -> error 2000; commit -> error 2004; commit -> error 2005; get -> error 2006",
	"2006 for options out of range, of transactions and of clients":                                                                                   "get -> error 2006; commit -> error 2006",
	"1025 after a cancel, 2017 after a commit":                                                                                                        "get -> error 1025; get -> error 2017",
	"calls made while a commit is under way: 2017 for both, although it is applied; without protection for the call alone":                            "no: one driver waits for each commit",
	"OnError: which errors it retries, and what it keeps":                                                                                             "on-error 1020 -> ok; on-error 2000 -> error 2000; get sees own write after an option ended",
	"its delays: random below a bound that doubles, up to the maximal retry delay; 10 ms for 1007 and 1009":                                           "no: how long a call takes is not determined",
	"retry limit; timeout (1031), which OnError does not restart and Reset ends":                                                                      "on-error 1020 at the retry limit -> error 1020",
	"Reset, before, during and after a commit":                                                                                                        "reset -> ok; reset after a commit -> ok",
	"the retry loop Transact, and errors of its function":                                                                                             "no: a step is one call of a transaction, and Transact makes many",
	"client options that transactions begin with":                                                                                                     "no: the steps are calls of transactions",
	"a closed client ends its calls":                                                                                                                  "no: the steps are calls of transactions",
	"error numbers stand for the sentinels of package `store`; the three predicates":                                                                  "no: it compares the two levels, and the predicates belong to no transaction",
	"compare with the value at the call, own writes included; set at the commit; fire once; at once when the transaction itself writes another value": "fired -> fired; fired -> quiet; fired before the commit",
	"wait for the version of their transaction":                                                                                                       "no: nothing of a watch is determined before its transaction has ended",
	"end with 1020, 1025, 1034, 1101; 1032 when there are too many":                                                                                   "fired -> error 1025; fired -> error 1020; fired -> error 1101",
	"all watches of a key fire at its change":                                                                                                         "two watches of a key fired",
	"outlive the storage server, because the client sets them again; fire on a change only":                                                           "no: a program has no faults",
	"reading and writing system keys by option":                                                                                                       "get of a system key -> nil; get of a system key -> error 2004",
	"the conflict ranges of a transaction, also while it commits; 2112, 2113, 2114, 2115":                                                             "conflict-ranges -> ranges; get -> error 2113; range -> error 2112; commit -> error 2114",
	"the lock of the database: 1038, lock aware, read lock aware (2023)":                                                                              "commit -> error 2023",
	"1021, applied and not applied; never applied later":                                                                                              "no: a program has no faults",
	"automatic idempotency: neither in doubt nor applied twice; its rows":                                                                             "no: a program has no faults, and the rows are not the program's own keys",
	"a cancel or an ended context with a commit in flight, which is applied all the same, or later":                                                   "no: one driver waits for each commit",
	"1031 at a commit, applied and not applied":                                                                                                       "no: a program has no faults",
	"recovery: the version jumps by 100 million, older transactions get 1007, their reads go on":                                                      "no: a program has no faults",
	"acknowledged commits survive every crash; others are wholly there or wholly not":                                                                 "no: a program has no faults",
	"servers of an ended generation, or that lost their memory, are not trusted":                                                                      "no: a program has no faults",
	"a client outlives an outage: it repeats reads and finds the new generation":                                                                      "no: a program has no faults",
	"1042 when the proxy is full":                                                                                                                     "no: one driver waits for each commit",
	"1213, 1051, 1037, 1009, 1004, 1042, 1020 and lost connections at a rate":                                                                         "no: a program has no faults",
	"1039 at a commit, at a rate, applied and not applied; by the port it is in doubt":                                                                "no: a program has no faults",
}

// TestEveryModeledRowIsShown holds the programs to the table of what the
// simulated FoundationDB models: what one driver can determine, programs show.
func TestEveryModeledRowIsShown(t *testing.T) {
	text, err := os.ReadFile("../docs/simfdb.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Modeled\n")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]bool{}
	for _, names := range []map[litmus.Level][]string{must, slowMust} {
		for _, name := range names[litmus.Client] {
			listed[name] = true
		}
		for _, name := range names[litmus.Port] {
			listed[name] = true
		}
	}
	rows := 0
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, " | ")
		row := strings.TrimPrefix(cells[0], "| ")
		if !strings.HasPrefix(line, "| ") || row == "behaviour" || strings.HasPrefix(row, "---") || strings.HasPrefix(row, "**") {
			continue
		}
		rows++
		by, there := byOneDriver[row]
		if !there {
			t.Errorf("no situation shows the row %q, and no reason says why", row)
		}
		if strings.HasPrefix(by, "no: ") {
			continue
		}
		for name := range strings.SplitSeq(by, "; ") {
			if there && !listed[name] {
				t.Errorf("the row %q is to be shown by %q, which no test demands", row, name)
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows: the test is not looking", rows)
	}
}
