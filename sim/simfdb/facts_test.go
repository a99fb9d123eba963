package simfdb

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The files in testdata hold what a real server answered, one recorded line
// ("- what was done -> what came back") after the other. Below each is one of
//
//	a script, which does the same on the simulated cluster;
//	property: the test that holds the cluster to it, where the line is not
//	          determined: counts, shares, delays;
//	left out: the reason.
//
// A script is steps between semicolons:
//
//	T1 get b -> "1"      the answer, which must occur in the recorded line
//	T1 get b => "1"      an answer that the recording does not spell out
//	T1 start f get b     a call that is not waited for; T1 wait f gives its answer
//	db set b 1           in a transaction of its own
//	sleep 1s; kill; down; up 0.5s
//	continue             go on in the world of the line before
//
// T1, T2, … are transactions, each of a client process of its own. Each line
// begins a new world, with the steps under "world"; one that begins with "- ..."
// goes on in the world of the line before.

// fact is a recorded line and its script.
type fact struct {
	line     int
	text     string
	script   []string
	property string
	leftOut  bool
}

func (f *fact) goesOn() bool {
	return strings.HasPrefix(f.text, "...") || len(f.script) > 0 && f.script[0] == "continue"
}

// exact reports whether the script compares an answer with the recorded text.
func (f *fact) exact() bool {
	for _, step := range f.script {
		if strings.Contains(step, " -> ") || strings.HasSuffix(step, " result") {
			return true
		}
	}
	return false
}

func readFacts(t *testing.T, file string) (world []string, facts []*fact) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	into := &world
	for i, line := range strings.Split(string(data), "\n") {
		rest := strings.TrimSpace(line)
		switch {
		case rest == "" || strings.HasPrefix(rest, "#") || line == "world":
		case strings.HasPrefix(line, "- "):
			f := &fact{line: i + 1, text: line[2:]}
			facts = append(facts, f)
			into = &f.script
		case strings.HasPrefix(rest, "left out: "):
			facts[len(facts)-1].leftOut = true
		case strings.HasPrefix(rest, "property: "):
			facts[len(facts)-1].property, _, _ = strings.Cut(strings.TrimPrefix(rest, "property: "), ",")
		case strings.HasPrefix(line, "    "):
			*into = append(*into, strings.Split(rest, "; ")...)
		default:
			t.Fatalf("%s:%d: neither a fact nor a script", file, i+1)
		}
	}
	return world, facts
}

// Of the lines there are, how many may be left out, and how many there are at
// least.
const (
	mostLeftOut = 10
	leastFacts  = 443
)

func TestRecordedFacts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	tests := testNames(t)
	exact, properties, leftOut := 0, 0, 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			world, facts := readFacts(t, file)
			var r *recital
			for _, f := range facts {
				if (f.property != "") == (len(f.script) > 0) && !f.leftOut || f.leftOut && (f.property != "" || len(f.script) > 0) {
					t.Errorf("line %d needs either a script, or a property, or a reason", f.line)
				}
				switch {
				case f.leftOut:
					leftOut++
					continue
				case f.property != "":
					properties++
					if !tests[f.property] {
						t.Errorf("line %d: there is no %s", f.line, f.property)
					}
					continue
				case f.exact():
					exact++
				default:
					properties++
				}
				if r == nil || !f.goesOn() {
					r = newRecital(t, world)
				}
				for _, step := range f.script {
					if err := r.check(f, step); err != nil {
						t.Errorf("line %d: %s\n%s: %v", f.line, clip(f.text), step, err)
					}
				}
			}
		})
	}
	table, err := os.ReadFile("testdata/atomics.table")
	if err != nil {
		t.Fatal(err)
	}
	exact += strings.Count(string(table), "\n") // see TestAtomicOperations
	t.Logf("%d recorded lines: %d replayed exactly, %d as properties, %d left out",
		exact+properties+leftOut, exact, properties, leftOut)
	if leftOut > mostLeftOut || exact+properties < leastFacts-mostLeftOut {
		t.Errorf("at most %d of at least %d may be left out", mostLeftOut, leastFacts)
	}
}

// testNames returns the names of the package's tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}

func TestTranscriptRejectsWrongAnswers(t *testing.T) {
	f := &fact{text: `get a -> "1"`}
	for _, step := range []string{
		`T1 get a -> "2"`, `T1 get a -> nil`, `T1 get a => "2"`, `T1 nonsense a`, `T1 get a -> 5`, `T1 wait nothing`,
		`T1 get a => from 5 to 6`, `T1 option nonsense`,
	} {
		r := newRecital(t, []string{"db set a 1"})
		if err := r.check(f, step); err == nil {
			t.Errorf("%s was accepted", step)
		}
	}
	if err := newRecital(t, []string{"db set a 1"}).check(f, `T1 get a -> "1"`); err != nil {
		t.Error(err)
	}
}

// check runs a step and compares its answer.
func (r *recital) check(f *fact, step string) error {
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
