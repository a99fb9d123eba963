package registry

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

func TestZeroOptionsAreReadyForUse(t *testing.T) {
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o.TTL != DefaultTTL || o.RenewEvery != DefaultTTL/3 || o.MaxDrift != DefaultMaxDrift || o.Namespace != DefaultNamespace {
		t.Errorf("defaults are %+v", o)
	}
}

func TestOptionsOutOfRangeNameFieldAndLimit(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want []string // parts of the message
	}{
		"TTL negative":               {Options{TTL: -1}, []string{"Options.TTL", "10ms", "24h"}},
		"TTL too short":              {Options{TTL: 9 * time.Millisecond}, []string{"Options.TTL", "10ms"}},
		"TTL too long":               {Options{TTL: 25 * time.Hour}, []string{"Options.TTL", "24h"}},
		"TTL under the interval":     {Options{TTL: time.Second, RenewEvery: 2 * time.Second}, []string{"Options.RenewEvery", "below TTL (1s)"}},
		"interval negative":          {Options{RenewEvery: -1}, []string{"Options.RenewEvery", "above 0"}},
		"timeout negative":           {Options{RenewTimeout: -1}, []string{"Options.RenewTimeout"}},
		"timeout above TTL":          {Options{TTL: time.Second, RenewTimeout: 2 * time.Second}, []string{"Options.RenewTimeout", "at most TTL (1s)"}},
		"drift negative":             {Options{MaxDrift: -0.1}, []string{"Options.MaxDrift", "0.2"}},
		"drift too large":            {Options{MaxDrift: 0.3}, []string{"Options.MaxDrift", "0.2"}},
		"drift not a number":         {Options{MaxDrift: math.NaN()}, []string{"Options.MaxDrift"}},
		"failures negative":          {Options{DegradedAfter: -1}, []string{"Options.DegradedAfter", "100"}},
		"failures too many":          {Options{DegradedAfter: 101}, []string{"Options.DegradedAfter", "100"}},
		"share negative":             {Options{DegradedShare: -1}, []string{"Options.DegradedShare"}},
		"share of all":               {Options{DegradedShare: 1}, []string{"Options.DegradedShare"}},
		"share not a number":         {Options{DegradedShare: math.NaN()}, []string{"Options.DegradedShare"}},
		"poll negative":              {Options{PollEvery: -1}, []string{"Options.PollEvery"}},
		"stagger negative":           {Options{Stagger: -1}, []string{"Options.Stagger", "above 0"}},
		"stagger too long":           {Options{TTL: 14 * time.Second, Stagger: time.Second}, []string{"Options.Stagger is 1s", "14·Stagger below TTL (14s)"}},
		"limit negative":             {Options{RevokeMin: -1}, []string{"Options.RevokeMin", "from 1 to 1000000"}},
		"limit too large":            {Options{RevokeMin: 1_000_001}, []string{"Options.RevokeMin", "from 1 to 1000000"}},
		"limit's share negative":     {Options{RevokeShare: -0.1}, []string{"Options.RevokeShare", "at most 1"}},
		"limit's share too large":    {Options{RevokeShare: 1.1}, []string{"Options.RevokeShare", "at most 1"}},
		"limit's share not a number": {Options{RevokeShare: math.NaN()}, []string{"Options.RevokeShare"}},
		"look negative":              {Options{LookEvery: -1}, []string{"Options.LookEvery", "above 0"}},
		"look too late":              {Options{TTL: 9 * time.Second, LookEvery: 3 * time.Second}, []string{"LookEvery·9/8 = 3s·9/8 = 3.375s", "DegradedShare·TTL", "3s"}},
		"sweep negative":             {Options{SweepRate: -1}, []string{"Options.SweepRate", "from 1 to 1000000"}},
		"sweep too fast":             {Options{SweepRate: 1_000_001}, []string{"Options.SweepRate", "from 1 to 1000000"}},
		"retention below TTL":        {Options{TTL: time.Minute, NodeRetention: time.Second}, []string{"Options.NodeRetention", "TTL (1m0s)"}},
		"retention too long":         {Options{NodeRetention: MaxNodeRetention + 1}, []string{"Options.NodeRetention", "87600h"}},
		"retry inverted":             {Options{Retry: clock.Backoff{Initial: 2, Max: 1}}, []string{"Options.Retry", "Max"}},
		"namespace too long":         {Options{Namespace: strings.Repeat("x", 65)}, []string{"Options.Namespace", "64"}},
		"namespace not UTF-8":        {Options{Namespace: "\xff"}, []string{"Options.Namespace", "UTF-8"}},
		"failures do not fit":        {Options{TTL: 9 * time.Second, RenewEvery: 3 * time.Second, DegradedAfter: 3}, []string{"DegradedAfter·RenewEvery", "9s", "8.91s"}},
		"share never reached":        {Options{TTL: 9 * time.Second, DegradedShare: 0.9}, []string{"DegradedShare", "RenewEvery"}},
		"failures overflow":          {Options{TTL: 24 * time.Hour, RenewEvery: 23 * time.Hour, DegradedAfter: 100}, []string{"DegradedAfter·RenewEvery"}},
		"log too short":              {Options{LogKeep: 15}, []string{"Options.LogKeep", "16", "1048576"}},
		"log too long":               {Options{LogKeep: 1<<20 + 1}, []string{"Options.LogKeep", "16", "1048576"}},
		"log negative":               {Options{LogKeep: -1}, []string{"Options.LogKeep", "16"}},
		"too many monitors":          {Options{Monitors: 101}, []string{"Options.Monitors", "100"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.o.withDefaults()
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("err = %v, want ErrInvalid", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not mention %q", err, part)
				}
			}
		})
	}
}

func TestIDsOutOfRangeAreRefused(t *testing.T) {
	for _, id := range []string{"", "\xff\xfe", strings.Repeat("x", MaxActorIDBytes+1)} {
		if err := ActorID(id).Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("actor id of %d bytes: err = %v", len(id), err)
		}
		if err := NodeID(id).Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("node id of %d bytes: err = %v", len(id), err)
		}
	}
	for _, id := range []string{"a", "\x00", "ß", strings.Repeat("x", MaxNodeIDBytes)} {
		if err := errors.Join(NodeID(id).Validate(), ActorID(id).Validate()); err != nil {
			t.Errorf("id of %d bytes: %v", len(id), err)
		}
	}
}
