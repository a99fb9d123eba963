// Command counter runs virtual actors over HTTP: counters that live on whichever
// of three nodes owns them.
//
// Any node takes a request for any counter. It has the counter placed on a node if it
// is free, and passes the request on if another node owns it. One node is restarted
// as it should be: it drains, so that each of its counters goes to another node
// without a pause. Later one stops without a word; the others wait until it has been
// silent for longer than its lease, take its counters over and go on. The counts are kept with
// [registry.Guard], so that a node that has lost a counter cannot change it, and
// each request carries a key under which it counts once, so that clients may
// repeat what was not answered. In the end every acknowledged request has been
// counted, and none twice.
//
// The three nodes share one process and a store in memory, to make an example
// that runs by itself. Nodes on machines of their own differ in the store that
// they open.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

func main() {
	o := options{}
	flag.DurationVar(&o.ttl, "ttl", 2*time.Second, "length of a lease, from 100ms to 1m")
	flag.IntVar(&o.clients, "clients", 8, "clients, from 1 to 1000")
	flag.IntVar(&o.requests, "requests", 300, "requests of each client, from 3 to 100000")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := o.validate()
	if err == nil && flag.NArg() > 0 {
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "counter:", err)
		os.Exit(1)
	}
}

type options struct {
	ttl               time.Duration
	clients, requests int
}

func (o *options) validate() error {
	switch {
	case o.ttl < 100*time.Millisecond || o.ttl > time.Minute:
		return fmt.Errorf("-ttl is %v, must be from 100ms to 1m", o.ttl)
	case o.clients < 1 || o.clients > 1000:
		return fmt.Errorf("-clients is %d, must be from 1 to 1000", o.clients)
	case o.requests < 3 || o.requests > 100_000:
		return fmt.Errorf("-requests is %d, must be from 3 to 100000", o.requests)
	}
	return nil
}

const (
	nodes    = 3
	counters = 10
)

func counterName(i int) string { return fmt.Sprintf("counter-%d", i+1) }

// run starts the nodes, sends the requests, restarts a node after a third of them,
// stops one after two thirds, and looks what was counted.
func run(ctx context.Context, o options, out io.Writer) error {
	c, err := startCluster(ctx, o.ttl)
	if err != nil {
		return err
	}
	defer c.close()
	load := newLoad(c, o)
	fmt.Fprintf(out, "%d nodes, %d counters, %d clients with %d requests each\n", nodes, counters, o.clients, o.requests)

	var restarted, calm time.Duration
	var failed error
	load.after(o.clients*o.requests/3, func() {
		calm = load.slowest()
		moved, err := c.restart(ctx, 1)
		restarted, failed = load.slowest(), err
		fmt.Fprintf(out, "%s has drained and started anew: %d counters moved, %d left\n", c.node(1).id, moved.Moved, moved.Left)
	})
	var before map[string]registry.NodeID
	load.after(o.clients*o.requests*2/3, func() {
		calm = max(calm, load.slowest())
		before = c.owners(ctx)
		victim := c.node(nodes - 1)
		victim.stop()
		fmt.Fprintf(out, "%s has stopped, without a word, after %d acknowledged requests\n", victim.id, load.acknowledged())
	})
	began := time.Now()
	if err := errors.Join(load.run(ctx), failed); err != nil {
		return err
	}
	fmt.Fprintf(out, "all requests were acknowledged within %v; the slowest took %v during the restart, %v after the stop, else %v\n",
		time.Since(began).Round(time.Millisecond), restarted.Round(time.Millisecond), load.slowest().Round(time.Millisecond), calm.Round(time.Millisecond))
	return c.report(ctx, out, before, load)
}

// report compares what was counted with what was acknowledged.
func (c *cluster) report(ctx context.Context, out io.Writer, before map[string]registry.NodeID, load *load) error {
	after := c.owners(ctx)
	fmt.Fprintf(out, "\n%-12s %8s %14s   %-8s %s\n", "counter", "count", "acknowledged", "before", "after")
	var wrong error
	for i := range counters {
		name := counterName(i)
		count, err := c.node(0).count(ctx, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-12s %8d %14d   %-8s %s\n", name, count, load.of(name), before[name], after[name])
		if count != load.of(name) && wrong == nil {
			wrong = fmt.Errorf("%s is %d after %d acknowledged requests", name, count, load.of(name))
		}
	}
	return wrong
}
