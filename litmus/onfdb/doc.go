// Package onfdb takes litmus programs of the level Client through a real
// FoundationDB, by the official binding. It is built with the tag fdb, because
// the binding needs FoundationDB's C library.
//
// Each program runs behind a prefix of its own with guards on both sides, which
// is cleared before and after it. So programs may run side by side, and the
// cluster may hold other data.
package onfdb
