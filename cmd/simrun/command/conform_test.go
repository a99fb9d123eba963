package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConformWritesTheSameFileForEveryStore(t *testing.T) {
	dir := inEmptyFolder(t)
	for _, store := range []string{"simfdb", "memory"} {
		simrun(t, "conform", "--store", store, "--seeds", "300", "--from", "5", "--out", store+".txt").want(t, exitHeld, "programs", "300", "sha256", store+".txt")
		simrun(t, "conform", "--store", store, "--slow", "--seeds", "100", "--workers", "1", "--out", store+"-slow.txt").want(t, exitHeld, "slow")
	}
	simrun(t, "conform", "compare", "simfdb.txt", "memory.txt").want(t, exitHeld, "equal: 300 programs of level port")
	simrun(t, "conform", "compare", "simfdb-slow.txt", "memory-slow.txt").want(t, exitHeld, "equal: 100 programs")
	again := simrun(t, "conform", "--store", "memory", "--seeds", "300", "--from", "5", "--workers", "3", "--json").decoded(t)
	first := simrun(t, "conform", "--store", "simfdb", "--seeds", "300", "--from", "5", "--json").decoded(t)
	if again["sha256"] != first["sha256"] || again["lines"] != first["lines"] {
		t.Errorf("%v and %v", first, again)
	}
	if got := len(entries(t, dir)); got != 4 {
		t.Errorf("%d files", got)
	}
}

func TestConformCompareShowsTheDifference(t *testing.T) {
	inEmptyFolder(t)
	simrun(t, "conform", "--store", "memory", "--seeds", "20", "--out", "a").want(t, exitHeld)
	text, err := os.ReadFile("a")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), "\n7 3 A ", "\n7 3 A X", 1)
	if err := os.WriteFile("b", []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	o := simrun(t, "conform", "compare", "a", "b")
	o.want(t, exitViolation, "seed 7, step 3", "\n  7 1 A begin -> ok\n", "\n- 7 3 A ", "\n+ 7 3 A X")
	if strings.Contains(o.stdout, " 8 1 ") {
		t.Errorf("more than one program:\n%s", o.stdout)
	}
}

func TestConformPrintsOneProgram(t *testing.T) {
	dir := inEmptyFolder(t)
	o := simrun(t, "conform", "--store", "simfdb", "--level", "client", "--seed", "42")
	o.want(t, exitHeld, "# kelpie litmus 1 level=client class=quick seeds=42..42 ", "\n42 1 A begin -> ok\n", "\n# end programs=1 ")
	simrun(t, "conform", "--store", "memory", "--seed", "42", "--out", "f").want(t, exitHeld, "seeds 42 to 42")
	if got := entries(t, dir); len(got) != 1 {
		t.Errorf("files %q", got)
	}
}

func TestConformRefusesBadInput(t *testing.T) {
	dir := inEmptyFolder(t)
	simrun(t, "conform", "--store", "memory", "--seeds", "3", "--out", "good").want(t, exitHeld)
	simrun(t, "conform", "--store", "memory", "--seeds", "4", "--out", "other").want(t, exitHeld)
	good, err := os.ReadFile("good")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cut": string(good[:len(good)/2]), "foreign": "hello\n", "empty": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	before := entries(t, dir)
	for _, c := range []struct {
		args string
		want string // on stderr
	}{
		{"--store nosuch", "simfdb, memory"},
		{"--level nosuch", "port, client"},
		{"--store memory --level client", "stores that have it: simfdb"},
		{"--store fdb --level client", "tag"},
		{"--seeds 0", "--seeds"},
		{"--seeds -1", "--seeds"},
		{"--seeds 1e3", "--seeds"},
		{"--seeds 200000000", "100000000"},
		{"--from 18446744073709551614 --seeds 2", "last seed"},
		{"--from 18446744073709551615 --seeds 1", "--from"},
		{"--seed 1 --seeds 2", "seed"},
		{"--workers 0", "--workers"},
		{"--seeds 1 --out folder", "directory"},
		{"--seeds 1 --out nosuch/file", "nosuch"},
		{"--seeds 1 stray", "stray"},
		{"compare good", "two files"},
		{"compare good good good", "two files"},
		{"compare good nosuch", "nosuch"},
		{"compare good folder", "folder"},
		{"compare good other", "same programs"},
		{"compare good cut", "second file"},
		{"compare cut good", "first file"},
		{"compare good foreign", "header"},
		{"compare empty good", "empty"},
	} {
		o := simrun(t, append([]string{"conform"}, strings.Fields(c.args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || strings.Count(o.stderr, "\n") != 1 || o.stdout != "" {
			t.Errorf("%s: code %d, stderr %q, stdout %q; want a line with %q", c.args, o.code, o.stderr, o.stdout, c.want)
		}
	}
	if got := entries(t, dir); len(got) != len(before) {
		t.Errorf("files %q, before %q", got, before)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "good")); err != nil || string(got) != string(good) {
		t.Error("a file was changed")
	}
}
