package faults

import (
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// processState is what the faults did to a process, so as to undo that and
// nothing else.
type processState struct {
	process *sim.Process

	crashed uint64 // number of the life that a fault ended; 0: none
	paused  uint64 // number of the life that a fault paused; 0: none

	rateSet bool  // a fault set the rate last
	base    int64 // rate before, in parts per billion
	set     int64 // rate that a fault set
}

func (in *Injector) process(name string) *processState {
	s := in.processes[name]
	if s == nil {
		s = &processState{process: in.world.Lookup(name)}
		in.processes[name] = s
	}
	return s
}

// crash ends the life of a process, or starts the next one when no crash holds
// it down any more. A life that the scenario ended, or started, is its own
// affair.
func (in *Injector) crash(name string, begins bool) bool {
	s := in.process(name)
	p := s.process
	switch {
	case begins && p.Alive():
		s.crashed = p.Life()
		p.Crash()
		return true
	case !begins && len(in.on(Crash, name)) == 0:
		if s.crashed == p.Life() && !p.Alive() {
			p.Restart()
			in.pause(name) // a pause that lasts holds for the new life
		}
		s.crashed = 0
	}
	return false
}

// pause makes a process stand still while any pause lasts.
func (in *Injector) pause(name string) bool {
	s := in.process(name)
	p := s.process
	switch wanted := len(in.on(Pause, name)) > 0; {
	case wanted && p.Alive() && !p.Paused():
		s.paused = p.Life()
		p.Pause()
		return true
	case !wanted:
		if p.Paused() && p.Life() == s.paused {
			p.Resume()
		}
		s.paused = 0
	}
	return false
}

// jump moves the wall clock there at the beginning, and back at the end. Jumps
// add up by themselves.
func (in *Injector) jump(f Fault, begins bool) bool {
	d := duration(f.Amount, time.Second)
	if !begins {
		d = -d
	}
	p := in.process(f.Target).process
	p.JumpWall(d)
	return d != 0 && p.Alive()
}

// rate gives the clock of a process the rate of the fault that began last, and
// its own when none lasts. A rate that the scenario sets in the meantime becomes
// the clock's own.
func (in *Injector) rate(name string) bool {
	s := in.process(name)
	now := s.process.RatePPB()
	if !s.rateSet || now != s.set {
		s.base = now
	}
	want := s.base
	on := in.on(ClockRate, name)
	if s.rateSet = len(on) > 0; s.rateSet {
		want = int64(on[len(on)-1].Amount)
		s.set = want
	}
	if want == now {
		return false
	}
	s.process.SetRate(want)
	return true
}
