package command

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kelpie-registry/kelpie/scenario"
)

func TestSoakWritesAHistoryThatCheckAccepts(t *testing.T) {
	dir := inEmptyFolder(t)
	o := simrun(t, "soak", "--store", "memory", "--nodes", "3", "--for", "500ms", "--ttl", "60ms", "--history", "h.jsonl", "--seed", "9")
	o.want(t, exitHeld, "3 nodes and 6 actors on memory", "operations", "failovers", "doubts", "the store agrees", "witness", "all held")
	if names := entries(t, dir); len(names) != 1 || names[0] != "h.jsonl" {
		t.Errorf("written: %v, want h.jsonl", names)
	}
	simrun(t, "check", "h.jsonl").want(t, exitHeld, "soak/memory, seed 9", "witness", "all held")
	m := simrun(t, "check", "h.jsonl", "--json", "--picture", "h.html").decoded(t)
	if m["verdict"] != verdictHeld {
		t.Errorf("check --json: %v", m)
	}
	if _, err := os.Stat(filepath.Join(dir, "h.html")); err != nil {
		t.Error(err)
	}
}

func TestSoakAsJSON(t *testing.T) {
	dir := inEmptyFolder(t)
	m := simrun(t, "soak", "--nodes", "2", "--actors", "1", "--for", "200ms", "--ttl", "60ms", "--json").decoded(t)
	if m["verdict"] != verdictHeld || m["counts"] == nil || m["stalls"] == nil || m["judgement"] == nil {
		t.Errorf("soak --json: %v", m)
	}
	if names := entries(t, dir); len(names) > 0 {
		t.Errorf("all held, no --history, and yet written: %v", names)
	}
}

// history is a file in which two nodes own an actor at once.
const history = `{"format":"kelpie-history","version":1,"scenario":"by-hand","seed":0}
{"e":"invoke","id":0,"t":1,"client":"a","kind":"join","node":"a"}
{"e":"return","id":0,"t":2,"outcome":"ok","inc":1}
{"e":"invoke","id":1,"t":3,"client":"b","kind":"join","node":"b"}
{"e":"return","id":1,"t":4,"outcome":"ok","inc":2}
{"e":"invoke","id":2,"t":5,"client":"a","kind":"claim","node":"a","inc":1,"actor":"x"}
{"e":"return","id":2,"t":6,"outcome":"ok","token":3}
{"e":"invoke","id":3,"t":7,"client":"b","kind":"claim","node":"b","inc":2,"actor":"x"}
{"e":"return","id":3,"t":8,"outcome":"ok","token":4}
{"e":"end","events":8}
`

func TestCheckRejectsAHistoryWithTwoOwners(t *testing.T) {
	inEmptyFolder(t)
	if err := os.WriteFile("h.jsonl", []byte(history), 0o600); err != nil {
		t.Fatal(err)
	}
	simrun(t, "check", "h.jsonl").want(t, exitViolation, "by-hand", "VIOLATION: ", `of actor "x"`)
	m := simrun(t, "check", "h.jsonl", "--json").decoded(t)
	if v, _ := m["violations"].([]any); m["verdict"] != verdictViolation || len(v) == 0 {
		t.Errorf("check --json: %v", m)
	}
}

func TestCheckReadsStandardInput(t *testing.T) {
	var stdout, stderr strings.Builder
	code := Main([]string{"check", "-"}, strings.NewReader(history), &stdout, &stderr)
	if code != exitViolation {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

// TestCheckNamesAnArtifactOnStandardInput pipes an artifact, byte by byte and whole, and
// redirects one.
func TestCheckNamesAnArtifactOnStandardInput(t *testing.T) {
	path := recorded(t, fake("one", holds), scenario.Config{Seed: 2})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, stdin := range map[string]io.Reader{
		"piped": bytes.NewBuffer(text), "in pieces": iotest.OneByteReader(bytes.NewReader(text)), "redirected": file,
	} {
		var stdout, stderr strings.Builder
		code := Main([]string{"check", "-"}, stdin, &stdout, &stderr)
		const say = "simrun: -: not a kelpie-history file but an artifact, which simrun replay runs again from a file\n"
		if code != exitUsage || stderr.String() != say || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, code, stdout.String(), stderr.String())
		}
	}
}

// TestCheckNamesNoArtifactWhereNoneIs: what is refused is not read to its end, which may
// never come.
func TestCheckNamesNoArtifactWhereNoneIs(t *testing.T) {
	for _, text := range []string{"", "hello\n", " \n{\"format\":\"other\"}\n", "[\"kelpie-simrun-artifact\"]\n"} {
		var stdout, stderr strings.Builder
		code := Main([]string{"check", "-"}, strings.NewReader(text), &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "line 1") || strings.Contains(stderr.String(), "replay") {
			t.Errorf("%q: exit code %d, stderr %q", text, code, stderr.String())
		}
	}
	var stdout, stderr strings.Builder
	endless := io.MultiReader(strings.NewReader("hello\n"), unread{t})
	if code := Main([]string{"check", "-"}, endless, &stdout, &stderr); code != exitUsage {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

// unread is a source that nobody is to read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("it was read on")
	return 0, io.EOF
}

func TestMutantsAreListed(t *testing.T) {
	simrun(t, "mutants", "--list").want(t, exitHeld, "renew-resurrects", "tried in: ")
	if list, _ := simrun(t, "mutants", "--list", "--json").decoded(t)["mutants"].([]any); len(list) < 12 {
		t.Errorf("%d mutants listed", len(list))
	}
}
