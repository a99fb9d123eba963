package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// load is the clients and what was acknowledged to them.
type load struct {
	cluster *cluster
	o       options

	mu      sync.Mutex
	counts  map[string]int // acknowledged, by counter
	total   int
	longest time.Duration
	marks   map[int]func()
}

func newLoad(c *cluster, o options) *load {
	return &load{cluster: c, o: o, counts: make(map[string]int), marks: make(map[int]func())}
}

// after has f called once, by one of the clients, after so many requests.
func (l *load) after(requests int, f func()) { l.marks[requests] = f }

// run sends all requests and returns when each was acknowledged, or ctx has
// ended.
func (l *load) run(ctx context.Context) error {
	errs := make([]error, l.o.clients)
	var running sync.WaitGroup
	for i := range l.o.clients {
		running.Go(func() { errs[i] = l.client(ctx, i) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// client sends one request after another, to any node, and repeats each until it
// is acknowledged.
func (l *load) client(ctx context.Context, id int) error {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for i := range l.o.requests {
		name, key := counterName(rand.IntN(counters)), fmt.Sprintf("%d-%d", id, i)
		began := time.Now()
		for !l.try(ctx, client, name, key) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(1+rand.IntN(20)) * time.Millisecond):
			}
		}
		l.note(name, time.Since(began))
	}
	return nil
}

// try sends a request once and reports whether it was acknowledged. A node that
// does not know the owner to be dead yet needs a lease's time to find out.
func (l *load) try(ctx context.Context, client *http.Client, name, key string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*l.o.ttl)
	defer cancel()
	n := l.cluster.node(rand.IntN(nodes))
	status, _, err := post(ctx, client, n.address, name, http.Header{keyHeader: {key}})
	return err == nil && status == http.StatusOK
}

func (l *load) note(name string, took time.Duration) {
	l.mu.Lock()
	l.counts[name]++
	l.total++
	l.longest = max(l.longest, took)
	atMark := l.marks[l.total]
	l.mu.Unlock()
	if atMark != nil {
		atMark()
	}
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *load) of(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[name]
}

// slowest returns how long the slowest request took since the last call.
func (l *load) slowest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.longest
	l.longest = 0
	return d
}
