package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/kelpie-registry/kelpie/registry"
)

// request asks the register to keep a value for an actor.
type request struct {
	Actor registry.ActorID `json:"actor"`
	Token registry.Token   `json:"token"`
	Value string           `json:"value"`
}

// errStale: a newer owner has written already.
var errStale = errors.New("stale token")

// register keeps the last value of each actor, outside the registry's store: it
// stands for a disk, a queue, a payment service.
//
// The check is all that a resource has to do for itself, and it is safe under
// every fault: the registry gives each owner of an actor a higher token than the
// one before, so a write with a lower token than the highest comes from an owner
// of the past. The highest token must be kept as durably as the value.
type register struct {
	check bool

	mu      sync.Mutex
	values  map[registry.ActorID]string
	highest map[registry.ActorID]registry.Token
}

func newRegister(check bool) *register {
	return &register{
		check:   check,
		values:  make(map[registry.ActorID]string),
		highest: make(map[registry.ActorID]registry.Token),
	}
}

// serve is a network handler.
func (r *register) serve(_ context.Context, body []byte) ([]byte, error) {
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("malformed request: %w", err)
	}
	return nil, r.write(req)
}

func (r *register) write(req request) error {
	if err := req.Actor.Validate(); err != nil {
		return err
	}
	if req.Token == 0 {
		return errors.New("the request has no token")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if highest := r.highest[req.Actor]; r.check && req.Token < highest {
		return fmt.Errorf("%w: %v is below %v", errStale, req.Token, highest)
	}
	r.highest[req.Actor] = max(req.Token, r.highest[req.Actor])
	r.values[req.Actor] = req.Value
	return nil
}

func (r *register) value(a registry.ActorID) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[a]
}
