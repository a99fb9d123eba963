package simfdb

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

func TestErrorNumbersStandForTheSentinels(t *testing.T) {
	sentinels := []error{
		store.ErrConflict, store.ErrTooOld, store.ErrUnavailable, store.ErrCommitUnknown, store.ErrTimedOut,
		store.ErrTooLarge, store.ErrInvalid, store.ErrUsed, store.ErrUnreadable, store.ErrClosed,
	}
	for code, want := range map[int]error{
		1007: store.ErrTooOld, 1009: store.ErrUnavailable, 1020: store.ErrConflict, 1021: store.ErrCommitUnknown,
		1025: store.ErrUsed, 1032: store.ErrTooLarge, 1036: store.ErrUnreadable, 1037: store.ErrUnavailable,
		1042: store.ErrUnavailable, 1051: store.ErrUnavailable, 1101: store.ErrUsed, 1213: store.ErrUnavailable,
		2000: store.ErrInvalid, 2004: store.ErrInvalid, 2005: store.ErrInvalid, 2010: store.ErrInvalid,
		2011: store.ErrInvalid, 2017: store.ErrUsed, 2018: store.ErrInvalid, 2020: store.ErrInvalid,
		2021: store.ErrInvalid, 2101: store.ErrTooLarge, 2102: store.ErrTooLarge, 2103: store.ErrTooLarge,
	} {
		err := fmt.Errorf("wrapped: %w", Error{code})
		for _, s := range sentinels {
			if got := errors.Is(err, s); got != (s == want) {
				t.Errorf("%v is %v: %v", err, s, got)
			}
		}
		if !errors.Is(err, Error{code}) || errors.Is(err, Error{code + 1}) {
			t.Errorf("%v is not told from its neighbor", err)
		}
		if errorTexts[code] == "" {
			t.Errorf("%d has no text", code)
		}
	}
	if len(errorTexts) != 24 {
		t.Errorf("%d errors have a text, 24 are tested", len(errorTexts))
	}
}

// The recorded predicates of the client, as far as the model has the errors.
func TestErrorPredicates(t *testing.T) {
	retryable := map[int]bool{1007: true, 1009: true, 1020: true, 1021: true, 1037: true, 1042: true, 1051: true, 1213: true}
	for code := range errorTexts {
		if got := (Error{code}).Retryable(); got != retryable[code] {
			t.Errorf("%d retryable: %v", code, got)
		}
		if got := (Error{code}).MaybeCommitted(); got != (code == 1021) {
			t.Errorf("%d maybe committed: %v", code, got)
		}
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	for field, o := range map[string]Options{
		"BatchInterval":  {BatchInterval: -1},
		"MaxBatch":       {MaxBatch: 65_536},
		"MaxQueue":       {MaxQueue: -1},
		"SyncMin":        {SyncMin: 2, SyncMax: 1},
		"RecoveryMin":    {RecoveryMin: -1},
		"FailureTimeout": {FailureTimeout: -time.Second},
		"Keepalive":      {Keepalive: -time.Second},
		"TagThrottled":   {Faults: Faults{TagThrottled: 1.5}},
		"BatchRateLimit": {Faults: Faults{BatchRateLimit: -0.5}},
		"ProcessBehind":  {Faults: Faults{ProcessBehind: 2}},
		"FutureVersion":  {Faults: Faults{FutureVersion: 2}},
		"ProxyMemory":    {Faults: Faults{ProxyMemory: 2}},
		"Conflict":       {Faults: Faults{Conflict: 2}},
		"RequestLost":    {Faults: Faults{RequestLost: 2}},
		"ReplyLost":      {Faults: Faults{ReplyLost: 2}},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}
