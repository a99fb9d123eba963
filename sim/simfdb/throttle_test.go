package simfdb

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

func TestReadVersionsAreGivenOutAtTheRate(t *testing.T) {
	given, refused, immediate := 0, 0, time.Duration(0)
	inClient(t, Options{ReadVersionRate: 100}, func(l *lab, h *sim.Host, cl *Client) error {
		for range 50 {
			h.Go("default", func(context.Context) {
				if _, err := cl.CreateTransaction().GetReadVersion().Get(); err != nil {
					l.Fail("default", err)
				}
				given++
			})
		}
		if err := h.Sleep(h.Context(), 10*time.Millisecond); err != nil {
			return err
		}
		for range 5 {
			tr := cl.CreateTransaction()
			_ = tr.Options().SetPriorityBatch()
			if _, err := tr.GetReadVersion().Get(); errors.Is(err, Error{CodeBatchRateLimit}) {
				refused++
			}
		}
		tr := cl.CreateTransaction()
		_ = tr.Options().SetPrioritySystemImmediate()
		began := l.Now()
		if _, err := tr.GetReadVersion().Get(); err != nil {
			return err
		}
		immediate = l.Now() - began
		if err := h.Sleep(h.Context(), 200*time.Millisecond); err != nil {
			return err
		}
		if given < 18 || given > 26 {
			t.Errorf("%d read versions in 0.2 s at 100 a second", given)
		}
		return nil
	})
	if given != 50 || refused != 5 || immediate > 5*time.Millisecond {
		t.Errorf("given %d, batch refused %d, system immediate waited %v", given, refused, immediate)
	}
}

func TestFullGateRefusesReadVersions(t *testing.T) {
	codes := map[int]int{}
	inClient(t, Options{ReadVersionRate: 1, MaxQueue: 3}, func(_ *lab, h *sim.Host, cl *Client) error {
		for range 10 {
			h.Go("reader", func(context.Context) {
				var e Error
				_, err := cl.CreateTransaction().GetReadVersion().Get()
				errors.As(err, &e)
				codes[e.Code]++
			})
		}
		return h.Sleep(h.Context(), 20*time.Second)
	})
	if codes[0] != 4 || codes[CodeGRVProxyMemoryLimit] != 6 {
		t.Errorf("%v; one passes, three wait, six are refused", codes)
	}
}

func TestThrottledTagsAreRefused(t *testing.T) {
	inClient(t, Options{}, func(l *lab, _ *sim.Host, cl *Client) error {
		l.c.SetThrottledTags("slow")
		for tag, want := range map[string]error{"slow": Error{CodeTagThrottled}, "fast": nil} {
			tr := cl.CreateTransaction()
			_ = tr.Options().SetTag(tag)
			if _, err := tr.GetReadVersion().Get(); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", tag, err, want)
			}
		}
		l.c.SetThrottledTags()
		tr := cl.CreateTransaction()
		_ = tr.Options().SetTag("slow")
		_, err := tr.GetReadVersion().Get()
		return err
	})
}

// TestReadVersionBatchIsSharedAndCausal gathers the requests of many transactions:
// they share a version, and none misses a commit that was acknowledged before.
func TestReadVersionBatchIsSharedAndCausal(t *testing.T) {
	asked := map[time.Duration]uint64{}
	for _, window := range []time.Duration{0, 5 * time.Millisecond} {
		l := inClient(t, Options{ReadVersionBatch: window}, func(l *lab, h *sim.Host, cl *Client) error {
			for i := range 40 {
				tr := cl.CreateTransaction()
				tr.Set([]byte("k"), []byte(fmt.Sprint(i)))
				if err := tr.Commit().Get(); err != nil {
					return err
				}
				for range 20 {
					h.Go("reader", func(context.Context) {
						v, err := cl.CreateTransaction().GetReadVersion().Get()
						if err != nil || v < tr.GetCommittedVersion() {
							l.Fail("reader", fmt.Errorf("read version %d after commit %d: %w", v, tr.GetCommittedVersion(), err))
						}
					})
				}
				if err := h.Sleep(h.Context(), 20*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
		asked[window] = l.Stats().Messages
	}
	if asked[5*time.Millisecond] > asked[0]/2 {
		t.Errorf("messages without and with batches: %v", asked)
	}
}

// TestBatchedReadVersionEndsWithItsTransaction cancels one of two that wait.
func TestBatchedReadVersionEndsWithItsTransaction(t *testing.T) {
	inClient(t, Options{ReadVersionBatch: 5 * time.Millisecond}, func(_ *lab, _ *sim.Host, cl *Client) error {
		a, b := cl.CreateTransaction(), cl.CreateTransaction()
		fa, fb := a.GetReadVersion(), b.GetReadVersion()
		a.Cancel()
		if _, err := fa.Get(); !errors.Is(err, Error{CodeTransactionCancelled}) {
			t.Errorf("the one that was canceled: %v", err)
		}
		_, err := fb.Get()
		return err
	})
}
