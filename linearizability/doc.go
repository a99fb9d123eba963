// Package linearizability records what the clients of a registry did and saw,
// and judges whether it keeps the registry's promises.
//
// A [History] is a list of operations, each with the moment of its call and of
// its return on one clock: true time in the simulator, the machine's boot clock
// in a real run. [Check] holds it against three things:
//
//   - The sequential specification of the registry, with porcupine: is there an
//     order of the operations, each between its call and its return, in which
//     every result is right? A short history is judged whole; a long one in
//     parts, one for each node and each actor, which is sound and says less.
//   - The same specification again, with a second checker of another kind that
//     needs O(n log n) time. It uses fencing tokens and incarnations as the
//     order of the effects. When it accepts it has a witness, which is replayed
//     through the specification before it counts.
//   - Rules on real time that concern what holders believe and what fenced
//     resources accept, which the specification does not speak of.
//
// The two checkers must agree; where they do not, that is a violation of its
// own ([RuleDisagree]).
//
// A search that used up its budget of steps says [Unknown], never [Ok]. The
// budget counts steps of the model and not time, so that a verdict is a function
// of the history and the options alone.
//
// [Monitor] watches some of the same promises inside the simulator, after every
// event, at the cost of a few nanoseconds.
//
// What is not promised: a history says nothing about operations that nobody
// recorded. It starts with an empty registry: every session that acts must have
// joined in it.
package linearizability
