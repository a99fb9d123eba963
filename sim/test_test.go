package sim_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

func TestTestRunsAShareOfPassingSeedsTwice(t *testing.T) {
	ran := make(map[uint64]int)
	sim.Test(t, func(w *sim.World) error {
		ran[w.Seed()]++
		chatter(w)
		return w.Run(10 * time.Millisecond)
	}, sim.TestOptions{Seeds: 20, Recheck: 5})
	once, twice := 0, 0
	for _, n := range ran {
		switch n {
		case 1:
			once++
		case 2:
			twice++
		default:
			t.Errorf("a seed ran %d times", n)
		}
	}
	// Seeds may be given from outside: the share is all that is sure.
	if n := len(ran); twice != (n+4)/5 || once != n-twice {
		t.Errorf("%d seeds ran once, %d twice", once, twice)
	}
}

// childEnv names the scenario that a child process of these tests runs.
const childEnv = "SIM_TEST_CHILD"

// runs counts the runs of a scenario: something that differs between two runs
// of one seed.
var runs int

// scenarios fail in the ways that Test has to report.
var scenarios = map[string]func(w *sim.World) error{
	"passes": func(w *sim.World) error { return w.Run(time.Second) },
	"two causes": func(w *sim.World) error {
		w.After(time.Second, "broken", func() {
			switch {
			case w.Seed()%10 == 3:
				w.Fail("rare", fmt.Errorf("rare %d", w.Seed()))
			case w.Seed()%2 == 0:
				explode(w.Seed())
			}
		})
		return w.Run(time.Minute)
	},
	"returns an error": func(w *sim.World) error {
		return errors.Join(w.Run(time.Second), errors.New("not as it should be"))
	},
	"panics by itself": func(*sim.World) error {
		explode("driver")
		return nil
	},
	"goes around its host": func(w *sim.World) error {
		runs++
		process(w, "p", func(ctx ctxT, h *hostT) {
			for range 10 {
				_ = h.Sleep(ctx, time.Second)
			}
			_ = h.Sleep(ctx, time.Duration(runs))
		})
		return w.Run(time.Minute)
	},
	"shows its plan": func(w *sim.World) error {
		plan := w.Plan()
		w.SetPlan(plan + " as run")
		return errors.New("plan is " + plan)
	},
}

func TestChild(t *testing.T) {
	name := os.Getenv(childEnv)
	if name == "" {
		t.Skip("runs in a child process of the other tests")
	}
	t.Run("sub", func(t *testing.T) { sim.Test(t, scenarios[name], sim.TestOptions{Seeds: 20}) })
}

// child runs a scenario in a process of its own and returns its output.
func child(t *testing.T, scenario string, env []string, args ...string) (output string, passed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-test.run=^TestChild$", "-test.v"}, args...)
	cmd := exec.Command(exe, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KELPIE_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(append(cmd.Env, childEnv+"="+scenario), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// seedsRun returns the seeds whose subtests ran, in their order.
func seedsRun(output string) (seeds []string) {
	for _, m := range regexp.MustCompile(`=== RUN +TestChild/sub/seed=(\d+)`).FindAllStringSubmatch(output, -1) {
		seeds = append(seeds, m[1])
	}
	return seeds
}

func TestTestTakesSeedsFromFlagsAndEnvironment(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(plan, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"default", nil, nil, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"},
		{"seed by flag", nil, []string{"-sim.seed=0x10"}, "16"},
		{"seed by environment", []string{"KELPIE_SEED=18446744073709551615"}, nil, "18446744073709551615"},
		{"flag before environment", []string{"KELPIE_SEED=5"}, []string{"-sim.seed=6"}, "6"},
		{"seed before range", nil, []string{"-sim.seed=7", "-sim.seeds=3", "-sim.from=2"}, "7"},
		{"range by flag", nil, []string{"-sim.seeds=3", "-sim.from=100"}, "100 101 102"},
		{"range by environment", []string{"KELPIE_SEEDS=2", "KELPIE_FROM=9"}, nil, "9 10"},
		{"count of the test with -short", nil, []string{"-test.short", "-sim.from=4"}, "4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, passed := child(t, "passes", c.env, c.args...)
			if got := strings.Join(seedsRun(out), " "); !passed || got != c.want {
				t.Errorf("passed %v, seeds %s, want %s", passed, got, c.want)
			}
		})
	}
	for _, c := range []struct {
		env  []string
		args []string
		want string
	}{
		{nil, []string{"-sim.plan=text"}, "plan is text"},
		{[]string{"KELPIE_PLAN=from the environment"}, nil, "plan is from the environment"},
		{nil, []string{"-sim.plan=@" + plan}, "plan is from a file"},
	} {
		out, _ := child(t, "shows its plan", c.env, append(c.args, "-sim.seed=1")...)
		if !strings.Contains(out, c.want) || !strings.Contains(out, "as run") || !strings.Contains(out, "-sim.plan='") {
			t.Errorf("want %q in:\n%s", c.want, out)
		}
	}
}

func TestTestRefusesBadSettings(t *testing.T) {
	for arg, want := range map[string]string{
		"-sim.seed=x":        `-sim.seed is "x", must be a number from 0 to 2^64-1`,
		"-sim.seed=-1":       `-sim.seed is "-1", must be a number`,
		"-sim.seeds=0":       "-sim.seeds is 0, must be between 1 and 1000000",
		"-sim.seeds=1000001": "-sim.seeds is 1000001, must be between 1 and 1000000",
		"-sim.from=1.5":      `-sim.from is "1.5", must be a number`,
		"-sim.trace=maybe":   `-sim.trace is "maybe", must be true or false`,
		"-sim.plan=@missing": "-sim.plan: open missing",
	} {
		if out, passed := child(t, "passes", nil, arg); passed || !strings.Contains(out, want) || len(seedsRun(out)) > 0 {
			t.Errorf("%s: passed %v, want %q in:\n%s", arg, passed, want, out)
		}
	}
}

func TestTestGroupsFailuresByCause(t *testing.T) {
	out, passed := child(t, "two causes", nil)
	if passed {
		t.Fatal("it passes")
	}
	for want, count := range map[string]int{
		"reproduce with: ": 2,
		"reproduce with: go test github.com/kelpie-registry/kelpie/sim -run '^TestChild$/^sub$' -sim.seed=2\n": 1,
		"reproduce with: go test github.com/kelpie-registry/kelpie/sim -run '^TestChild$/^sub$' -sim.seed=3\n": 1,
		"same failure as seed 2: panic: sim_test.explode (failure_test.go:#)":                                  9,
		"same failure as seed 3: rare: rare #":                                                                 1,
		"10 seeds, first 2: panic: sim_test.explode (failure_test.go:#)":                                       1,
		"2 seeds, first 3: rare: rare #":                                                                       1,
		"sim_test.explode\n":                                                                                   1,
		"panic at 1s, event 1 in broken: panic: 2\n":                                                           1,
		"trace hash ": 2,
	} {
		if got := strings.Count(out, want); got != count {
			t.Errorf("%q occurs %d times, want %d", want, got, count)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestTestReportsTheScenariosOwnErrors(t *testing.T) {
	for scenario, want := range map[string]string{
		"returns an error": "scenario at 1s, event 0: not as it should be",
		"panics by itself": "panic at 0s, event 0: panic: driver",
	} {
		out, passed := child(t, scenario, nil, "-sim.seed=1")
		if passed || !strings.Contains(out, want) {
			t.Errorf("%s: passed %v, want %q in:\n%s", scenario, passed, want, out)
		}
	}
}

func TestTestFindsTheFirstEventThatDiffers(t *testing.T) {
	out, passed := child(t, "goes around its host", nil, "-sim.seed=1")
	if passed {
		t.Fatal("it passes")
	}
	for _, want := range []string{"nondeterminism", "the first event that differs between two more runs is 12:", "10.000000003s", "10.000000004s"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
}

func TestTestPrintsTheTrace(t *testing.T) {
	out, _ := child(t, "two causes", []string{"KELPIE_TRACE=1"}, "-sim.seed=2")
	if !strings.Contains(out, "broken                   runs") || !strings.Contains(out, "FAILURE panic at 1s") {
		t.Errorf("no trace in:\n%s", out)
	}
}
