package store

// Guesser is what a [Txn] may be besides: one that can save a round trip by
// answering reads from what its engine remembers or supposes. What it answers
// may be wrong, and several answers may contradict each other, until the
// transaction has been committed or confirmed. A body that keeps to the rules
// of [DB.Transact] does not notice: it has no effect but through the
// transaction, and whatever it decided on wrong guesses is run again.
//
// Reads of a [Tx.Snapshot] and ranges are never guessed.
type Guesser interface {
	// Guess allows the transaction to guess, from then on. Without it, it never
	// does.
	Guess()

	// Confirm returns nil when all reads so far were right at one moment between
	// the beginning of the transaction and the end of the call, [ErrConflict] or
	// another retryable error when they were not, and other errors as reads do.
	// The commit of a transaction that guessed does the same, also when it wrote
	// nothing.
	Confirm() error
}

// maxGuesses bounds the attempts at one transaction that may guess. A refused
// commit teaches the engine what the keys hold, so the second guess is no worse
// than a read; after that somebody changes them all the time.
const maxGuesses = 2
