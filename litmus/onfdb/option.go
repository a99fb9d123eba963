//go:build fdb

package onfdb

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/litmus"
)

// option sets an option.
func (t *transaction) option(s *litmus.Step) error {
	o := t.tx.Options()
	switch s.Option {
	case litmus.ReadYourWritesDisable:
		return o.SetReadYourWritesDisable()
	case litmus.SnapshotRywDisable:
		return o.SetSnapshotRywDisable()
	case litmus.SnapshotRywEnable:
		return o.SetSnapshotRywEnable()
	case litmus.BypassUnreadable:
		return o.SetBypassUnreadable()
	case litmus.ReadSystemKeys:
		return o.SetReadSystemKeys()
	case litmus.ReadLockAware:
		return o.SetReadLockAware()
	case litmus.LockAware:
		return o.SetLockAware()
	case litmus.ReportConflictingKeys:
		return o.SetReportConflictingKeys()
	case litmus.SizeLimit:
		return o.SetSizeLimit(s.N)
	case litmus.RetryLimit:
		return o.SetRetryLimit(s.N)
	case litmus.MaxRetryDelay:
		return o.SetMaxRetryDelay(s.N)
	case litmus.Timeout:
		return o.SetTimeout(s.N)
	case litmus.Tags:
		for n := range s.N {
			if err := o.SetTag(fmt.Sprintf("tag%d", n+1)); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("onfdb: no option %d", s.Option)
	}
}
