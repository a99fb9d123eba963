// Package elsewhere is not checked: it hands out what its user must not use.
package elsewhere

import "sync"

type Alias = sync.WaitGroup

type Embeds struct{ sync.WaitGroup }

func Group() *sync.WaitGroup { return new(sync.WaitGroup) }
