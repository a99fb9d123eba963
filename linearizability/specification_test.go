package linearizability

import (
	"slices"
	"testing"
)

type specificationCase struct {
	name           string
	accept, reject string
	rule           Rule
	partsMiss      bool // only the search of the whole can reject
}

// specificationCases has, for every rule of the sequential specification, a
// history that must be accepted and one like it that must be rejected, with the
// rule that the witness checker must name.
var specificationCases = []specificationCase{
	{
		name:   "a node joins again after its session ended",
		accept: "0 1 join n1 = ok 1\n2 3 leave n1/1 = ok\n4 5 join n1 = ok 2",
		reject: "0 1 join n1 = ok 1\n4 5 join n1 = ok 2",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a join with replace ends the session before it",
		accept: "0 1 join n1 = ok 1\n4 5 join n1 replace = ok 2\n6 7 join n1 = in-use 2",
		reject: "0 1 join n1 = ok 1\n4 5 join n1 replace = ok 2\n6 7 join n1 = in-use 1",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "incarnations of a node increase",
		accept: "0 1 join n1 = ok 3\n2 3 leave n1/3 = ok\n4 5 join n1 = ok 5",
		reject: "0 1 join n1 = ok 5\n2 3 leave n1/5 = ok\n4 5 join n1 = ok 3",
		rule:   RuleSessionUnknown,
	},
	{
		name:   "an incarnation is given once",
		accept: "0 9 join n1 = ok 3\n0 9 join n2 = ok 3",
		reject: "0 9 join n1 = ok 3\n0 9 join n1 replace = ok 3",
		rule:   RuleIncarnationReused,
	},
	{
		name:   "in-use while the session is live",
		accept: "0 1 join n1 = ok 1\n2 9 leave n1/1 = ok\n3 4 join n1 = in-use 1",
		reject: "0 1 join n1 = ok 1\n2 3 leave n1/1 = ok\n4 5 join n1 = in-use 1",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "in-use names a session that started",
		accept: "0 - join n1\n2 3 join n1 = in-use 4",
		reject: "5 - join n1\n2 3 join n1 = in-use 4",
		rule:   RuleSessionUnknown,
	},
	{
		name:   "a claim needs a session that started",
		accept: "0 9 join n1 = ok 1\n2 3 claim n1/1 a = ok 2",
		reject: "4 9 join n1 = ok 1\n2 3 claim n1/1 a = ok 2",
		rule:   RuleSessionUnknown,
	},
	{
		name:   "a claim needs a live session",
		accept: "0 1 join n1 = ok 1\n2 5 leave n1/1 = ok\n3 4 claim n1/1 a = ok 2",
		reject: "0 1 join n1 = ok 1\n2 3 revoke n1/1 = ok\n4 5 claim n1/1 a = ok 2",
		rule:   RuleSessionOver,
	},
	{
		name:   "a claim needs that no live session owns the actor",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 7 revoke n1/1 = ok\n5 6 claim n2/2 a = ok 4",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n5 6 claim n2/2 a = ok 4",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "the end of another session frees nothing",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 4 revoke n1/1 = ok\n5 6 claim n2/2 a = ok 4",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n0 1 join n3 = ok 1\n2 3 claim n1/1 a = ok 3\n4 4 revoke n3/1 = ok\n5 6 claim n2/2 a = ok 4",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "two claims at once get one owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 9 claim n1/1 a = ok 3\n2 9 claim n2/2 a = held n1/1 3",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 9 claim n1/1 a = ok 3\n2 9 claim n2/2 a = ok 4",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "tokens of an actor increase",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = ok\n6 7 claim n1/1 a = ok 9",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 5 release n1/1 a 9 = ok\n6 7 claim n1/1 a = ok 5",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "a token is given to one owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 9 claim n1/1 a = ok 5\n2 9 claim n2/2 b = ok 5",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 9 claim n1/1 a = ok 5\n2 9 release n1/1 a 5 = ok\n2 9 claim n2/2 a = ok 5",
		rule:   RuleTokenReused,
	},
	{
		name:   "an owner that claims again gets the same token back",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 claim n1/1 a = ok 5",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 claim n1/1 a = ok 6",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a released token does not come back",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 7 release n1/1 a 5 = ok\n5 6 claim n1/1 a = ok 5",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = ok\n6 7 claim n1/1 a = ok 5",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "held reports the owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 5 claim n2/2 a = held n1/1 5",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 5 claim n2/2 a = held n1/1 4",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "held by somebody else",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 leave n1/1 = ok\n6 7 join n1 = ok 8\n4 9 claim n1/8 a = held n1/1 5",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 claim n1/1 a = held n1/1 5",
		rule:   RuleHeldByItself,
	},
	{
		name:   "held while the owner's session is live",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 9 revoke n1/1 = ok\n5 6 claim n2/2 a = held n1/1 5",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 4 revoke n1/1 = ok\n5 6 claim n2/2 a = held n1/1 5",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a claim of a lost session has no effect",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = lost\n4 5 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = lost\n4 5 lookup a = ok n1/1 2",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "a claim that failed has no effect",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = failed\n4 5 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = failed\n4 5 lookup a = ok n1/1 2",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "an unknown claim may have an effect after its call",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = unknown\n4 5 lookup a = unowned\n6 7 lookup a = ok n1/1 2",
		reject: "0 1 join n1 = ok 1\n2 3 lookup a = ok n1/1 2\n4 5 claim n1/1 a = unknown",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "an unknown claim takes effect at most once",
		accept: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 release n1/1 a 2 = ok\n7 8 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 release n1/1 a 2 = ok\n7 8 lookup a = ok n1/1 3",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "several unknown claims take effect one after the other",
		accept: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n2 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 release n1/1 a 2 = ok\n7 8 lookup a = ok n1/1 3",
		reject: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n9 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 release n1/1 a 2 = ok\n7 8 lookup a = ok n1/1 3",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "a claim that was made while in doubt answers with its token",
		accept: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 claim n1/1 a = ok 2",
		reject: "0 1 join n1 = ok 1\n2 - claim n1/1 a\n3 4 lookup a = ok n1/1 2\n5 6 claim n1/1 a = ok 3",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a release is the owner's",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = ok",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 5 release n2/2 a 6 = ok",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a release takes effect once",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = ok\n6 7 release n1/1 a 5 = not-owner",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = ok\n6 7 release n1/1 a 5 = ok",
		rule:   RuleEndedTwice,
	},
	{
		name:   "a release needs a live session",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 7 release n1/1 a 5 = ok\n5 6 revoke n1/1 = ok",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 revoke n1/1 = ok\n6 7 release n1/1 a 5 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "not-owner means that the claim is not in force",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 7 revoke n1/1 = ok\n5 6 release n1/1 a 5 = not-owner",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n5 6 release n1/1 a 5 = not-owner",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a release of a lost session has no effect",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = lost\n6 7 lookup a = ok n1/1 5",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = lost\n6 7 lookup a = unowned",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "an unknown release may take effect after its call",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = unknown\n6 7 lookup a = ok n1/1 5\n8 9 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n6 9 release n1/1 a 5 = unknown\n4 5 lookup a = unowned",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "an unknown release does not come undone",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = unknown\n6 7 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 release n1/1 a 5 = unknown\n6 7 lookup a = unowned\n8 9 lookup a = ok n1/1 5",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a lookup sees the owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 7 lookup a = ok n2/2 6\n4 5 leave n1/1 = ok\n6 7 claim n2/2 a = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 5 leave n1/1 = ok\n6 7 claim n2/2 a = ok 6\n8 9 lookup a = ok n1/1 5",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a lookup does not see the future",
		accept: "0 1 join n1 = ok 1\n2 4 lookup a = ok n1/1 5\n4 5 claim n1/1 a = ok 5",
		reject: "0 1 join n1 = ok 1\n2 3 lookup a = ok n1/1 5\n4 5 claim n1/1 a = ok 5",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "unowned means that no claim is in force",
		accept: "0 1 join n1 = ok 1\n2 5 claim n1/1 a = ok 5\n3 4 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 lookup a = unowned",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "the owner's session must be live for a lookup to see it",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 join n1 replace = ok 6\n6 7 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 join n1 replace = ok 6\n6 7 lookup a = ok n1/1 5",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a leave ends the session",
		accept: "0 1 join n1 = ok 1\n2 5 leave n1/1 = ok\n3 4 claim n1/1 a = ok 5",
		reject: "0 1 join n1 = ok 1\n2 3 leave n1/1 = ok\n4 5 claim n1/1 a = ok 5",
		rule:   RuleSessionOver,
	},
	{
		name:   "a leave finds the session live or ended, but started",
		accept: "0 1 join n1 = ok 1\n2 3 revoke n1/1 = ok\n4 5 leave n1/1 = ok\n6 7 leave n1/1 = ok",
		reject: "4 5 join n1 = ok 1\n2 3 leave n1/1 = ok",
		rule:   RuleSessionUnknown,
	},
	{
		name:   "a leave is lost when the session has ended",
		accept: "0 1 join n1 = ok 1\n2 7 revoke n1/1 = ok\n4 5 leave n1/1 = lost",
		reject: "0 1 join n1 = ok 1\n4 5 leave n1/1 = lost",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a leave that failed has no effect",
		accept: "0 1 join n1 = ok 1\n2 3 leave n1/1 = failed\n4 5 join n1 = in-use 1",
		reject: "0 1 join n1 = ok 1\n2 3 leave n1/1 = failed\n4 5 join n1 = ok 2",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "an unknown leave may take effect after its call",
		accept: "0 1 join n1 = ok 1\n2 3 leave n1/1 = unknown\n4 5 join n1 = in-use 1\n6 7 join n1 = ok 2",
		reject: "0 1 join n1 = ok 1\n4 5 join n1 = ok 2\n6 7 leave n1/1 = unknown",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a revocation ends the session",
		accept: "0 1 join n1 = ok 1\n2 5 revoke n1/1 = ok\n3 4 join n1 = in-use 1",
		reject: "0 1 join n1 = ok 1\n2 3 revoke n1/1 = ok\n4 5 join n1 = in-use 1",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a session is revoked once",
		accept: "0 1 join n1 = ok 1\n2 9 revoke n1/1 = ok\n2 9 revoke n1/1 = failed",
		reject: "0 1 join n1 = ok 1\n2 9 revoke n1/1 = ok\n2 9 revoke n1/1 = ok",
		rule:   RuleEndedTwice,
	},
	{
		name:   "a revocation finds the session live",
		accept: "0 1 join n1 = ok 1\n2 9 leave n1/1 = ok\n3 4 revoke n1/1 = ok",
		reject: "0 1 join n1 = ok 1\n2 3 leave n1/1 = ok\n4 5 revoke n1/1 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "an unknown revocation may take effect after its call",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 - revoke n1/1\n5 6 guard n1/1 a 5 = ok\n7 8 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 - revoke n1/1\n5 6 lookup a = unowned\n7 8 guard n1/1 a 5 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a guard commits while the claim is in force",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 7 revoke n1/1 = ok\n5 6 guard n1/1 a 5 = ok",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 revoke n1/1 = ok\n6 7 guard n1/1 a 5 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a guard is rejected while the claim is not in force",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 7 release n1/1 a 5 = ok\n5 6 guard n1/1 a 5 = rejected",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n5 6 guard n1/1 a 5 = rejected\n7 8 release n1/1 a 5 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "an unknown guard changes nothing",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 guard n1/1 a 5 = unknown\n6 7 lookup a = ok n1/1 5",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 5\n4 5 guard n1/1 a 5 = unknown\n6 7 lookup a = unowned",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "an open join with replace may have ended a session",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 - join n1 replace\n6 7 claim n2/2 a = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 5\n4 - join n1\n6 7 claim n2/2 a = ok 6",
		rule:   RuleOwnerNotEnded,
	},
	{
		name: "what must come both before and after",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n2 3 claim n2/2 b = ok 4\n" +
			"5 20 leave n1/1 = ok\n5 20 leave n2/2 = ok\n6 20 claim n2/2 a = ok 5",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n2 3 claim n2/2 b = ok 4\n" +
			"5 20 leave n1/1 = ok\n5 20 leave n2/2 = ok\n6 20 claim n2/2 a = ok 5\n6 20 claim n1/1 b = ok 6",
		rule:      RuleCircular,
		partsMiss: true,
	},
	{
		name: "a session ends at one moment for all its actors",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 3\n2 3 claim n1/1 b = ok 4\n" +
			"5 20 leave n1/1 = ok\n6 7 lookup b = ok n1/1 4\n8 9 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 3\n2 3 claim n1/1 b = ok 4\n" +
			"5 20 leave n1/1 = ok\n6 7 lookup a = unowned\n8 9 lookup b = ok n1/1 4",
		rule:      RuleOwnerSeenLater,
		partsMiss: true,
	},
}

func TestSpecificationAcceptsLegalHistories(t *testing.T) {
	for _, c := range specificationCases {
		t.Run(c.name, func(t *testing.T) {
			h := parseHistory(t, c.accept)
			o := opinionsOf(h)
			if o.whole != Ok || o.parts != Ok || o.witness != Ok || !o.certified {
				t.Errorf("%+v\n%s", o, c.accept)
			}
			if legal, ok := oracleLegal(h, 1_000_000); !ok || !legal {
				t.Errorf("the oracle rejects it: %v %v", legal, ok)
			}
			r := Check(h, Options{Skip: RealTimeRules()})
			if err := r.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSpecificationRejectsIllegalHistories(t *testing.T) {
	for _, c := range specificationCases {
		t.Run(c.name, func(t *testing.T) {
			h := parseHistory(t, c.reject)
			o := opinionsOf(h)
			if o.whole != Illegal || o.witness != Illegal || o.parts == Illegal == c.partsMiss {
				t.Errorf("%+v\n%s", o, c.reject)
			}
			if legal, ok := oracleLegal(h, 1_000_000); !ok || legal {
				t.Errorf("the oracle accepts it: %v %v", legal, ok)
			}
			r := Check(h, Options{Skip: RealTimeRules()})
			if r.Verdict != Illegal || r.Err() == nil || len(r.Violations) != 1 {
				t.Fatalf("%+v", r)
			}
			if v := r.Violations[0]; v.Rule != c.rule || len(v.OpIDs) == 0 || v.Explanation == "" {
				t.Errorf("violation %v, want rule %s", v, c.rule)
			}
		})
	}
}

// The names of the rules are signatures that failures are grouped by; each must
// be shown by a history.
func TestEveryRuleOfTheSpecificationHasAHistory(t *testing.T) {
	for _, rule := range []Rule{
		RuleIncarnationReused, RuleTokenReused, RuleEndedTwice, RuleHeldByItself, RuleSessionUnknown,
		RuleSessionOver, RuleTokenUnknown, RuleOwnerNotEnded, RuleOwnerSeenLater, RuleCircular, RuleTransferNotNext,
	} {
		if !slices.ContainsFunc(specificationCases, func(c specificationCase) bool { return c.rule == rule }) {
			t.Errorf("no history for %s", rule)
		}
	}
}
