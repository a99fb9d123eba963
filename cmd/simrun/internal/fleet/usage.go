package fleet

import (
	"context"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
)

// usage is what one process of the server had of the machine at one time.
type usage struct {
	life int
	at   time.Duration
	process.Usage
}

// sampleEvery is the time between two looks at the server, longer in a soak that would
// have more than maxSamples of them.
const (
	sampleEvery = 250 * time.Millisecond
	maxSamples  = 100_000
)

// sample looks at the server until ctx ends.
func (f *fleet) sample(ctx context.Context) {
	for f.clock.Sleep(ctx, max(sampleEvery, f.o.For/maxSamples)) == nil {
		f.server.mu.Lock()
		p, life := f.server.p, f.server.life
		f.server.mu.Unlock()
		u, err := p.Usage()
		if err != nil || u.Memory == 0 {
			continue // it has just been killed
		}
		f.mu.Lock()
		f.usage = append(f.usage, usage{life: life, at: f.now(), Usage: u})
		f.mu.Unlock()
	}
}

// Course is a series of samples. What is flat has quarters that are alike.
type Course struct {
	First    uint64    `json:"first"`
	Median   uint64    `json:"median"`
	Quarters [4]uint64 `json:"quarters"` // the median of each quarter of the time
	Last     uint64    `json:"last"`
	Max      uint64    `json:"max"`
}

func courseOf(samples []uint64) Course {
	n := len(samples)
	c := Course{First: samples[0], Median: median(samples), Last: samples[n-1], Max: slices.Max(samples)}
	for i := range c.Quarters {
		// Of fewer samples than quarters some are of two.
		c.Quarters[i] = median(samples[min(i*n/4, n-1):max((i+1)*n/4, min(i*n/4, n-1)+1)])
	}
	return c
}

func median(samples []uint64) uint64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}

// ServerUsage is the memory and the descriptors of the server: of that of its lives
// which lasted longest, and the most of all.
type ServerUsage struct {
	Lives          int           `json:"lives"`
	Span           time.Duration `json:"longest_ns"` // of the longest life, as far as it was looked at
	Memory         Course        `json:"memory_bytes"`
	Descriptors    Course        `json:"descriptors"`
	MaxMemory      uint64        `json:"max_memory_bytes"` // of all lives
	MaxDescriptors uint64        `json:"max_descriptors"`
}

// serverUsage sums the samples up; nil when there are none.
func serverUsage(samples []usage, lives int) *ServerUsage {
	if len(samples) == 0 {
		return nil
	}
	u := &ServerUsage{Lives: lives}
	for i := 0; i < len(samples); {
		end := i
		var memory, descriptors []uint64
		for ; end < len(samples) && samples[end].life == samples[i].life; end++ {
			memory = append(memory, samples[end].Memory)
			descriptors = append(descriptors, uint64(samples[end].Descriptors))
		}
		if span := samples[end-1].at - samples[i].at; span >= u.Span {
			u.Span, u.Memory, u.Descriptors = span, courseOf(memory), courseOf(descriptors)
		}
		u.MaxMemory, u.MaxDescriptors = max(u.MaxMemory, slices.Max(memory)), max(u.MaxDescriptors, slices.Max(descriptors))
		i = end
	}
	return u
}
