package simfdb

import (
	"errors"
	"fmt"
	"slices"
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
		1004: store.ErrTimedOut, 1007: store.ErrTooOld, 1009: store.ErrUnavailable, 1020: store.ErrConflict, 1021: store.ErrCommitUnknown,
		1025: store.ErrUsed, 1032: store.ErrTooLarge, 1036: store.ErrUnreadable, 1037: store.ErrUnavailable,
		1042: store.ErrUnavailable, 1051: store.ErrUnavailable, 1101: store.ErrUsed, 1213: store.ErrUnavailable,
		2000: store.ErrInvalid, 2004: store.ErrInvalid, 2005: store.ErrInvalid, 2010: store.ErrInvalid,
		2011: store.ErrInvalid, 2017: store.ErrUsed, 2018: store.ErrInvalid, 2020: store.ErrInvalid,
		1031: store.ErrCommitUnknown, 1034: store.ErrInvalid, 1038: store.ErrUnavailable, 1039: store.ErrCommitUnknown,
		1078: store.ErrUnavailable, 1079: store.ErrUnavailable, 1100: store.ErrInvalid, 1223: store.ErrUnavailable,
		2006: store.ErrInvalid, 2012: store.ErrInvalid, 2023: store.ErrInvalid, 2109: store.ErrInvalid,
		2112: store.ErrInvalid, 2113: store.ErrInvalid, 2114: store.ErrInvalid, 2115: store.ErrInvalid, 2210: store.ErrInvalid,
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
	if len(errorTexts) != 42 {
		t.Errorf("%d errors have a text, 42 are tested", len(errorTexts))
	}
}

// TestErrorPredicates holds the predicates to the numbers that were recorded.
func TestErrorPredicates(t *testing.T) {
	retryable := []int{1007, 1009, 1020, 1021, 1037, 1038, 1039, 1042, 1051, 1078, 1213, 1223}
	maybe := []int{1021, 1039}
	for code := range 3000 {
		e := Error{code}
		r, m := slices.Contains(retryable, code), slices.Contains(maybe, code)
		if e.Retryable() != r || e.MaybeCommitted() != m || e.RetryableNotCommitted() != (r && !m) {
			t.Errorf("%d: retryable %v, maybe committed %v, retryable and not committed %v",
				code, e.Retryable(), e.MaybeCommitted(), e.RetryableNotCommitted())
		}
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	for field, o := range map[string]Options{
		"BatchInterval":    {BatchInterval: -1},
		"MaxBatch":         {MaxBatch: 65_536},
		"MaxQueue":         {MaxQueue: -1},
		"SyncMin":          {SyncMin: 2, SyncMax: 1},
		"RecoveryMin":      {RecoveryMin: -1},
		"FailureTimeout":   {FailureTimeout: -time.Second},
		"Keepalive":        {Keepalive: -time.Second},
		"ReadVersionBatch": {ReadVersionBatch: time.Second},
		"ReadVersionRate":  {ReadVersionRate: -1},
		"TagThrottled":     {Faults: Faults{TagThrottled: 1.5}},
		"BatchRateLimit":   {Faults: Faults{BatchRateLimit: -0.5}},
		"ProcessBehind":    {Faults: Faults{ProcessBehind: 2}},
		"FutureVersion":    {Faults: Faults{FutureVersion: 2}},
		"ProxyMemory":      {Faults: Faults{ProxyMemory: 2}},
		"Conflict":         {Faults: Faults{Conflict: 2}},
		"RequestLost":      {Faults: Faults{RequestLost: 2}},
		"ReplyLost":        {Faults: Faults{ReplyLost: 2}},
		"TimedOut":         {Faults: Faults{TimedOut: 2}},
		"UpgradeBefore":    {Faults: Faults{UpgradeBefore: 2}},
		"UpgradeAfter":     {Faults: Faults{UpgradeAfter: 2}},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}
