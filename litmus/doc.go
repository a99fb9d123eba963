// Package litmus holds stores against each other by short programs.
//
// A program is some clients with a transaction each and one driver that takes
// their steps one after the other. So nothing is left to chance: what each step
// returns follows from the steps before it, on any correct store. [Generate]
// draws a program from a seed, [Run] takes it through a [Session] and prints one
// line for each step. Two stores agree on a program when the lines are equal,
// byte for byte; a [Header] and an end mark make a file of many programs whole,
// and [Compare] says where two files part.
//
// There are two vocabularies, the levels. [Port] is that of package store, for
// every store. [Client] is that of FoundationDB's client, with key selectors,
// all atomic operations and error numbers.
//
// What a store is free to choose is not printed. Versions and stamps appear by
// their rank among the commits of the program; a watch is asked only when it
// must have fired or must be silent; and the generator leaves out what the port
// leaves open, such as whether a transaction that has only read its own writes
// has a read version.
//
// The package knows no store. Adapters are in the folders below it.
package litmus
