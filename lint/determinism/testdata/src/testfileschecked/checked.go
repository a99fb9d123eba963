// Package testfileschecked has a test that is checked too.
package testfileschecked
