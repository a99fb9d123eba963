package linearizability

import (
	"slices"
	"testing"
)

// twoOwners is the beginning of most histories below: n1 owned the actor with
// token 3, and n2 owns it with token 4.
const twoOwners = `
	0 1 join n1 = ok 1
	0 1 join n2 = ok 2
	2 3 claim n1/1 a = ok 3
	4 5 revoke n1/1 = ok
	6 7 claim n2/2 a = ok 4
`

// given is the beginning of those about transfers.
const given = "0 1 join n1 = ok 1\n0 1 join n2 = ok 2\n2 3 claim n1/1 a = ok 3\n"

var realTimeCases = []struct {
	name           string
	accept, reject string
	rule           Rule
}{
	{
		name:   "a handle is not valid in a use called after a higher token was claimed",
		accept: twoOwners + "7 9 use n1/1 a 3 = valid\n8 9 use n1/1 a 3 = invalid\n8 9 use n2/2 a 4 = valid",
		reject: twoOwners + "8 9 use n1/1 a 3 = valid",
		rule:   RuleStaleUse,
	},
	{
		name:   "a fenced resource accepts no token below one that it accepted",
		accept: twoOwners + "8 9 write n1/1 a 3 = ok\n10 11 write n2/2 a 4 = ok\n11 12 write n1/1 a 3 = ok\n12 13 write n1/1 a 3 = rejected",
		reject: twoOwners + "10 11 write n2/2 a 4 = ok\n12 13 write n1/1 a 3 = ok",
		rule:   RuleStaleWrite,
	},
	{
		name:   "a write of an unknown fate sets no mark",
		accept: twoOwners + "10 11 write n2/2 a 4 = unknown\n12 13 write n1/1 a 3 = ok",
		reject: twoOwners + "10 11 write n2/2 a 4 = ok\n12 13 write n1/1 a 3 = ok",
		rule:   RuleStaleWrite,
	},
	{
		name:   "tokens increase from claim to claim",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 5 release n1/1 a 9 = ok\n6 7 claim n1/1 a = ok 10\n8 9 claim n1/1 a = ok 10",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 5 release n1/1 a 9 = ok\n6 7 claim n1/1 a = ok 8",
		rule:   RuleTokenOrder,
	},
	{
		name:   "tokens of different actors are not compared",
		accept: "0 9 join n1 = ok 1\n2 9 claim n1/1 a = ok 9\n3 9 claim n1/1 b = ok 8",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 b = ok 9\n4 5 release n1/1 b 9 = ok\n6 7 claim n1/1 b = ok 8",
		rule:   RuleTokenOrder,
	},
	{
		name:   "a handle is not valid in a use called after its release",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 release n1/1 a 9 = ok\n5 7 use n1/1 a 9 = valid\n8 9 use n1/1 a 9 = invalid",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 release n1/1 a 9 = ok\n7 8 use n1/1 a 9 = valid",
		rule:   RuleUseAfterRelease,
	},
	{
		name:   "a handle that was invalid is not valid again",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 use n1/1 a 9 = invalid\n6 7 use n1/1 a 9 = valid\n8 9 use n1/1 a 9 = invalid",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 use n1/1 a 9 = invalid\n7 8 use n1/1 a 9 = valid",
		rule:   RuleValidAgain,
	},
	{
		name:   "a claim after a release that failed may get the same token with a new handle",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 5 release n1/1 a 9 = failed\n5 6 use n1/1 a 9 = invalid\n7 8 claim n1/1 a = ok 9\n9 10 use n1/1 a 9 = valid",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 5 use n1/1 a 9 = invalid\n6 7 release n1/1 a 9 = failed\n7 8 claim n1/1 a = ok 9\n9 10 use n1/1 a 9 = valid",
		rule:   RuleValidAgain,
	},
	{
		name:   "a session does not act after it has left",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 leave n1/1 = ok\n5 7 write n1/1 a 9 = ok\n7 8 write n1/1 a 9 = rejected",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 leave n1/1 = ok\n7 8 write n1/1 a 9 = ok",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "a session does not act after it was told that it is lost",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n5 7 guard n1/1 a 9 = ok\n6 6 lost n1/1 = ok\n7 8 use n1/1 a 9 = invalid",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n6 6 lost n1/1 = ok\n7 8 guard n1/1 a 9 = ok",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "a session does not act after an operation said that it is lost",
		accept: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 claim n1/1 b = lost\n6 7 use n1/1 a 9 = valid",
		reject: "0 1 join n1 = ok 1\n2 3 claim n1/1 a = ok 9\n4 6 claim n1/1 b = lost\n7 8 use n1/1 a 9 = valid",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "a claim that others make for a session is no act of it",
		accept: "0 1 join n1 = ok 1\n4 6 claim n1/1 b = lost\n7 8 claim n1/1 a given = ok 9",
		reject: "0 1 join n1 = ok 1\n4 6 claim n1/1 b = lost\n7 8 claim n1/1 a = ok 9",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "the loss of one session is no other's",
		accept: "0 1 join n1 = ok 1\n2 3 lost n1/1 = ok\n4 5 join n1 replace = ok 6\n7 8 claim n1/6 a = ok 9",
		reject: "0 1 join n1 = ok 1\n2 3 lost n1/1 = ok\n7 8 claim n1/1 a = ok 9",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "commit versions follow real time",
		accept: "0 1 join n1 = ok 4\n2 5 claim n1/4 a = ok 6\n3 5 claim n1/4 b = ok 5\n6 7 release n1/4 a 6 = ok v7\n8 9 leave n1/4 = ok v8",
		reject: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = ok 6\n4 5 claim n1/4 b = ok 5",
		rule:   RuleVersionOrder,
	},
	{
		name:   "a claim answered once more is no new effect",
		accept: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = ok 6\n4 5 claim n1/4 b = ok 7\n6 7 claim n1/4 a = ok 6",
		reject: "0 1 join n1 = ok 4\n4 5 claim n1/4 b = ok 7\n6 7 claim n1/4 a = ok 6",
		rule:   RuleVersionOrder,
	},
	{
		name:   "a claim that an open one may have made is no new effect",
		accept: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = unknown\n4 5 claim n1/4 b = ok 7\n6 7 claim n1/4 a = ok 6",
		reject: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = failed\n4 5 claim n1/4 b = ok 7\n6 7 claim n1/4 a = ok 6",
		rule:   RuleVersionOrder,
	},
	{
		name:   "a handle is not valid in a use called after its transfer",
		accept: given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n5 7 use n1/1 a 3 = valid\n7 8 use n1/1 a 3 = invalid\n7 8 use n2/2 a 5 = valid",
		reject: given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n7 8 use n1/1 a 3 = valid",
		rule:   RuleUseAfterRelease,
	},
	{
		name:   "a handle is not valid in a use called after a transfer made a higher token",
		accept: given + "4 6 transfer n1/1 a 3 n2/2 = unknown\n7 8 use n1/1 a 3 = valid",
		reject: given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n7 8 use n1/1 a 3 = valid",
		rule:   RuleStaleUse,
	},
	{
		name:   "a fenced resource accepts nothing from the former owner once it has heard of the new one",
		accept: given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n7 8 write n1/1 a 3 = ok\n9 9 write n2/2 a 5 = ok",
		reject: given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n7 8 write n2/2 a 5 = ok\n9 9 write n1/1 a 3 = ok",
		rule:   RuleStaleWrite,
	},
	{
		name:   "tokens increase from transfer to transfer",
		accept: given + "4 5 transfer n1/1 a 3 n2/2 = ok 5\n6 7 transfer n2/2 a 5 n1/1 = ok 6",
		reject: given + "4 5 transfer n1/1 a 3 n2/2 = ok 5\n6 7 transfer n2/2 a 5 n1/1 = ok 4",
		rule:   RuleTokenOrder,
	},
	{
		name:   "a claim after a transfer that failed may get the same token with a new handle",
		accept: given + "4 5 transfer n1/1 a 3 n2/2 = failed\n5 6 use n1/1 a 3 = invalid\n7 8 claim n1/1 a = ok 3\n9 10 use n1/1 a 3 = valid",
		reject: given + "4 5 use n1/1 a 3 = invalid\n6 7 transfer n1/1 a 3 n2/2 = failed\n7 8 claim n1/1 a = ok 3\n9 10 use n1/1 a 3 = valid",
		rule:   RuleValidAgain,
	},
	{
		name:   "a transfer takes effect in its time",
		accept: given + "4 5 transfer n1/1 a 3 n2/2 = ok 5\n6 7 claim n2/2 b = ok 6\n8 9 claim n2/2 a = ok 5",
		reject: given + "4 5 claim n2/2 b = ok 6\n6 7 transfer n1/1 a 3 n2/2 = ok 5",
		rule:   RuleVersionOrder,
	},
	{
		name:   "a session does not act after a transfer said that it is lost",
		accept: given + "4 6 transfer n1/1 a 3 n2/2 = lost\n6 7 write n1/1 a 3 = ok",
		reject: given + "4 6 transfer n1/1 a 3 n2/2 = lost\n7 8 write n1/1 a 3 = ok",
		rule:   RuleActAfterEnd,
	},
	{
		name:   "the epoch counts before the version",
		accept: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = ok 6\n4 5 claim n1/4 b = ok 72057594037927937",
		reject: "0 1 join n1 = ok 4\n2 3 claim n1/4 a = ok 72057594037927937\n4 5 claim n1/4 b = ok 6",
		rule:   RuleVersionOrder,
	},
}

func hasRule(vs []Violation, rule Rule) bool {
	return slices.ContainsFunc(vs, func(v Violation) bool { return v.Rule == rule })
}

func TestRealTimeRulesAcceptWhatOverlapsAndWhatIsInOrder(t *testing.T) {
	for _, c := range realTimeCases {
		t.Run(c.name, func(t *testing.T) {
			if r := Check(parseHistory(t, c.accept), Options{}); r.Err() != nil {
				t.Error(r.Err())
			}
		})
	}
}

func TestRealTimeRulesRejectWhatIsOutOfOrder(t *testing.T) {
	for _, c := range realTimeCases {
		t.Run(c.name, func(t *testing.T) {
			h := parseHistory(t, c.reject)
			r := Check(h, Options{})
			if !hasRule(r.Violations, c.rule) || r.Err() == nil {
				t.Errorf("no %s in %v", c.rule, r.Violations)
			}
			for _, v := range r.Violations {
				if len(v.OpIDs) < 2 || v.Explanation == "" {
					t.Errorf("a violation that shows nothing: %+v", v)
				}
			}
			if r := Check(h, Options{Skip: []Rule{c.rule}}); hasRule(r.Violations, c.rule) {
				t.Errorf("%s was skipped and reported", c.rule)
			}
		})
	}
}

func TestEveryRealTimeRuleHasAHistory(t *testing.T) {
	for _, rule := range RealTimeRules() {
		found := false
		for _, c := range realTimeCases {
			found = found || c.rule == rule
		}
		if !found {
			t.Errorf("no history for %s", rule)
		}
	}
}

func TestViolationsOfOneRuleAreBounded(t *testing.T) {
	text := twoOwners
	for range 3 * maxPerRule {
		text += "8 9 use n1/1 a 3 = valid\n"
	}
	if r := Check(parseHistory(t, text), Options{}); len(r.Violations) != maxPerRule {
		t.Errorf("%d violations, want %d", len(r.Violations), maxPerRule)
	}
}
