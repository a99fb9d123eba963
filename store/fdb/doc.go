// Package fdb is the engine over a FoundationDB cluster, through the official Go
// binding at API version 730.
//
// The binding needs FoundationDB's C library, so everything that touches it is
// behind the build tag fdb: [Open] exists with that tag only. What decides how
// the port's promises are kept (error numbers, keys, contexts, the lives of
// transactions and watches) is built and tested always, against a stand-in for
// the client.
//
// It adds to the client what the port asks for and the client has not:
//
//   - A call ends when its context does. The client's transaction is then
//     canceled; a commit that was on its way is applied all the same, or later,
//     and answers store.ErrCommitUnknown.
//   - An error of a commit that does not rule out that it was applied, or will
//     be, is store.ErrCommitUnknown. So is every number that is not known here.
//   - A watch adds no conflict range. The client's counts as a read of its key,
//     so the watch is set in a transaction of its own, after the commit.
//   - Keys live under a prefix, which comes off again on the way out.
//
// It does not retry: that is for store.DB. FoundationDB keeps the data;
// docs/fdb.md says what maps to what and how to run the tests.
package fdb
