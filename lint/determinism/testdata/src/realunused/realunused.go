//determinism:real there is nothing real here // want `//determinism:real suppresses nothing`

// Package realunused claims to be real and is not.
package realunused
