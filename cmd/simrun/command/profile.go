package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
)

// profile is the flags that ask where time and memory went.
type profile struct {
	cpu, memory string
}

func (p *profile) add(c *cobra.Command) {
	c.Flags().StringVar(&p.cpu, "cpuprofile", "", "write a CPU profile to this `file`")
	c.Flags().StringVar(&p.memory, "memprofile", "", "write a profile of allocations to this `file`")
}

// check looks whether the files can be written.
func (p *profile) check() error {
	for _, f := range []struct{ flag, path string }{{"--cpuprofile", p.cpu}, {"--memprofile", p.memory}} {
		if f.path == "" {
			continue
		}
		if err := atomicfile.Check(f.path); err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
	}
	return nil
}

// start begins to profile. stop ends it and writes the files.
func (p *profile) start() (stop func() error, err error) {
	endCPU := func() error { return nil }
	if p.cpu != "" {
		f, err := os.Create(p.cpu)
		if err != nil {
			return nil, fmt.Errorf("--cpuprofile: %w", err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, errors.Join(fmt.Errorf("--cpuprofile: %w", err), f.Close())
		}
		endCPU = func() error {
			pprof.StopCPUProfile()
			return f.Close()
		}
	}
	return func() error {
		err := endCPU()
		if p.memory != "" {
			runtime.GC() // up-to-date figures of what is in use
			err = errors.Join(err, atomicfile.Write(p.memory, func(w io.Writer) error {
				return pprof.Lookup("allocs").WriteTo(w, 0)
			}))
		}
		return err
	}, nil
}
