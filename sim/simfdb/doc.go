// Package simfdb is a simulated FoundationDB: a cluster of server processes in
// a sim.World, and a client library over the simulated network.
//
// A [Client] is a database in the vocabulary of the official Go binding:
// [Client.Transact], [Transaction] and its options, futures, range results. It
// implements store.Engine as well, as a thin layer on that.
//
// The servers are four processes, named so that faults can find them: a proxy
// ("fdb-proxy": read versions, commit batches, version assignment, recovery), a
// resolver ("fdb-resolver"), a transaction log ("fdb-log") and a storage server
// ("fdb-storage"). What is on the log's and the storage server's disk survives
// a crash; all else is lost with the life of its process.
//
// A commit travels client, proxy, resolver, proxy, log, proxy, client, and each
// step is a message that may be slow, lost, duplicated or cut off. Whether a
// transaction whose client saw an error was applied is therefore not drawn but
// follows from what happened to its messages, as it does in a real cluster.
//
// Guaranteed, whatever the faults: transactions that committed are strictly
// serializable in the order of their stamps; a commit that was acknowledged is
// never lost; a commit that ended in an error is never applied, but for 1021, an
// ended context, and a transaction that was canceled, reset, misused or timed out
// during its commit; after 1021 (see [Transaction.Commit]) the transaction has been
// applied or never will be.
//
// What a real client and server were seen to do, and which of it is modeled,
// is listed in docs/simfdb.md. Not modeled are several proxies, resolvers,
// logs or storage servers, and the loss of a disk.
package simfdb
