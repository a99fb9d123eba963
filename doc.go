// Package kelpie is the root of the module and holds no code.
//
// The registry of actors is package registry; what it stands on is in clock,
// network, host and store; the simulated world in which its production code is
// tested is in sim, faults, linearizability and scenario; the command is
// cmd/simrun. The tests of this package hold the whole tree to its rules: which
// package may import which, what the determinism linter must cover, and what a
// file may not contain.
package kelpie
