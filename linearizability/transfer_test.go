package linearizability

// Of the cases of the specification those that are about transfers.
func init() { specificationCases = append(specificationCases, transferCases...) }

var transferCases = []specificationCase{
	{
		name:   "a transfer makes the target the owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 lookup a = ok n2/2 6\n9 9 guard n2/2 a 6 = ok",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 lookup a = unowned",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a transfer takes the actor from its owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 7 transfer n1/1 a 3 n2/2 = ok 6\n5 6 guard n1/1 a 3 = ok",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n6 7 guard n1/1 a 3 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "the target does not own before the transfer was called",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 7 transfer n1/1 a 3 n2/2 = ok 6\n5 6 lookup a = ok n2/2 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n5 7 transfer n1/1 a 3 n2/2 = ok 6\n3 4 lookup a = ok n2/2 6",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "a transfer and a claim at once get one owner",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 claim n3/4 a = held n2/2 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 claim n3/4 a = ok 7",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "no claim comes between the two of a transfer",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 release n2/2 a 6 = ok\n4 9 claim n3/4 a = ok 7",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 claim n3/4 a = ok 5\n4 9 release n3/4 a 5 = ok",
		rule:   RuleTransferNotNext,
	},
	{
		name:   "the actor is not free in the middle of a transfer",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 release n2/2 a 6 = ok\n5 8 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n5 8 lookup a = unowned\n10 11 lookup a = ok n2/2 6",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a transfer is the owner's",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 5 transfer n3/4 a 3 n2/2 = ok 6",
		rule:   RuleTokenReused,
	},
	{
		name:   "a transfer is that of the claim in force",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 release n1/1 a 3 = ok\n6 7 claim n1/1 a = ok 4\n8 9 transfer n1/1 a 4 n2/2 = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 release n1/1 a 3 = ok\n6 7 claim n1/1 a = ok 4\n8 9 transfer n1/1 a 3 n2/2 = ok 6",
		rule:   RuleEndedTwice,
	},
	{
		name:   "a transfer takes effect once",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 transfer n1/1 a 3 n2/2 = not-owner",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 transfer n1/1 a 3 n2/2 = ok 7",
		rule:   RuleEndedTwice,
	},
	{
		name:   "a token is made by one transfer",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 transfer n2/2 a 6 n1/1 = ok 7",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n7 8 transfer n2/2 a 6 n1/1 = ok 9\n9 9 transfer n1/1 a 5 n2/2 = ok 6",
		rule:   RuleTokenReused,
	},
	{
		name:   "a transfer's token is higher",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 2",
		rule:   RuleTransferNotNext,
	},
	{
		name:   "a transfer needs that its session is live",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 revoke n1/1 = ok",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 revoke n1/1 = ok\n6 7 transfer n1/1 a 3 n2/2 = ok 6",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "a transfer needs that its target is live",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 9 transfer n1/1 a 3 n2/2 = ok 6\n4 9 revoke n2/2 = ok",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 revoke n2/2 = ok\n6 7 transfer n1/1 a 3 n2/2 = ok 6",
		rule:   RuleSessionOver,
	},
	{
		name:   "a transfer needs that its target started",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 9 transfer n1/1 a 3 n3/4 = ok 6\n5 8 join n3 = ok 4",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n3/4 = ok 6\n6 8 join n3 = ok 4",
		rule:   RuleSessionUnknown,
	},
	{
		name:   "a target that claims gets the token of the transfer",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n6 7 claim n2/2 a = ok 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = ok 6\n6 7 claim n2/2 a = ok 7",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a transfer that failed has no effect",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = failed\n6 7 lookup a = ok n1/1 3",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = failed\n6 7 lookup a = ok n2/2 4",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "a transfer of what is not owned",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 release n1/1 a 3 = ok\n6 7 transfer n1/1 a 3 n2/2 = not-owner",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n6 7 transfer n1/1 a 3 n2/2 = not-owner\n8 9 guard n1/1 a 3 = ok",
		rule:   RuleOwnerSeenLater,
	},
	{
		name:   "an unknown transfer may have an effect after its call",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 transfer n1/1 a 3 n2/2 = unknown\n6 7 lookup a = ok n1/1 3\n8 9 lookup a = ok n2/2 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 5 lookup a = ok n2/2 6\n6 7 transfer n1/1 a 3 n2/2 = unknown",
		rule:   RuleOwnerNotEnded,
	},
	{
		name:   "an unknown transfer is to its target",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 - transfer n1/1 a 3 n2/2\n5 6 lookup a = ok n2/2 6",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n0 1 join n3 = ok 4\n4 - transfer n1/1 a 3 n2/2\n5 6 lookup a = ok n3/4 6",
		rule:   RuleTokenUnknown,
	},
	{
		name:   "an unknown transfer takes effect at most once",
		accept: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 - transfer n1/1 a 3 n2/2\n5 6 lookup a = ok n2/2 6\n7 8 release n2/2 a 6 = ok\n8 9 lookup a = unowned",
		reject: "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n4 - transfer n1/1 a 3 n2/2\n5 6 lookup a = ok n2/2 6\n7 8 release n2/2 a 6 = ok\n9 9 lookup a = ok n2/2 7",
		rule:   RuleTokenUnknown,
	},
}
