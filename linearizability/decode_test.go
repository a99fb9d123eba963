package linearizability

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

const (
	headerLine = `{"format":"kelpie-history","version":1,"scenario":"s","seed":3}` + "\n"
	claimCall  = `{"e":"invoke","id":4,"t":10,"client":"c","kind":"claim","node":"n1","inc":5,"actor":"a"}` + "\n"
	claimOK    = `{"e":"return","id":4,"t":12,"outcome":"ok","token":9}` + "\n"
	endLine    = `{"e":"end","events":2}` + "\n"
)

func TestDecodeReadsWhatTheFormatSays(t *testing.T) {
	h, err := Decode(strings.NewReader(headerLine+claimCall+claimOK+endLine), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := History{Header: Header{Scenario: "s", Seed: 3}, Ops: []Op{{
		ID: 4, Client: "c", Kind: KindClaim, Node: "n1", Incarnation: 5, Actor: "a", Token: 9,
		Call: 10, Return: 12, Outcome: OutcomeOK,
	}}}
	if !reflect.DeepEqual(*h, want) {
		t.Errorf("%+v, want %+v", *h, want)
	}
}

func TestDecodeRefusesBadInput(t *testing.T) {
	long := strings.Repeat("x", MaxIDBytes+1)
	for _, c := range []struct {
		name, text string
		line       int
		err        error
		want       string
	}{
		{"empty file", "", 1, ErrForeign, "empty"},
		{"foreign text", "hello\nworld\n", 1, ErrForeign, ""},
		{"foreign bytes", "\x7fELF\x02\x01\n\n", 1, ErrForeign, ""},
		{"foreign JSON", `{"a":1}` + "\n", 1, ErrForeign, ""},
		{"foreign file without lines", strings.Repeat("x", 100_000), 1, ErrForeign, "no end within 16384 bytes"},
		{"another format", strings.Replace(headerLine, "kelpie-history", "kelpie-artifact", 1), 1, ErrForeign, ""},
		{"version 0", strings.Replace(headerLine, `:1,`, `:0,`, 1), 1, ErrForeign, ""},
		{"newer version", `{"format":"kelpie-history","version":2,"clock":"x"}` + "\n", 1, ErrNewer, "version 2"},
		{"header cut", headerLine[:20], 1, ErrForeign, "has no end"},
		{"header without seed", `{"format":"kelpie-history","version":1,"scenario":"s"}` + "\n", 1, ErrEvent, "seed"},
		{"header with more", strings.Replace(headerLine, "}", `,"x":1}`, 1), 1, ErrEvent, `"x"`},
		{"truncated behind the header", headerLine, 1, ErrTruncated, "end line"},
		{"truncated behind an event", headerLine + claimCall, 2, ErrTruncated, "end line"},
		{"ends in mid-line", headerLine + claimCall + claimOK[:20], 3, ErrTruncated, "middle"},
		{"ends without newline", headerLine + claimCall + claimOK + endLine[:len(endLine)-1], 4, ErrTruncated, "middle"},
		{"lines cut out", headerLine + claimCall + endLine, 3, ErrTruncated, "counts 2"},
		{"text after the end", headerLine + claimCall + claimOK + endLine + claimCall, 5, ErrEvent, "after the end"},
		{"line too long", headerLine + strings.Repeat(" ", defaultLineBytes) + claimCall, 2, ErrTooBig, "longer"},
		{"duplicate id", headerLine + claimCall + claimCall, 3, ErrEvent, "duplicate id"},
		{"second return", headerLine + claimCall + claimOK + claimOK, 4, ErrEvent, "duplicate id"},
		{"return without invoke", headerLine + claimOK, 2, ErrEvent, "return without invoke"},
		{"return before call", headerLine + claimCall + strings.Replace(claimOK, ":12", ":9", 1), 3, ErrEvent, "return before call"},
		{"unknown event", headerLine + `{"e":"pause"}` + "\n", 2, ErrEvent, `"pause"`},
		{"unknown kind", headerLine + strings.Replace(claimCall, "claim", "steal", 1), 2, ErrEvent, `"steal"`},
		{"unknown outcome", headerLine + claimCall + strings.Replace(claimOK, "ok", "yes", 1), 3, ErrEvent, `"yes"`},
		{"outcome of another kind", headerLine + claimCall + `{"e":"return","id":4,"t":12,"outcome":"valid"}` + "\n", 3, ErrEvent, "cannot end"},
		{"no event", headerLine + "{}\n", 2, ErrEvent, "missing member e"},
		{"missing time", headerLine + strings.Replace(claimCall, `"t":10,`, "", 1), 2, ErrEvent, "missing member t"},
		{"missing field of the call", headerLine + strings.Replace(claimCall, `,"actor":"a"`, "", 1), 2, ErrEvent, "missing actor"},
		{"missing field of the return", headerLine + claimCall + strings.Replace(claimOK, `,"token":9`, "", 1), 3, ErrEvent, "missing token"},
		{"field of another kind", headerLine + strings.Replace(claimCall, `}`, `,"token":9}`, 1), 2, ErrEvent, "must not have token"},
		{"field of the call in the return", headerLine + claimCall + strings.Replace(claimOK, "}", `,"actor":"b"}`, 1), 3, ErrEvent, "must not have actor"},
		{"result in the call", headerLine + strings.Replace(claimCall, "}", `,"outcome":"ok"}`, 1), 2, ErrEvent, "must not have member outcome"},
		{"unknown member", headerLine + strings.Replace(claimCall, "}", `,"x":1}`, 1), 2, ErrEvent, `"x"`},
		{"member twice", headerLine + strings.Replace(claimCall, "}", `,"actor":"b"}`, 1), 2, ErrEvent, "twice"},
		{"member of another type", headerLine + strings.Replace(claimCall, `"a"`, "5", 1), 2, ErrEvent, "wrong type"},
		{"empty id", headerLine + strings.Replace(claimCall, `"a"`, `""`, 1), 2, ErrEvent, "actor is empty"},
		{"id too long", headerLine + strings.Replace(claimCall, `"a"`, `"`+long+`"`, 1), 2, ErrEvent, "1025 bytes"},
		{"token 0", headerLine + claimCall + strings.Replace(claimOK, ":9", ":0", 1), 3, ErrEvent, "token is 0"},
		{"token above 2^64", headerLine + claimCall + strings.Replace(claimOK, ":9", ":18446744073709551616", 1), 3, ErrEvent, "2^64"},
		{"token not whole", headerLine + claimCall + strings.Replace(claimOK, ":9", ":9.5", 1), 3, ErrEvent, "not whole"},
		{"negative time", headerLine + strings.Replace(claimCall, ":10", ":-10", 1), 2, ErrEvent, "whole number"},
		{"time too large", headerLine + strings.Replace(claimCall, ":10", ":9223372036854775807", 1), 2, ErrEvent, "at most"},
		{"id too large", headerLine + strings.Replace(claimCall, `"id":4`, `"id":4294967296`, 1), 2, ErrEvent, "at most"},
		{"not UTF-8", headerLine + strings.Replace(claimCall, `"a"`, "\"\xff\"", 1), 2, ErrEvent, "UTF-8"},
		{"lone surrogate is replaced, not refused", headerLine + strings.Replace(claimCall, `"a"`, `"\ud800"`, 1), 2, ErrTruncated, "end line"},
		{"bad escape", headerLine + strings.Replace(claimCall, `"a"`, `"\q"`, 1), 2, ErrEvent, "escape"},
		{"string without an end", headerLine + `{"e":"inv` + "\n", 2, ErrEvent, "without an end"},
		{"control character", headerLine + "{\"e\":\"a\tb\"}\n", 2, ErrEvent, "control character"},
		{"null", headerLine + strings.Replace(claimCall, `"a"`, "null", 1), 2, ErrEvent, "expected a string"},
		{"nested", headerLine + strings.Replace(claimCall, `"a"`, `{"b":1}`, 1), 2, ErrEvent, "expected a string"},
		{"leading zero", headerLine + strings.Replace(claimCall, ":10", ":010", 1), 2, ErrEvent, "leading zero"},
		{"text after the object", headerLine + "{} x\n", 2, ErrEvent, "after the object"},
		{"empty line", headerLine + "\n", 2, ErrEvent, "expected {"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := Decode(strings.NewReader(c.text), Limits{})
			var at *LineError
			if h != nil || !errors.As(err, &at) || at.Line != c.line || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("history %v, error %v, want line %d, %v and %q", h, err, c.line, c.err, c.want)
			}
		})
	}
}

func TestDecodePassesErrorsOfTheReaderOn(t *testing.T) {
	r := io.MultiReader(strings.NewReader(headerLine+claimCall[:10]), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := Decode(r, Limits{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestHistoriesSurviveTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRapid(t)
		h := generate(d, smallShape(d))
		h.Header = Header{Scenario: rapid.StringN(0, 20, MaxIDBytes).Draw(t, "scenario"), Seed: rapid.Uint64().Draw(t, "seed")}
		for i := range h.Ops {
			h.Ops[i].Client = rapid.StringMatching(`[a-z<>"\\\x{0}\x{7f}äß\x{2028}]{1,5}`).Draw(t, "client")
		}
		roundTrip(t, h)
	})
}

func roundTrip(t interface{ Fatalf(string, ...any) }, h *History) {
	var file bytes.Buffer
	if err := h.Encode(&file); err != nil {
		t.Fatalf("encode: %v", err)
	}
	again, err := Decode(bytes.NewReader(file.Bytes()), Limits{LineBytes: 64 << 10})
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, file.Bytes())
	}
	byID := make(map[int]Op)
	for _, op := range again.Ops {
		byID[op.ID] = op
	}
	for _, op := range h.Ops {
		if byID[op.ID] != op {
			t.Fatalf("%+v became %+v", op, byID[op.ID])
		}
	}
	if again.Header != h.Header || len(again.Ops) != len(h.Ops) {
		t.Fatalf("%+v with %d operations became %+v with %d", h.Header, len(h.Ops), again.Header, len(again.Ops))
	}
}

func TestEncodeRefusesWhatDecodeWouldRefuse(t *testing.T) {
	h := parseHistory(t, twoOwners)
	h.Ops[2].Actor = ""
	if err := h.Encode(io.Discard); !errors.Is(err, ErrOp) {
		t.Error(err)
	}
	h = &History{Header: Header{Scenario: "\xff"}}
	if err := h.Encode(io.Discard); err == nil {
		t.Error("a scenario that is not UTF-8")
	}
	e, err := NewEncoder(io.Discard, Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Invoke(&Op{Kind: KindClaim}); !errors.Is(err, ErrOp) {
		t.Error(err)
	}
	if err := e.Return(&Op{Client: "c", Kind: KindLookup, Actor: "a", Return: Open}); !errors.Is(err, ErrOp) {
		t.Error(err)
	}
}

// failAfter fails every write once n bytes have been written.
type failAfter struct{ n int }

func (f *failAfter) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestEncoderReportsAFullDisk(t *testing.T) {
	e, err := NewEncoder(&failAfter{100}, Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Invoke(&Op{Client: strings.Repeat("c", 1000), Kind: KindLookup, Actor: "a"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Flush(); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := e.Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("close: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(headerLine + claimCall + claimOK + endLine))
	f.Add([]byte(headerLine + claimCall))
	f.Add([]byte(headerLine + strings.Replace(claimCall, `"a"`, `"\u00e4\n"`, 1) + claimOK + endLine))
	for _, c := range specificationCases[:20] {
		var file bytes.Buffer
		if err := parseHistory(f, c.accept).Encode(&file); err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Decode(bytes.NewReader(data), Limits{LineBytes: 4096, Lines: 200})
		if err != nil {
			var at *LineError
			if h != nil || !errors.As(err, &at) {
				t.Fatalf("%v, %v", h, err)
			}
			return
		}
		if err := h.Validate(); err != nil {
			t.Fatalf("decoded and not valid: %v", err)
		}
		roundTrip(t, h)
		r := Check(h, Options{Steps: 2000})
		if hasRule(r.Violations, RuleDisagree) {
			t.Fatalf("%v\n%s", r.Violations, notation(h))
		}
	})
}
