package linearizability_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
)

// record records two nodes that both got the same actor.
func record() *linearizability.History {
	r := linearizability.NewRecorder(linearizability.Header{Scenario: "example"}, 16)
	now := time.Duration(0)
	do := func(op linearizability.Op, res linearizability.Result) {
		now += time.Millisecond
		id := r.Invoke(now, op)
		now += time.Millisecond
		r.Return(now, id, res)
	}
	for i, node := range []string{"n1", "n2"} {
		inc := uint64(10 + 10*i)
		do(linearizability.Op{Client: node, Kind: linearizability.KindJoin, Node: node},
			linearizability.Result{Outcome: linearizability.OutcomeOK, Incarnation: inc})
		do(linearizability.Op{Client: node, Kind: linearizability.KindClaim, Node: node, Incarnation: inc, Actor: "cart-7"},
			linearizability.Result{Outcome: linearizability.OutcomeOK, Token: inc + 1})
	}
	return r.History()
}

func ExampleCheck() {
	report := linearizability.Check(record(), linearizability.Options{})
	fmt.Println(report.Verdict)
	for _, v := range report.Violations {
		fmt.Println(v)
	}
	// Output:
	// illegal
	// owner-not-ended: actor "cart-7": token 11 of n1/10 had to be over, and nothing can have ended it by then: #1 claim of "cart-7" by n1/10: ok, token 11 by n1 [3ms, 4ms]; #3 claim of "cart-7" by n2/20: ok, token 21 by n2 [7ms, 8ms]
}

func ExampleDecode() {
	var file bytes.Buffer
	if err := record().Encode(&file); err != nil {
		fmt.Println(err)
	}
	h, err := linearizability.Decode(&file, linearizability.Limits{})
	fmt.Println(h.Scenario, len(h.Ops), err)

	_, err = linearizability.Decode(bytes.NewReader([]byte("{}\n")), linearizability.Limits{})
	fmt.Println(err)
	// Output:
	// example 4 <nil>
	// history line 1: not a kelpie-history file: the first line is not its header
}

func ExampleMonitor() {
	m := linearizability.NewMonitor()
	valid := func() bool { return true }
	m.Granted(1*time.Second, "cart-7", "n1", 10, 30, valid)
	fmt.Println(m.Check(2 * time.Second))
	m.Granted(3*time.Second, "cart-7", "n2", 11, 31, valid)
	fmt.Println(m.Check(4 * time.Second))
	// Output:
	// <nil>
	// two-valid-handles: actor "cart-7" at 4s: token 30 of n1/10 and token 31 of n2/11 are both valid
}
