package remote

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// claimer is a node on one of the stores that are compared.
type claimer struct {
	name    string
	session *registry.Session
	took    time.Duration
	cpu     time.Duration   // of all cores
	each    []time.Duration // of each claim
}

func newClaimer(b *testing.B, name string, h host.Host, e store.Engine) *claimer {
	b.Helper()
	db, err := store.Open(e, h, h.Rand(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	reg, err := registry.Open(h, db, registry.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := reg.Join(b.Context(), registry.NodeID(name), registry.JoinOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return &claimer{name: name, session: s}
}

// run claims actors that nobody wants, in so many goroutines at once.
func (c *claimer) run(b *testing.B, goroutines, claims, round int) {
	b.Helper()
	var tasks sync.WaitGroup
	each := make([]time.Duration, goroutines*claims)
	began, before := time.Now(), cpuTime(b)
	for g := range goroutines {
		tasks.Go(func() {
			for i := range claims {
				since := time.Now()
				if _, err := c.session.Claim(b.Context(), registry.ActorID(fmt.Sprintf("%d/%d/%d", round, g, i))); err != nil {
					b.Error(err)
				}
				each[g*claims+i] = time.Since(since)
			}
		})
	}
	tasks.Wait()
	c.took += time.Since(began)
	c.cpu += cpuTime(b) - before
	c.each = append(c.each, each...)
}

func (c *claimer) report(b *testing.B) {
	b.Helper()
	slices.Sort(c.each)
	b.ReportMetric(float64(len(c.each))/c.took.Seconds(), c.name+"-claims/s")
	b.ReportMetric(float64(c.cpu.Microseconds())/float64(len(c.each)), c.name+"-cpu-us/claim")
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(c.each[(len(c.each)-1)*p/100].Microseconds())/1e3, fmt.Sprintf("%s-p%d-ms", c.name, p))
	}
}

// onDisk opens a fresh store that is closed at the end.
func onDisk(b *testing.B) *disk.Engine {
	b.Helper()
	e, err := disk.Open(b.TempDir(), disk.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	return e
}

// BenchmarkRemote measures claims on a disk of this process beside claims on
// another behind a server on the loopback interface, by turns in one run.
func BenchmarkRemote(b *testing.B) {
	for _, goroutines := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			local, behind := onDisk(b), onDisk(b)
			server, client := machine(b, "server"), machine(b, "client")
			s, err := NewServer(server, behind, ServerOptions{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			e, err := Open(client, Options{Servers: []network.Address{server.Network().Address()}})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = e.Close() })
			nodes := []*claimer{newClaimer(b, "local", client, local), newClaimer(b, "remote", client, e)}
			for round := 0; b.Loop(); round++ {
				for _, n := range nodes {
					n.run(b, goroutines, 32, round)
				}
			}
			for i, n := range nodes {
				n.report(b)
				st, err := []*disk.Engine{local, behind}[i].Stats()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(st.Commits)/float64(st.Batches), n.name+"-commits/sync")
			}
			b.ReportMetric(0, "ns/op") // a round of both says nothing
		})
	}
}
