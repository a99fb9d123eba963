// Package mutants scores the testbed: it holds known bugs of registries as
// patches against the production code, builds the scenarios with each of them, and
// counts the seeds that it takes until a scenario finds the bug.
//
// A patch is applied with go build -overlay. Production code carries no
// switches for it, and the source tree is never written to.
//
// What the score says: a bug of this kind would have been found, after about so
// many seeds. What it does not say: that all bugs of the kind would. Mutants
// that no history could tell from the original are not in the catalogue; each
// says in its Shows line what tells it apart.
//
// # Format
//
// A mutant is a txtar archive, catalogue/NAME.txtar. Its comment is the header:
// a title of one line and then four fields, each of which may go on in indented
// lines:
//
//	Claim in two transactions
//
//	Bug: what the code does wrong.
//	Seen: where the bug was seen.
//	Shows: by what behaviour it differs from the original.
//	Scenarios: those that are expected to find it, in the order tried.
//
// Then follows a section for each changed file, named by its path in the
// module, with one hunk or more:
//
//	-- registry/claim.go --
//	<<<<<<<
//	old lines
//	=======
//	new lines
//	>>>>>>>
//
// Hunks are located by content, not by line number, so that they survive edits
// elsewhere. The old lines must be there exactly once, as whole lines, blanks
// included; the hunks of a file must not overlap. Anything else does not apply:
// the mutant has to be looked at again, since the code that it breaks has
// changed. Blank lines may stand between hunks. The new lines may be none.
package mutants
