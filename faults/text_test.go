package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
)

func TestPlansPrintAndParseWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan().Draw(t, "plan")
		fromText, err := faults.Parse(p.String())
		if err != nil || !fromText.Equal(p) {
			t.Fatalf("text %q: %v, error %v", p, fromText, err)
		}
		if fromText.String() != p.String() {
			t.Fatal("the text is not canonical")
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		fromJSON, err := faults.Parse(string(text))
		if err != nil || !fromJSON.Equal(p) {
			t.Fatalf("JSON %s: %v, error %v", text, fromJSON, err)
		}
		var nested struct{ Plan faults.Plan }
		if err := json.Unmarshal(fmt.Appendf(nil, "{\"Plan\": %s}", text), &nested); err != nil || !nested.Plan.Equal(p) {
			t.Fatalf("nested JSON: %v, error %v", nested.Plan, err)
		}
		for _, f := range p.Faults {
			if g, err := faults.ParseFault(f.String()); err != nil || g != f {
				t.Fatalf("fault %v: %v, error %v", f, g, err)
			}
		}
	})
}

func TestFormsOfOnePlan(t *testing.T) {
	want := faults.Plan{Version: 1, Seed: 1<<64 - 1, Faults: []faults.Fault{
		{Kind: faults.Crash, Target: "node-1", At: 1500 * time.Millisecond, For: 2 * time.Second},
		{Kind: faults.Cut, Target: "node-1", Peer: "node-2", At: 3 * time.Second},
		{Kind: faults.WallJump, Target: "node-2", At: 0, Amount: -1e-7},
		{Kind: faults.StoreUnknown, At: time.Hour + 1, For: time.Microsecond, Amount: 0.25},
	}}
	const text = "v1 seed=18446744073709551615 crash(node-1)@1.5s+2s cut(node-1,node-2)@3s " +
		"wall-jump(node-2)@0s*-1e-07 store-unknown()@1h0m0.000000001s+1µs*0.25"
	const js = `{"version":1,"seed":18446744073709551615,"faults":[` +
		`{"at":"1.5s","for":"2s","kind":"crash","target":"node-1"},` +
		`{"at":"3s","kind":"cut","target":"node-1","peer":"node-2"},` +
		`{"at":"0s","kind":"wall-jump","target":"node-2","amount":-1e-7},` +
		`{"at":"1h0m0.000000001s","for":"1µs","kind":"store-unknown","amount":0.25}]}`
	if got := want.String(); got != text {
		t.Errorf("text\n%s, want\n%s", got, text)
	}
	if got, err := json.Marshal(want); err != nil || string(got) != js {
		t.Errorf("JSON\n%s, error %v, want\n%s", got, err, js)
	}
	for _, form := range []string{text, js, " \n\t" + strings.ReplaceAll(text, " ", " \n ") + "\n", "\n" + strings.ReplaceAll(js, ",", " ,\n")} {
		if got, err := faults.Parse(form); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, error %v", form, got, err)
		}
	}
	if got := (faults.Plan{}).String(); got != "v1 seed=0" {
		t.Errorf("the zero plan prints as %q", got)
	}
}

func TestBadTextIsRefused(t *testing.T) {
	many := strings.Repeat(" reset(a)@1s", faults.MaxFaults+1)
	for _, c := range []struct {
		name, text string
		parts      []string
	}{
		{"empty", "", []string{"neither JSON nor a line"}},
		{"something else", "hello", []string{`"hello"`}},
		{"no version", "seed=1 crash(a)@1s", []string{"version"}},
		{"newer version", "v2 seed=1", []string{`"v2"`, `"v1"`}},
		{"no seed", "v1 crash(a)@1s", []string{"seed"}},
		{"negative seed", "v1 seed=-1", []string{"seed", "2^64-1"}},
		{"seed over 64 bits", "v1 seed=18446744073709551616", []string{"seed"}},
		{"no parenthesis", "v1 seed=1 crash@1s", []string{"faults[0]", "kind(target,peer)@at+for*amount"}},
		{"no time", "v1 seed=1 crash(a)", []string{"faults[0]"}},
		{"bad time", "v1 seed=1 reset(a)@1s crash(a)@soon", []string{"faults[1]: at", `"soon"`}},
		{"time without unit", "v1 seed=1 crash(a)@5", []string{"at", `"5"`}},
		{"bad For", "v1 seed=1 crash(a)@1s+", []string{"for"}},
		{"huge For", "v1 seed=1 crash(a)@1s+9999999999h", []string{"for"}},
		{"bad Amount", "v1 seed=1 loss(a)@1s*much", []string{"amount", `"much"`}},
		{"NaN", "v1 seed=1 loss(a)@1s*NaN", []string{"amount is NaN"}},
		{"Amount out of range", "v1 seed=1 loss(a)@1s*1e999", []string{"amount", "1e999"}},
		{"negative time", "v1 seed=1 crash(a)@-1s", []string{"at is -1s"}},
		{"empty peer", "v1 seed=1 cut(a,)@1s", []string{"faults[0]"}},
		{"three names", "v1 seed=1 cut(a,b,c)@1s", []string{"peer", "','"}},
		{"unknown kind", "v1 seed=1 flood(a)@1s", []string{`"flood"`}},
		{"too many", "v1 seed=1" + many, []string{"10001 faults", "10000"}},
		{"too long", "v1 seed=1 " + strings.Repeat(" ", faults.MaxText), []string{"8388608"}},

		{"JSON, cut off", `{"version":1,"seed":1,"faults":[{"at":"1s"`, []string{"faults"}},
		{"JSON, no fault list", `{"version":1,"seed":1}`, []string{"faults is missing"}},
		{"JSON, no version", `{"seed":1,"faults":[]}`, []string{"version is missing"}},
		{"JSON, version 0", `{"version":0,"seed":1,"faults":[]}`, []string{"version is 0, must be 1"}},
		{"JSON, version 2", `{"version":2,"seed":1,"faults":[]}`, []string{"version is 2"}},
		{"JSON, unknown field", `{"version":1,"seed":1,"faults":[],"extra":1}`, []string{"extra: unknown field"}},
		{"JSON, field in capitals", `{"Version":1,"seed":1,"faults":[]}`, []string{"Version: unknown field"}},
		{"JSON, repeated field", `{"version":1,"seed":1,"seed":2,"faults":[]}`, []string{"seed: repeated"}},
		{"JSON, more after it", `{"version":1,"seed":1,"faults":[]} {}`, []string{"more after"}},
		{"JSON, garbage after it", `{"version":1,"seed":1,"faults":[]}]`, []string{"more after"}},
		{"JSON, null list", `{"version":1,"seed":1,"faults":null}`, []string{"faults", "not a list"}},
		{"JSON, object for list", `{"version":1,"seed":1,"faults":{}}`, []string{"faults", "not a list"}},
		{"JSON, seed as text", `{"version":1,"seed":"1","faults":[]}`, []string{"seed", "not a number"}},
		{"JSON, seed with fraction", `{"version":1,"seed":1.5,"faults":[]}`, []string{"seed", "1.5"}},
		{"JSON, version with exponent", `{"version":1e0,"seed":1,"faults":[]}`, []string{"version", "1e0"}},
		{"JSON, fault is text", `{"version":1,"seed":1,"faults":["crash"]}`, []string{"faults: [0]", "not an object"}},
		{"JSON, fault without kind", `{"version":1,"seed":1,"faults":[{"at":"1s"}]}`, []string{"[0]", "kind is missing"}},
		{"JSON, unknown field of a fault", `{"version":1,"seed":1,"faults":[{"at":"1s","kind":"crash","node":"a"}]}`, []string{"[0]: node: unknown"}},
		{"JSON, time as number", `{"version":1,"seed":1,"faults":[{"at":1,"kind":"crash"}]}`, []string{"[0]: at", "not a string"}},
		{"JSON, bad time", `{"version":1,"seed":1,"faults":[{"at":"1","kind":"crash"}]}`, []string{"[0]: at", "1.5s"}},
		{"JSON, negative time", `{"version":1,"seed":1,"faults":[{"at":"-1s","kind":"crash","target":"a"}]}`, []string{"faults[0]: at is -1s"}},
		{"JSON, amount as text", `{"version":1,"seed":1,"faults":[{"at":"1s","kind":"loss","amount":"1"}]}`, []string{"[0]: amount", "not a number"}},
		{"JSON, amount out of range", `{"version":1,"seed":1,"faults":[{"at":"1s","kind":"loss","amount":1e999}]}`, []string{"[0]: amount", "1e999"}},
		{"JSON, kind as number", `{"version":1,"seed":1,"faults":[{"at":"1s","kind":7}]}`, []string{"kind", "not a string"}},
		{"JSON, too many", `{"version":1,"seed":1,"faults":[` + strings.Repeat(`{"at":"1s","kind":"reset"},`, faults.MaxFaults) + `{}]}`, []string{"at most 10000"}},
		{"JSON, deep", `{"version":1,"seed":1,"faults":` + strings.Repeat("[", 1<<20), []string{"[0]", "not an object"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := faults.Parse(c.text)
			if !errors.Is(err, faults.ErrInvalid) || len(p.Faults) > 0 {
				t.Fatalf("plan %v, error %v", p, err)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if strings.HasPrefix(c.text, "{") {
				var q faults.Plan
				if err := json.Unmarshal([]byte(c.text), &q); err == nil || len(q.Faults) > 0 {
					t.Errorf("json.Unmarshal: plan %v, error %v", q, err)
				}
			}
		})
	}
}

func TestNullJSONChangesNothing(t *testing.T) {
	p := faults.Plan{Version: 1, Seed: 7}
	if err := json.Unmarshal([]byte("null"), &p); err != nil || p.Seed != 7 {
		t.Errorf("plan %v, error %v", p, err)
	}
}

func TestInvalidPlanDoesNotPrintAsJSON(t *testing.T) {
	_, err := json.Marshal(faults.Plan{Faults: []faults.Fault{{Kind: "flood"}}})
	if !errors.Is(err, faults.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestReadIsBounded(t *testing.T) {
	endless := &counter{}
	if _, err := faults.Read(endless); !errors.Is(err, faults.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if endless.read > 2*faults.MaxText {
		t.Errorf("%d bytes were read", endless.read)
	}
	why := errors.New("the disk is gone")
	if _, err := faults.Read(iotest.ErrReader(why)); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if p, err := faults.Read(strings.NewReader("v1 seed=3\n")); err != nil || p.Seed != 3 {
		t.Errorf("plan %v, error %v", p, err)
	}
}

// counter is a reader without an end.
type counter struct{ read int }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	c.read += len(b)
	return len(b), nil
}

// FuzzParse checks that whatever parses is valid, prints, and parses back.
func FuzzParse(f *testing.F) {
	f.Add("v1 seed=7 crash(node-1)@1.5s+2s cut(node-1,node-2)@3s loss(node-2)@2s+4s*0.25")
	f.Add(`{"version":1,"seed":7,"faults":[{"at":"1.5s","for":"2s","kind":"crash","target":"node-1"}]}`)
	f.Add(`{"version":1,"seed":7,"faults":[{"at":"1.5s","kind":"loss","target":"a","peer":"b","amount":1e-3}]}`)
	f.Add("v1 seed=0 wall-jump(a)@0s*-0x1p-3")
	f.Add("crash(node-1)@1.5s+2s")
	f.Fuzz(func(t *testing.T, text string) {
		if one, err := faults.ParseFault(text); err == nil {
			if again, err := faults.ParseFault(one.String()); err != nil || again != one {
				t.Fatalf("%v came back as %v, error %v", one, again, err)
			}
		} else if !errors.Is(err, faults.ErrInvalid) {
			t.Fatalf("error %v", err)
		}
		p, err := faults.Parse(text)
		if err != nil {
			if !errors.Is(err, faults.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("an invalid plan was parsed: %v", err)
		}
		if q, err := faults.Parse(p.String()); err != nil || !q.Equal(p) {
			t.Fatalf("%v came back as %v, error %v", p, q, err)
		}
		js, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := faults.Parse(string(js)); err != nil || !q.Equal(p) {
			t.Fatalf("%s came back as %v, error %v", js, q, err)
		}
		var q faults.Plan
		if err := q.UnmarshalJSON(js); err != nil || !q.Equal(p) {
			t.Fatalf("%s came back as %v, error %v", js, q, err)
		}
	})
}
