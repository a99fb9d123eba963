package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func countKey(name string) []byte { return []byte("count/" + name) }

// doneKey marks a request that has been counted. A service that runs for longer
// than an example would remove marks that no client can ask for any more.
func doneKey(name, request string) []byte { return []byte("done/" + name + "/" + request) }

// add counts the request and returns the count, the one of then if it had been
// counted before. The guard makes count and ownership one transaction: whatever
// ends the claim first, on whichever node, makes this fail.
func (n *node) add(ctx context.Context, c *registry.Claim, request string) (count int, err error) {
	name := string(c.Actor())
	_, err = n.db.Transact(ctx, func(tx store.Tx) error {
		if err := registry.Guard(tx, c); err != nil {
			return err
		}
		done, err := readNumber(tx, doneKey(name, request))
		if err != nil {
			return err
		}
		if done > 0 {
			count = done
			return nil
		}
		if count, err = readNumber(tx, countKey(name)); err != nil {
			return err
		}
		count++
		text := []byte(strconv.Itoa(count))
		tx.Set(countKey(name), text)
		tx.Set(doneKey(name, request), text)
		return nil
	})
	return count, err
}

// addHere claims the counter and counts. A claim that has ended by the time of
// the count is claimed anew.
func (n *node) addHere(ctx context.Context, name, request string, wait time.Duration) (int, error) {
	for {
		c, err := n.claim(ctx, name, wait)
		if err != nil {
			return 0, err
		}
		count, err := n.add(ctx, c, request)
		if errors.Is(err, registry.ErrNotOwner) || errors.Is(err, registry.ErrSessionLost) {
			continue
		}
		return count, err
	}
}

// count reads a counter.
func (n *node) count(ctx context.Context, name string) (count int, err error) {
	err = n.db.Read(ctx, func(tx store.Reader) error {
		count, err = readNumber(tx, countKey(name))
		return err
	})
	return count, err
}

func readNumber(tx store.Reader, key []byte) (int, error) {
	v, err := tx.Get(key)
	if err != nil || v == nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return 0, fmt.Errorf("key %q: %w", key, err)
	}
	return n, nil
}
