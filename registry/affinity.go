package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// MaxLabelRules is the upper limit of Affinity.Rules.
const MaxLabelRules = 32

// Affinity narrows the candidates down by their labels, rule after rule, and
// leaves the choice among the rest to another strategy.
type Affinity struct {
	// Rules are applied in their order; at most [MaxLabelRules].
	Rules []LabelRule
	// Then chooses among the nodes that are left. Default: [LeastLoaded].
	Then Strategy
}

// LabelRule says which nodes are wanted.
type LabelRule struct {
	// Key of the label; 1 to [MaxLabelKeyBytes] bytes.
	Key string
	// Values of which the label must have one. Empty: the node must have the
	// label, whatever its value.
	Values []string
	// Avoid turns the rule around: the nodes that it names are not wanted.
	Avoid bool
	// Required makes a rule that no candidate satisfies an [ErrNoNode].
	// Otherwise such a rule is left out, as if it were not there.
	Required bool
}

func (l *LabelRule) wants(n *Node) bool {
	v, has := n.Labels[l.Key]
	named := has && (len(l.Values) == 0 || slices.Contains(l.Values, v))
	return named != l.Avoid
}

// validate returns an error that names the field.
func (a Affinity) validate() error {
	if len(a.Rules) > MaxLabelRules {
		return invalid("Affinity.Rules has %d rules, at most %d are allowed", len(a.Rules), MaxLabelRules)
	}
	for i := range a.Rules {
		if n := len(a.Rules[i].Key); n < 1 || n > MaxLabelKeyBytes {
			return invalid("Affinity.Rules[%d].Key has %d bytes, must be from 1 to %d", i, n, MaxLabelKeyBytes)
		}
	}
	return nil
}

// Choose implements [Strategy]. The error wraps [ErrInvalid], naming the rule, or
// [ErrNoNode], or is that of Then.
func (a Affinity) Choose(actor ActorID, candidates []Node, r *rand.Rand) (NodeID, error) {
	if err := a.validate(); err != nil {
		return "", err
	}
	for i := range a.Rules {
		rule := &a.Rules[i]
		var left []Node
		for j := range candidates {
			if rule.wants(&candidates[j]) {
				left = append(left, candidates[j])
			}
		}
		switch {
		case len(left) > 0:
			candidates = left
		case rule.Required:
			return "", fmt.Errorf("%w: none of %d candidates satisfies Affinity.Rules[%d], about the label %q", ErrNoNode, len(candidates), i, rule.Key)
		}
	}
	then := a.Then
	if then == nil {
		then = LeastLoaded{}
	}
	n, err := choose(then, actor, candidates, r)
	if err != nil {
		return "", err
	}
	return n.ID, nil
}
