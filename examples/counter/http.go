package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

const (
	// keyHeader names a request: two with one key count once.
	keyHeader = "Idempotency-Key"
	// passedHeader marks a request that a node has passed on.
	passedHeader = "X-Passed-On"

	maxKeyBytes = 100
)

// handleAdd counts a request for a counter, here or at its owner, and answers
// with the count. A counter that nobody owns is placed on a node.
func (n *node) handleAdd(w http.ResponseWriter, r *http.Request) {
	name, request := r.PathValue("name"), r.Header.Get(keyHeader)
	if err := registry.ActorID(name).Validate(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if request == "" || len(request) > maxKeyBytes || strings.Contains(request, "/") {
		http.Error(w, fmt.Sprintf("%s must have 1 to %d bytes and no slash", keyHeader, maxKeyBytes), http.StatusBadRequest)
		return
	}
	count, answered, err := n.addAnywhere(w, r, name, request)
	switch {
	case answered:
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, count)
	}
}

// addAnywhere counts here or lets the owner answer.
func (n *node) addAnywhere(w http.ResponseWriter, r *http.Request, name, request string) (count int, answered bool, err error) {
	for {
		p, err := n.registry.Place(r.Context(), registry.ActorID(name), registry.PlaceOptions{})
		if err != nil {
			return 0, false, err
		}
		var wait time.Duration
		if p.Owner.Node != n.id {
			if r.Header.Get(passedHeader) != "" {
				// The sender's knowledge is old: it may look again.
				http.Error(w, fmt.Sprintf("%s is at %s", name, p.Owner.Node), http.StatusMisdirectedRequest)
				return 0, true, nil
			}
			if n.passOn(w, r, p.Owner) == nil {
				return 0, true, nil
			}
			// The owner does not answer. Wait until its lease has ended, but look every
			// now and then whether another node has been faster.
			wait = n.registry.Options().TTL / 8
		}
		count, err := n.addHere(r.Context(), name, request, wait)
		if !errors.Is(err, registry.ErrHeld) || r.Context().Err() != nil {
			return count, false, err
		}
	}
}

// passOn lets the owner answer. After an error nothing has been answered yet: the
// owner did not reply, or says that it is not the owner.
func (n *node) passOn(w http.ResponseWriter, r *http.Request, owner registry.Owner) error {
	header := http.Header{passedHeader: {string(n.id)}, keyHeader: {r.Header.Get(keyHeader)}}
	status, body, err := post(r.Context(), n.client, owner.Address, r.PathValue("name"), header)
	if err == nil && status == http.StatusMisdirectedRequest {
		err = errors.New(body)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have gone
	return nil
}

// post sends one request to a node.
func post(ctx context.Context, client *http.Client, address, name string, header http.Header) (status int, body string, err error) {
	u := url.URL{Scheme: "http", Host: address, Path: "/counters/" + name}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return 0, "", err
	}
	req.Header = header
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return res.StatusCode, string(b), err
}
