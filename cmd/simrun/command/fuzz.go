package command

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
)

func (a *app) fuzzCommand() *cobra.Command {
	var (
		f    batchFlags
		from = count{max: math.MaxUint64 >> 1}
		span = duration{min: time.Millisecond, max: 30 * 24 * time.Hour}
	)
	c := &cobra.Command{
		Use:   "fuzz --for D",
		Short: "Run fresh seeds until the time is up",
		Long: `Fuzz runs seeds that nobody has run before, over all scenarios in turn, until the
time is up. It starts from a random seed, which it prints; --from starts where an
earlier one did. Failures are grouped by signature, and the first artifacts of
each signature are kept.`,
		Example: `  simrun fuzz --for 10m
  simrun fuzz --for 1h --scenario mixed --out artifacts --json
  simrun fuzz --for 30s --from 8319823849`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("for") {
				return fmt.Errorf("--for is missing: say how long, such as --for 10m")
			}
			if !c.Flags().Changed("from") {
				from.value = freshSeed()
			}
			b := batchRun{app: a, flags: &f, command: "fuzz", from: from.value}
			if err := b.prepare(c, ""); err != nil {
				return err
			}
			if !f.json {
				fmt.Fprintf(a.stdout, "seeds from %d on\n", from.value)
			}
			ctx, cancel := context.WithTimeout(c.Context(), span.value)
			defer cancel()
			b.bar = timeBar(a.stderr, "fuzz", span.value)
			n := uint64(len(b.subjects))
			return b.do(ctx, func(i uint64) (batch.Job, bool) {
				return batch.Job{Subject: int(i % n), Seed: from.value + i/n}, true
			})
		},
	}
	f.add(c, 0)
	c.Flags().Var(&span, "for", "how long to go on")
	c.Flags().Var(&from, "from", "first seed (default random)")
	c.Flags().Lookup("for").DefValue = ""
	c.Flags().Lookup("from").DefValue = ""
	return c
}

// freshSeed returns a seed with room for more above it. Seeds below 2^53 are
// exact in every JSON reader.
func freshSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return binary.LittleEndian.Uint64(b[:]) >> 12
}
