// Package remote serves a store over a network: a [Server] in front of any
// engine, and a client, [Engine], that implements store.Engine. A registry that
// is opened over the client is the local registry, method for method.
//
// Both ends ask their host.Host for everything, so that the same code runs over
// network/httpnet and in the simulator.
//
// It guarantees what the port does, whatever the network loses, doubles or
// delays. A commit is sent once; when it stays without an answer, it ends with
// store.ErrCommitUnknown. The server answers a copy of a commit as it answered the
// first and never applies it twice, in whatever order the copies come and however
// late. A commit that fails with another error was not applied and never will be.
//
// A transaction lives at the server from its first read on. Its mutations travel
// with its reads and its commit, so that it sees its own writes; one without reads
// is a single request. A transaction, its read version and its watches end with
// the server that has them: the calls that need them return store.ErrUnavailable.
//
// It does not encrypt and does not ask who calls: the network does, where it is
// told to (httpnet.Options). It reads no clock but its own host's and sends no time
// but durations: what a caller makes of the time, such as a lease, stays with the
// caller.
package remote
