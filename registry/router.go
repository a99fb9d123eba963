package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
)

// MaxHops is the upper limit of RouterOptions.Hops.
const MaxHops = 100

const defaultHops = 5

// RouterOptions of a [Router]. The zero value means the defaults.
type RouterOptions struct {
	// Hops bounds how many nodes one call asks; 1 to [MaxHops]. Default: 5.
	Hops int
}

// Router carries calls to the owners of actors, through the host's network. The
// address of a node is that of [JoinOptions].Address.
//
// A caller asks its [Cache] who the owner is and sends along the token that it
// knows. The callee serves the call if it has a Valid claim of the actor with that
// token or a higher one, or was given the actor and can accept it now, and otherwise
// answers with the owner that it reads from the store, whom the caller asks next. So a wrong guess costs a hop, and is never
// served by somebody who merely was the owner.
//
// A call is repeated only where no handler can have run.
type Router struct {
	r     *Registry
	cache *Cache
	o     RouterOptions
}

// NewRouter returns a router that guesses by the cache, which must be of the same
// registry. The error wraps [ErrInvalid].
func (r *Registry) NewRouter(cache *Cache, o RouterOptions) (*Router, error) {
	if cache == nil || cache.r != r {
		return nil, invalid("the router's cache is not one of this registry")
	}
	if o.Hops == 0 {
		o.Hops = defaultHops
	}
	if o.Hops < 1 || o.Hops > MaxHops {
		return nil, invalid("RouterOptions.Hops is %d, must be from 1 to %d", o.Hops, MaxHops)
	}
	return &Router{r: r, cache: cache, o: o}, nil
}

// ActorHandler serves a call to an actor that this node owns. The claim was Valid
// when the call came in: what needs certainty asks it again, uses [Guard], or sends
// its token along. The error reaches the caller as a [*network.RemoteError].
type ActorHandler func(ctx context.Context, c *Claim, req []byte) ([]byte, error)

// Handle serves calls of method to the actors that the session owns. A second
// Handle of one method replaces the first: a node that has joined anew calls it
// with its new session.
func (rt *Router) Handle(s *Session, method string, h ActorHandler) {
	rt.r.host.Network().Handle(method, func(ctx context.Context, body []byte) ([]byte, error) {
		call, err := decodeCall(body)
		if err != nil {
			return nil, err
		}
		c, owner := rt.serving(ctx, s, call)
		if c == nil {
			return owner.encode([]byte{replyRefused}), nil
		}
		res, err := h(ctx, c, call.payload)
		if err != nil {
			return nil, err
		}
		return append([]byte{replyServed}, res...), nil
	})
}

// serving returns the claim that serves the call; nil, and the owner as far as it
// is known, when the call is not for this node. A session that was given the actor
// and has not heard of it yet accepts it now.
func (rt *Router) serving(ctx context.Context, s *Session, call call) (*Claim, Owner) {
	c := s.lastHandle(call.actor)
	if c == nil || !c.Valid() || c.token < call.token {
		var owner Owner
		var err error
		if c, _, owner, err = s.adopt(ctx, call.actor); err != nil {
			// Nothing is known, and no handler ran: the caller may look for itself.
			return nil, Owner{}
		}
		if c == nil || !c.Valid() || c.token < call.token {
			return nil, owner
		}
	}
	return c, Owner{}
}

// Call sends req to the handler of method at the owner of the actor and returns its
// answer.
//
// Errors: [ErrInvalid]; [ErrUnowned] when no live session owns the actor;
// [ErrNotOwner] when the owner was not found within so many hops;
// a [*network.RemoteError] of the handler; network.ErrNoReply: the handler may have
// run; other errors of the network, the store and ctx, after which it has not.
func (rt *Router) Call(ctx context.Context, actor ActorID, method string, req []byte) ([]byte, error) {
	var owner Owner
	for hop := range rt.o.Hops {
		if hop > 1 {
			// The second owner was wrong as well: the actor is on the move.
			if err := rt.r.host.Sleep(ctx, rt.r.o.Retry.Delay(hop-2, rt.r.host.Rand())); err != nil {
				return nil, fmt.Errorf("registry: call %s of %q: %w", method, actor, err)
			}
		}
		var err error
		if owner, err = rt.cache.Lookup(ctx, actor); err != nil {
			return nil, err
		}
		res, served, err := rt.ask(ctx, owner, actor, method, req)
		if err != nil {
			return nil, fmt.Errorf("registry: call %s of %q at %v: %w", method, actor, owner, err)
		}
		if served {
			return res, nil
		}
	}
	return nil, fmt.Errorf("registry: call %s: gave up after %d nodes: %w", method, rt.o.Hops, &NotOwnerError{Actor: actor, Owner: owner})
}

// ask makes one hop. Unless it was served, the cache knows better now.
func (rt *Router) ask(ctx context.Context, owner Owner, actor ActorID, method string, req []byte) (res []byte, served bool, err error) {
	began := rt.r.host.Uptime()
	body := call{actor: actor, token: owner.Token, payload: req}.encode()
	res, err = rt.r.host.Network().Call(ctx, network.Address(owner.Address), method, body)
	switch {
	case errors.Is(err, network.ErrRefused), errors.Is(err, network.ErrUnknownAddress):
		rt.cache.Forget(actor, owner.Token) // nobody is there, and no handler ran
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case len(res) > 0 && res[0] == replyServed:
		return res[1:], true, nil
	case len(res) == 0 || res[0] != replyRefused:
		return nil, false, fmt.Errorf("%w: the answer is not one of a router", network.ErrNoReply)
	}
	rt.cache.Forget(actor, owner.Token)
	if now, err := decodeOwner(res[1:]); err == nil && now != (Owner{}) {
		rt.cache.Learn(actor, now, began)
	}
	return nil, false, nil
}
