package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

func TestEveryAcknowledgedRequestIsCountedOnce(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), options{ttl: 300 * time.Millisecond, clients: 4, requests: 60}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"node-2 has drained and started anew", ", 0 left", "node-3 has stopped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q:\n%s", want, out.String())
		}
	}
}

// TestAStoppedNodesCountersAreTakenOver looks at one counter: its requests go on
// under a new owner, a repeated one counts once, and the old claim cannot count.
func TestAStoppedNodesCountersAreTakenOver(t *testing.T) {
	ctx := t.Context()
	c, err := startCluster(ctx, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	send := func(n *node, key string) string {
		t.Helper()
		status, body, err := post(ctx, http.DefaultClient, n.address, "x", http.Header{keyHeader: {key}})
		if err != nil || status != http.StatusOK {
			t.Fatalf("request %s: status %d, %q, %v", key, status, body, err)
		}
		return strings.TrimSpace(body)
	}
	old, err := c.nodes[2].claim(ctx, "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := send(c.nodes[2], "a"); got != "1" {
		t.Errorf("first count %s", got)
	}
	if got := send(c.nodes[0], "b"); got != "2" {
		t.Errorf("passed on: count %s, want 2", got)
	}
	c.nodes[2].stop()
	if got := send(c.nodes[0], "c"); got != "3" {
		t.Errorf("after the take-over: count %s, want 3", got)
	}
	if got := send(c.nodes[1], "b"); got != "2" {
		t.Errorf("repeated: count %s, want 2 as before", got)
	}
	if owner, err := c.nodes[1].registry.Lookup(ctx, "x"); err != nil || owner.Node == "node-3" {
		t.Errorf("owner %v, %v, want one that lives", owner, err)
	}
	if count, err := c.nodes[0].add(ctx, old, "d"); err == nil {
		t.Errorf("the claim of the stopped node counted to %d", count)
	}
	if count, err := c.nodes[0].count(ctx, "x"); err != nil || count != 3 {
		t.Errorf("count %d, %v, want 3", count, err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	ctx := t.Context()
	c, err := startCluster(ctx, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, bad := range []struct{ name, key string }{
		{"x", ""},
		{"x", "a/b"},
		{"x", strings.Repeat("k", maxKeyBytes+1)},
		{strings.Repeat("n", registry.MaxActorIDBytes+1), "k"},
	} {
		status, body, err := post(ctx, http.DefaultClient, c.nodes[0].address, bad.name, http.Header{keyHeader: {bad.key}})
		if err != nil || status != http.StatusBadRequest {
			t.Errorf("counter %.10q, key %.10q: status %d, %q, %v", bad.name, bad.key, status, body, err)
		}
	}
	if owners := c.owners(ctx); len(owners) != 0 {
		t.Errorf("bad requests claimed %v", owners)
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	for flag, o := range map[string]options{
		"-ttl":      {ttl: time.Millisecond, clients: 1, requests: 3},
		"-clients":  {ttl: time.Second, requests: 3},
		"-requests": {ttl: time.Second, clients: 1, requests: 2},
	} {
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%+v: error %v, want one about %s", o, err, flag)
		}
	}
}
