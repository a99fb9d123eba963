package remote

import (
	"testing"
	"time"
)

func TestPaceWaitsForThoseOfTheLastBatch(t *testing.T) {
	var p pace
	if p.wanted() != 1 {
		t.Errorf("at first it waits for %d", p.wanted())
	}
	p.left(1)
	p.answered(1, 7, 4*time.Millisecond)
	if p.wanted() != 8 || p.patience() != 2*time.Millisecond {
		t.Errorf("it waits for %d, for %v", p.wanted(), p.patience())
	}
	p.answered(maxParts, 7, time.Minute)
	if p.wanted() != maxParts || p.patience() != maxHold {
		t.Errorf("it waits for %d, for %v", p.wanted(), p.patience())
	}
}

func TestPaceDoesNotWaitInVainForLong(t *testing.T) {
	p := pace{want: 8}
	waited := 0
	for range 10 * restBatches {
		if p.wanted() > 1 {
			waited++
		}
		p.left(1)
		p.answered(1, 7, time.Millisecond)
	}
	if waited < 5 || waited > 12 { // one in restBatches, and the first few
		t.Errorf("%d batches waited", waited)
	}
	for p.wanted() == 1 {
		p.left(1)
		p.answered(1, 7, time.Millisecond)
	}
	for range 100 { // three quarters are enough
		p.left(6)
		p.answered(6, 2, time.Millisecond)
		if p.wanted() != 8 {
			t.Fatalf("it waits for %d", p.wanted())
		}
	}
}
