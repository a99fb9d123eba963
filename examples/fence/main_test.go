package main

import (
	"errors"
	"strings"
	"testing"
)

func Example() {
	main()
	// Output:
	// A register that takes every write:
	//    0.008s  node-1     writes "100, says node-1": done
	//    9.999s  node-1     asks whether its claim is valid: true
	//   10.000s  the world  node-1 stands still
	//   31.320s  node-2     takes the actor over, once node-1 has been silent for longer than its lease
	//   31.321s  node-2     writes "250, says node-2": done
	//   70.000s  the world  node-1 goes on
	//   70.001s  node-1     writes "101, says node-1": done
	//   70.001s  node-1     asks again: false
	//            the end    "101, says node-1"
	//
	// A register that checks tokens:
	//    0.008s  node-1     writes "100, says node-1": done
	//    9.999s  node-1     asks whether its claim is valid: true
	//   10.000s  the world  node-1 stands still
	//   31.320s  node-2     takes the actor over, once node-1 has been silent for longer than its lease
	//   31.321s  node-2     writes "250, says node-2": done
	//   70.000s  the world  node-1 goes on
	//   70.001s  node-1     writes "101, says node-1": refused: call write at register: network: remote write: stale token: 4 is below 10
	//   70.001s  node-1     asks again: false
	//            the end    "250, says node-2"
}

func TestRegisterRefusesTokensOfThePast(t *testing.T) {
	for _, check := range []bool{false, true} {
		r := newRegister(check)
		for _, w := range []struct {
			req   request
			stale bool
		}{
			{request{"a", 5, "x"}, false},
			{request{"a", 5, "y"}, false}, // the same owner again
			{request{"a", 4, "z"}, true},
			{request{"b", 4, "z"}, false}, // another actor
			{request{"a", 6, "w"}, false},
			{request{"a", 5, "v"}, true},
		} {
			if err := r.write(w.req); errors.Is(err, errStale) != (check && w.stale) {
				t.Errorf("check %t, write %+v: %v", check, w.req, err)
			}
		}
		if want := map[bool]string{false: "v", true: "w"}[check]; r.value("a") != want {
			t.Errorf("check %t: the value is %q, want %q", check, r.value("a"), want)
		}
	}
}

func TestRegisterRefusesBadRequests(t *testing.T) {
	for body, want := range map[string]string{
		"":                                 "malformed",
		"{":                                "malformed",
		`{"actor":"a","token":-1}`:         "malformed",
		`{"actor":"a","value":"x"}`:        "token",
		`{"token":1,"value":"x"}`:          "actor",
		`{"actor":"","token":1}`:           "actor",
		`{"actor":7,"token":1,"value":""}`: "malformed",
	} {
		r := newRegister(true)
		if _, err := r.serve(t.Context(), []byte(body)); err == nil || !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("%s: error %v, want one about %s", body, err, want)
		}
		if len(r.values)+len(r.highest) != 0 {
			t.Errorf("%s changed the register", body)
		}
	}
}
