package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/network"
)

// method is how a write is called on the network.
const method = "sink-write"

// Decision is what became of one write, a line of the sink's file.
type Decision struct {
	At       time.Duration `json:"t"` // when it was decided
	Accepted bool          `json:"accepted"`
	Write
}

var errNotKept = errors.New("sink: the decision could not be kept")

// Serve decides about writes that come over the network. Each decision is in the
// file before its writer is told.
func Serve(n network.Network, now func() time.Duration, decisions *jsonl.Writer) {
	t := NewTable()
	n.Handle(method, func(_ context.Context, req []byte) ([]byte, error) {
		var w Write
		if err := json.Unmarshal(req, &w); err != nil {
			return nil, fmt.Errorf("sink: %w", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		d := Decision{At: now(), Accepted: t.takes(w), Write: w}
		if !decisions.Append(&d) {
			return nil, errNotKept
		}
		return []byte{answer(d.Accepted)}, nil
	})
}

// Answers on the network.
const (
	refused  = 'n'
	accepted = 'y'
)

func answer(ok bool) byte {
	if ok {
		return accepted
	}
	return refused
}

// Client writes to a sink of another process.
type Client struct {
	Network network.Network
	Sink    network.Address
}

// Write returns OutcomeOK or OutcomeRejected; OutcomeFailed when the sink was not
// reached, and OutcomeUnknown when it may have been.
func (c Client) Write(ctx context.Context, w Write) linearizability.Outcome {
	req, err := json.Marshal(&w)
	if err != nil {
		return linearizability.OutcomeFailed
	}
	reply, err := c.Network.Call(ctx, c.Sink, method, req)
	switch {
	case errors.Is(err, network.ErrRefused), errors.Is(err, network.ErrUnknownAddress):
		return linearizability.OutcomeFailed
	case err != nil || len(reply) != 1:
		return linearizability.OutcomeUnknown
	case reply[0] == accepted:
		return linearizability.OutcomeOK
	}
	return linearizability.OutcomeRejected
}
