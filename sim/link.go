package sim

import (
	"fmt"
	"math"
	"time"
)

// Link describes how one process's messages reach another. The zero value
// delivers every message once, in order, in no time.
//
// Port messages of a link arrive in the order in which they were sent, as on a
// TCP connection, but for those that Reorder lets overtake. Calls are each a
// connection of their own and keep no order.
type Link struct {
	LatencyMin time.Duration // least time that a message takes; >= 0
	LatencyMax time.Duration // most, without tail; >= LatencyMin
	TailProb   float64       // probability of a further delay up to TailMax; 0 to 1
	TailMax    time.Duration // >= 0
	Loss       float64       // probability that a message is lost; 0 to 1
	Duplicate  float64       // probability that it arrives twice; 0 to 1
	Reorder    float64       // probability that it leaves the order; 0 to 1
	ReorderMax time.Duration // most that it is then late by; >= 0
}

// DefaultLink is the link between two processes until [Net.SetDefault].
var DefaultLink = Link{LatencyMin: 100 * time.Microsecond, LatencyMax: time.Millisecond}

// Loopback is the link of a process to itself, unless [Net.SetLink] sets one.
var Loopback = Link{LatencyMin: time.Microsecond, LatencyMax: 10 * time.Microsecond}

// Validate returns an error that names the field and the limit it breaks.
func (l Link) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"LatencyMin", l.LatencyMin, 0},
		{"LatencyMax", l.LatencyMax, l.LatencyMin},
		{"TailMax", l.TailMax, 0},
		{"ReorderMax", l.ReorderMax, 0},
	} {
		if d.value < d.least {
			return fmt.Errorf("sim: Link.%s is %v, must be at least %v", d.name, d.value, d.least)
		}
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"TailProb", l.TailProb}, {"Loss", l.Loss}, {"Duplicate", l.Duplicate}, {"Reorder", l.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("sim: Link.%s is %v, must be between 0 and 1", p.name, p.value)
		}
	}
	return nil
}

// digest is a hash of all fields.
func (l Link) digest() uint64 {
	h := uint64(0)
	for _, x := range []uint64{
		uint64(l.LatencyMin), uint64(l.LatencyMax), math.Float64bits(l.TailProb), uint64(l.TailMax),
		math.Float64bits(l.Loss), math.Float64bits(l.Duplicate), math.Float64bits(l.Reorder), uint64(l.ReorderMax),
	} {
		h = mix(h + x + golden)
	}
	return h
}

// The draws that decide a message's fate: one number each, from its identity.
const (
	drawLoss = iota + 1
	drawLatency
	drawTail
	drawTailLength
	drawReorder
	drawReorderLength
	drawDuplicate
	drawPriority
	drawTask
)

func fateDraw(fate, which uint64) uint64 { return mix(fate + which*mulB) }

// delay draws the time that the message of that fate takes.
func (l *Link) delay(fate uint64) time.Duration {
	d := l.LatencyMin
	if l.LatencyMax > d {
		d += below(fateDraw(fate, drawLatency), l.LatencyMax-d+1)
	}
	if l.TailMax > 0 && chance(fateDraw(fate, drawTail), l.TailProb) {
		d += below(fateDraw(fate, drawTailLength), l.TailMax) + 1
	}
	return d
}

// LinkCounts says what a link did to the messages that were put on it. One
// message may count more than once.
type LinkCounts struct {
	Sent       uint64 // put on the link
	Cut        uint64 // stopped by a cut, when sent or when due to arrive
	Lost       uint64 // lost by the link's Loss
	Duplicated uint64 // sent twice
	Reordered  uint64 // let out of the order
}

// link is the state of one direction between two processes.
type link struct {
	from, to string
	ident    uint64
	ordinal  uint64 // messages sent so far
	own      bool   // options replaces the network's default
	options  Link
	cut      bool
	counts   LinkCounts
	arrival  time.Duration // of the last message that kept the order

	epoch uint64 // of the last resume of the receiver
	prio  uint64 // last priority given to a message then
}

// resume returns the priority of the next message that a resuming process
// gets from this link: prio, or that of the message before if it is larger.
// Equal priorities keep their order.
func (l *link) resume(epoch, prio uint64) uint64 {
	if l.epoch == epoch {
		prio = max(prio, l.prio)
	}
	l.epoch, l.prio = epoch, prio
	return prio
}
