package command

import (
	"fmt"

	"github.com/spf13/pflag"
)

// storeFlags are the flags of a command that belong to one of its stores.
type storeFlags map[string]string // store by flag

// add adds the flags that a store defines, if it does.
func (s storeFlags) add(fs *pflag.FlagSet, store string, define func(*pflag.FlagSet)) {
	if define == nil {
		return
	}
	own := pflag.NewFlagSet(store, pflag.ContinueOnError)
	define(own)
	own.VisitAll(func(f *pflag.Flag) { s[f.Name] = store })
	fs.AddFlagSet(own)
}

// check refuses flags that belong to another store than the chosen one, which would
// be without effect.
func (s storeFlags) check(fs *pflag.FlagSet, chosen string) (err error) {
	fs.Visit(func(f *pflag.Flag) {
		if store, ok := s[f.Name]; ok && store != chosen && err == nil {
			err = fmt.Errorf("--%s is for --store %s, and the store is %s", f.Name, store, chosen)
		}
	})
	return err
}
