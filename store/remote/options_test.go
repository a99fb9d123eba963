package remote

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

func TestOptionsOutOfRange(t *testing.T) {
	for name, o := range map[string]ServerOptions{
		"MessageBytes": {MessageBytes: MinMessage - 1},
		"Clients":      {Clients: -1},
		"Outcomes":     {Outcomes: -1},
		"TxnIdle":      {TxnIdle: -1},
		"ClientIdle":   {ClientIdle: MaxWait + 1},
	} {
		if _, err := o.withDefaults(); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "ServerOptions."+name) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
	servers := []network.Address{"a"}
	for name, o := range map[string]Options{
		"Servers":     {},
		"Backoff":     {Servers: servers, Backoff: clock.Backoff{Initial: -1}},
		"CallTimeout": {Servers: servers, CallTimeout: time.Microsecond},
		"Poll":        {Servers: servers, Poll: -time.Second},
		"PollRetries": {Servers: servers, PollRetries: -1},
	} {
		if _, err := o.withDefaults(); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "Options."+name) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
	if _, err := (ServerOptions{}).withDefaults(); err != nil {
		t.Error(err)
	}
	if _, err := (Options{Servers: servers}).withDefaults(); err != nil {
		t.Error(err)
	}
}
