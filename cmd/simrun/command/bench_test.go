package command

import (
	"encoding/json"
	"testing"
)

// number returns a number of a JSON object.
func number(t *testing.T, object map[string]any, name string) float64 {
	t.Helper()
	n, ok := object[name].(json.Number)
	if !ok {
		t.Fatalf("%s is %v, want a number", name, object[name])
	}
	f, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBenchLoad(t *testing.T) {
	simrun(t, "bench", "load", "--nodes", "3,5", "--actors", "10").want(t, 0, "WRITES/S", "0.3", "0.5", "35.9 s", "36.1 s")
	d := simrun(t, "bench", "load", "--nodes", "3", "--actors", "10,20", "--json").decoded(t)
	rows, _ := d["rows"].([]any)
	if len(rows) != 2 {
		t.Fatalf("rows = %v, want two", d["rows"])
	}
	row, _ := rows[1].(map[string]any)
	if number(t, row, "actors") != 20 || number(t, row, "fill_writes") != 23 || number(t, row, "conflicts") != 0 {
		t.Errorf("the second row is %v", row)
	}
}

func TestBenchFailOver(t *testing.T) {
	o := simrun(t, "bench", "failover", "--nodes", "3", "--seeds", "20", "--ttl", "3s", "--json")
	d := o.decoded(t)
	longest, bound := number(t, d, "longest_ttls"), number(t, d, "bound_ttls")
	if number(t, d, "seeds") != 20 || longest <= 0.6 || longest > bound+0.01 {
		t.Errorf("failover printed %s", o.stdout)
	}
	if again := simrun(t, "bench", "failover", "--nodes", "3", "--seeds", "20", "--ttl", "3s", "--json"); again.stdout != o.stdout {
		t.Errorf("a second time it printed %s, the first time %s", again.stdout, o.stdout)
	}
}

func TestBenchRolling(t *testing.T) {
	o := simrun(t, "bench", "rolling", "--nodes", "3", "--actors", "12", "--json")
	d := o.decoded(t)
	if number(t, d, "moved") < 12 || number(t, d, "released") != 0 || number(t, d, "longest_ms") <= 0 {
		t.Errorf("rolling printed %s", o.stdout)
	}
}

func TestBenchBadInput(t *testing.T) {
	for _, args := range [][]string{
		{"bench"},
		{"bench", "unknown"},
		{"bench", "load", "--nodes", "0"},
		{"bench", "load", "--nodes", "1,"},
		{"bench", "load", "--actors", "-1"},
		{"bench", "load", "--actors", "10000001"},
		{"bench", "load", "extra"},
		{"bench", "failover", "--nodes", "1"},
		{"bench", "rolling", "--nodes", "1"},
		{"bench", "rolling", "--actors", "0"},
		{"bench", "failover", "--seeds", "0"},
		{"bench", "failover", "--ttl", "1ms"},
	} {
		o := simrun(t, args...)
		if o.code != exitUsage || o.stdout != "" || o.stderr == "" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, o.code, o.stdout, o.stderr)
		}
	}
}
