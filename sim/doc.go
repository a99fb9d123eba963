// Package sim is a seeded world in which production code runs: simulated
// processes with their clocks, tasks and contexts, a simulated network, and
// faults, all decided by one number.
//
// A [World] holds [Process]es. A process that is started gets a [Host], which
// implements host.Host, and runs on it whatever asks nothing but its host for
// time, tasks, waiting, randomness and the network. The world runs one event at
// a time, in virtual time, as fast as it can.
//
// # What it guarantees
//
// A run is a function of the seed, the scenario and the build: the same on
// every machine, with any GOMAXPROCS, with and without the race detector.
// [World.Hash] is the proof: it covers every event, message, fault and note.
//
// Events happen in the order of true time, then of a priority, then of their
// scheduling. Times of messages and priorities of tasks come from the seed,
// which is what explores interleavings. Each such number is a hash of the
// identity of that which it decides (a task and how often it was woken; two
// processes and how many messages went between them), not the next of one
// sequence: to take away a fault, a task or a message leaves the numbers of the
// others as they were.
//
// Code runs undisturbed between scheduling points: Sleep, Event.Wait,
// Network.Call and Yield. Each of them is one always, also when it could return
// at once.
//
// A crash ends a life at that point: its tasks are unwound before the next
// event, and nothing that their deferred functions ask for takes effect. Reading
// the time is all they can do. Code that recovers from the unwinding is unwound
// again.
//
// The world stops at the event that broke an invariant, in which a task
// panicked, after which nothing was left to happen while tasks waited
// (deadlock), or with which there were too many (livelock), and says so in a
// [Failure].
//
// # What it does not
//
// It cannot see code that goes around its host: a goroutine, a channel, a map's
// order, the real clock. The linter forbids those; a second run of the same seed
// with another hash shows the rest. It does not preempt code between scheduling
// points: a loop without one hangs, and data races of real threads are not its subject. Processes share
// memory if a scenario lets them; nothing is copied but the bodies of calls.
// The wall clock does not drift: it is off by a fixed amount, and by the jumps
// it is made to take.
package sim
