// Package report says what a batch of runs has shown, to people as a table and
// to programs as one JSON object.
package report
