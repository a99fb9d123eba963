package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// The sink is a resource outside the store that checks fencing tokens: it
// refuses a write whose token is below the highest it has seen for the actor.
const (
	sinkName  = "sink"
	sinkWrite = "write"
)

var errSinkRequest = errors.New("scenario: malformed sink request")

func sinkRequest(actor int, token registry.Token) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(actor))
	return binary.BigEndian.AppendUint64(b, uint64(token))
}

func (r *run) startSink() {
	p := r.world.Process(sinkName, sim.ProcessOptions{})
	highest := make([]uint64, len(r.actors))
	p.Start(func(_ context.Context, h *sim.Host) {
		h.Network().Handle(sinkWrite, func(_ context.Context, req []byte) ([]byte, error) {
			if len(req) != 16 {
				return nil, fmt.Errorf("%w of %d bytes", errSinkRequest, len(req))
			}
			actor, token := binary.BigEndian.Uint64(req), binary.BigEndian.Uint64(req[8:])
			if actor >= uint64(len(highest)) {
				return nil, fmt.Errorf("%w: actor %d", errSinkRequest, actor)
			}
			accepted := token >= highest[actor]
			if accepted {
				highest[actor] = token
			}
			r.monitor.FencedWrite(r.world.Now(), string(r.actors[actor]), token, accepted)
			if accepted {
				return []byte{1}, nil
			}
			return []byte{0}, nil
		})
	})
}
