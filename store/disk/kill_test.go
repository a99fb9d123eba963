package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

const (
	killWriters = 8
	killParts   = 3 // keys of one transaction
)

// commitForEver is a role: it commits from several goroutines, and prints each
// transaction once it is acknowledged. Now and then it compacts.
func commitForEver(args []string, out io.Writer) error {
	e, err := disk.Open(args[0], disk.Options{Window: 100})
	if err != nil {
		return err
	}
	s, err := e.Stats()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open", s.Version)
	var wg sync.WaitGroup
	errs := make([]error, killWriters+1)
	for w := range killWriters {
		wg.Go(func() {
			for n := 0; errs[w] == nil; n++ {
				errs[w] = commitOne(e, out, fmt.Sprintf("%s/%d/%d", args[1], w, n))
			}
		})
	}
	wg.Go(func() {
		for errs[killWriters] == nil {
			errs[killWriters] = errors.Join(e.Compact(context.Background()), e.Check(context.Background()))
		}
	})
	wg.Wait()
	return errors.Join(errs...)
}

// commitOne writes a transaction of a few keys, which also counts in one key
// that all share.
func commitOne(e *disk.Engine, out io.Writer, name string) error {
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	for part := range killParts {
		tx.Set([]byte(fmt.Sprintf("%s/%d", name, part)), []byte(strings.Repeat(name, 10)))
	}
	tx.Add([]byte("count"), 1)
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "acknowledged %s %d\n", name, tx.Committed())
	return err
}

// TestKilledProcess kills a process that commits, again and again: what it
// acknowledged is there, what it did not is wholly there or wholly not, and
// versions never come twice.
func TestKilledProcess(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	directory := filepath.Join(t.TempDir(), "data")
	r := rand.New(rand.NewPCG(3, 3))
	acknowledged := map[string]bool{}
	versions := map[store.Version]string{}
	var last store.Version // seen by anybody
	for round := range rounds {
		c := start(t, command(t, "commit", directory, strconv.Itoa(round)))
		kill := r.IntN(150) // after so many lines
		for line := 0; c.lines.Scan(); line++ {
			if line == kill {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			f := strings.Fields(c.lines.Text())
			switch {
			case len(f) == 2 && f[0] == "open":
				if v := parseVersion(t, f[1]); v < last {
					t.Fatalf("round %d begins at version %d, behind %d", round, v, last)
				}
			case len(f) == 3 && f[0] == "acknowledged":
				v := parseVersion(t, f[2])
				if other, twice := versions[v]; twice {
					t.Fatalf("%s and %s have version %d", other, f[1], v)
				}
				versions[v], acknowledged[f[1]] = f[1], true
				last = max(last, v)
			default:
				t.Fatalf("round %d: the child says %q", round, c.lines.Text())
			}
		}
		c.kill()
		e := open(t, directory)
		s, err := e.Stats()
		if err != nil || s.Version < last {
			t.Fatalf("round %d ends at version %d, acknowledged was %d; %v", round, s.Version, last, err)
		}
		last = s.Version
		checkKilled(t, e, acknowledged)
		closed(t, e)
	}
	t.Logf("%d transactions were acknowledged in %d lives", len(acknowledged), rounds)
}

func parseVersion(t *testing.T, s string) store.Version {
	t.Helper()
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return store.Version(v)
}

// checkKilled compares what is there with what was acknowledged.
func checkKilled(t *testing.T, e *disk.Engine, acknowledged map[string]bool) {
	t.Helper()
	parts := map[string]int{}
	count := 0
	for k, v := range rowsOf(t, e) {
		if k == "count" {
			count = int(v[0]) | int(v[1])<<8 | int(v[2])<<16
			continue
		}
		name := k[:strings.LastIndexByte(k, '/')]
		parts[name]++
		if v != strings.Repeat(name, 10) {
			t.Errorf("%s has %q", k, v)
		}
	}
	for name, n := range parts {
		if n != killParts {
			t.Errorf("%s is there in part: %d keys of %d", name, n, killParts)
		}
	}
	for name := range acknowledged {
		if parts[name] == 0 {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	if count != len(parts) {
		t.Errorf("%d transactions are there, and counted %d", len(parts), count)
	}
}

// TestKilledWhileCreating kills a process at some moment of its first Open.
func TestKilledWhileCreating(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	states := map[string]int{}
	for range 15 {
		directory := filepath.Join(t.TempDir(), "data")
		c := start(t, command(t, "hold", directory))
		for range r.IntN(3000) { // until it is some way on
			_, _ = os.Stat(directory)
		}
		c.kill()
		b, err := os.ReadFile(filepath.Join(directory, formatFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		states[string(b)]++
		e := open(t, directory)
		wantRows(t, e, nil)
		put(t, e, "a", "1")
		closed(t, e)
	}
	t.Logf("format files when it was killed: %v", states)
}
