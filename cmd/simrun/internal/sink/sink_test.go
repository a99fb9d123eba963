package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/registry"
)

// wrote is a decision about a write of actor a.
func wrote(accepted bool, node registry.NodeID, token registry.Token, asked, answered time.Duration) Decision {
	return Decision{Accepted: accepted, Write: Write{Actor: "a", Node: node, Token: token, Asked: asked, Answered: answered}}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name      string
		decisions []Decision
		want      string
	}{
		{"nothing", nil, ""},
		{"one after the other", []Decision{wrote(true, "n", 1, 10, 12), wrote(true, "n", 1, 20, 22), wrote(true, "m", 2, 30, 31)}, ""},
		{"a stale token that is refused", []Decision{wrote(true, "n", 1, 10, 12), wrote(true, "m", 2, 30, 31), wrote(false, "n", 1, 20, 21)}, ""},
		{"questions that overlap prove nothing", []Decision{wrote(true, "n", 1, 10, 12), wrote(true, "m", 2, 9, 11)}, ""},
		{"a stale token that is accepted", []Decision{wrote(true, "n", 1, 10, 12), wrote(true, "m", 2, 30, 31), wrote(true, "n", 1, 20, 21)}, RuleStaleWrite},
		{"two at once, one refused", []Decision{wrote(true, "m", 2, 30, 31), wrote(false, "n", 1, 31, 32)}, RuleTwoBelieved},
		{"two at once, of three", []Decision{wrote(true, "m", 2, 30, 31), wrote(true, "o", 3, 60, 61), wrote(false, "n", 1, 40, 41)}, RuleTwoBelieved},
	} {
		if v := Judge(c.decisions); v.Rule != c.want || (v.Message == "") != (c.want == "") {
			t.Errorf("%s: %q: %s, want %q", c.name, v.Rule, v.Message, c.want)
		}
	}
	other := wrote(false, "n", 1, 40, 41)
	other.Actor = "b"
	if v := Judge([]Decision{wrote(true, "m", 2, 30, 31), other}); v.Rule != "" || v.Believers != 2 || v.Accepted != 1 || v.Refused != 1 {
		t.Errorf("of two actors: %+v", v)
	}
}

func newNet(t *testing.T) *httpnet.Net {
	t.Helper()
	n, err := httpnet.New(httpnet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// full is a file that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("full")

func TestDecisionsAreInTheFileBeforeTheyAreTold(t *testing.T) {
	server, client := newNet(t), newNet(t)
	var file bytes.Buffer
	Serve(server, func() time.Duration { return 5 }, jsonl.NewWriter(&file, func(err error) { t.Error(err) }))
	c := Client{Network: client, Sink: server.Address()}
	for _, w := range []struct {
		token registry.Token
		want  linearizability.Outcome
	}{{2, linearizability.OutcomeOK}, {1, linearizability.OutcomeRejected}, {2, linearizability.OutcomeOK}, {3, linearizability.OutcomeOK}} {
		if got := c.Write(t.Context(), Write{Actor: "a", Token: w.token}); got != w.want {
			t.Errorf("token %v: %v, want %v", w.token, got, w.want)
		}
		lines := bytes.Split(bytes.TrimSpace(file.Bytes()), []byte("\n"))
		var d Decision
		if err := json.Unmarshal(lines[len(lines)-1], &d); err != nil || d.Token != w.token || d.Accepted != (w.want == linearizability.OutcomeOK) || d.At != 5 {
			t.Errorf("the last line is %s, error %v", lines[len(lines)-1], err)
		}
	}
	var told error
	Serve(server, func() time.Duration { return 5 }, jsonl.NewWriter(full{}, func(err error) { told = err }))
	if got := c.Write(t.Context(), Write{Actor: "a", Token: 9}); got != linearizability.OutcomeUnknown || !errors.Is(told, errFull) {
		t.Errorf("a file that is full: %v, error %v", got, told)
	}
	c.Sink = "127.0.0.1:1"
	if got := c.Write(t.Context(), Write{Actor: "a", Token: 9}); got != linearizability.OutcomeFailed {
		t.Errorf("nobody listens: %v", got)
	}
}
