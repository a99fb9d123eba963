package main

import (
	"context"
	"encoding/json"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
)

// node is a process that owns actors.
type node struct {
	host    host.Host
	session *registry.Session
	say     func(who, format string, args ...any)
}

func (n *node) tell(format string, args ...any) { n.say(n.host.Name(), format, args...) }

// write sends an effect to the register, with the token of the claim that allows
// it.
func (n *node) write(ctx context.Context, c *registry.Claim, value string) {
	req, err := json.Marshal(request{Actor: c.Actor(), Token: c.Token(), Value: value})
	if err == nil {
		_, err = n.host.Network().Call(ctx, "register", "write", req)
	}
	if err != nil {
		n.tell("writes %q: refused: %v", value, err)
		return
	}
	n.tell("writes %q: done", value)
}
