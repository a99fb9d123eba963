package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/kelpied/daemon"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/proxy"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/network"
)

// slot is the place of a process that is killed and comes back.
type slot struct {
	f       *fleet
	name    string
	begin   func(ctx context.Context, life int) (*process.Process, error)
	proxies []*proxy.Proxy // between its nodes and each member of the store, if any
	nodes   []int          // here

	mu     sync.Mutex
	life   int // counted from 1
	p      *process.Process
	wanted bool // it is to be running: an end is a failure
	began  time.Duration
}

// startPatience bounds the start of a process, on a machine that is busy, while it is
// cut off from a store that is down.
func (f *fleet) startPatience() time.Duration { return 2 * connectPatience(f.o.TTL) }

// spawn starts a process.
func (f *fleet) spawn(name, role string, args ...string) (*process.Process, error) {
	return process.Start(process.Options{
		Name: name, Path: f.o.Program, Args: append([]string{role}, args...), Stderr: f.path("%s.stderr", name),
	})
}

var (
	errGreeting = errors.New("soak: a process does not say what it must")
	errClock    = errors.New("soak: the clocks of two processes differ, and the histories could not be merged")
)

// greeted starts a process, waits for its first line, and makes sure that its clock
// is the one of this process. It returns the address in the line.
func (f *fleet) greeted(ctx context.Context, name, role string, args ...string) (p *process.Process, address string, err error) {
	before := f.clock.Monotonic()
	p, err = f.spawn(name, role, args...)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, f.startPatience())
	defer cancel()
	line, err := p.Line(ctx)
	if err != nil {
		return p, "", err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != serving {
		return p, "", fmt.Errorf("%w: %q", errGreeting, line)
	}
	at, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return p, "", fmt.Errorf("%w: %q", errGreeting, line)
	}
	if t := time.Duration(at); t < before || t > f.clock.Monotonic() {
		return p, "", fmt.Errorf("%w: %v here, then %v there", errClock, before, t)
	}
	return p, fields[1], nil
}

// newNodeSlot makes the place of a process with nodes, without a process.
func (f *fleet) newNodeSlot(index int) (*slot, error) {
	s := &slot{f: f, name: fmt.Sprintf("nodes-%d", index+1)}
	for n := index; n < f.o.Nodes; n += f.o.Processes {
		s.nodes = append(s.nodes, n)
	}
	way, err := f.backend.route(s.listen)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	k := nodesConfig{Scenario: f.scenario(), Sink: network.Address(f.sinkAt), Route: way}
	s.begin = func(ctx context.Context, life int) (*process.Process, error) {
		k.Share = f.share(fmt.Sprintf("%s.%d", s.name, life))
		k.Share.Life, k.Share.Here, k.Share.Stalls = life, s.nodes, len(s.proxies) == 0
		k.History, k.Notes = f.path(historyFile, k.Share.Name), f.path(notesFile, k.Share.Name)
		text, err := json.Marshal(&k)
		if err != nil {
			return nil, err
		}
		config := f.path("%s.json", k.Share.Name)
		if err := os.WriteFile(config, text, 0o600); err != nil {
			return nil, err
		}
		p, _, err := f.greeted(ctx, s.name, roleNodes, config)
		return p, err
	}
	return s, nil
}

// listen places a proxy before a member of the store, and returns its address.
func (s *slot) listen(to string) (string, error) {
	p, err := proxy.Listen(to)
	if err != nil {
		return "", err
	}
	s.proxies = append(s.proxies, p)
	return p.Address(), nil
}

// share is what all processes have in common.
func (f *fleet) share(name string) soak.Share {
	most := maxOperations / f.o.Processes
	return soak.Share{
		Nodes: f.o.Nodes, Actors: f.o.Actors, For: f.o.For, TTL: f.o.TTL, Seed: f.o.Seed, Began: f.began,
		Think: max(meanThink, time.Duration(float64(f.o.For)*float64(f.o.Nodes*soak.Workers)/maxOperations)), Most: most, Linger: linger, Name: name,
	}
}

func (f *fleet) scenario() string { return "soak/" + f.o.Store.Name + "/processes" }

// serve is the begin of a slot whose process is kelpied.
func (f *fleet) serve(data, tokens string, at func(address string)) func(context.Context, int) (*process.Process, error) {
	return func(ctx context.Context, _ int) (*process.Process, error) {
		p, err := f.spawn("server", roleServer, "--data", data, "--token-file", tokens, "--listen", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		bounded, cancel := context.WithTimeout(ctx, f.startPatience())
		defer cancel()
		line, err := p.Line(bounded)
		if err != nil {
			return p, err
		}
		address, ok := strings.CutPrefix(line, daemon.Announcement)
		if !ok {
			return p, fmt.Errorf("%w: %q", errGreeting, line)
		}
		at(address)
		return p, nil
	}
}

// start starts the process. From then on its end is a failure, until it is killed.
func (s *slot) start(ctx context.Context) error {
	s.mu.Lock()
	life := s.life + 1
	s.mu.Unlock()
	// An interrupt does not leave a process half started.
	p, err := s.begin(context.WithoutCancel(ctx), life)
	s.mu.Lock()
	s.p, s.life, s.wanted, s.began = p, life, err == nil, s.f.now()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("soak: start %s: %w", s.name, err)
	}
	go func() {
		<-p.Exited()
		s.mu.Lock()
		unexpected := s.p == p && s.wanted
		s.mu.Unlock()
		if unexpected {
			s.f.broken(fmt.Errorf("soak: a process has ended that was to go on: %w", p.Failure()))
		}
	}()
	return nil
}

// kill ends the process as it stands; it does nothing when there is none.
func (s *slot) kill() error {
	s.mu.Lock()
	p := s.p
	s.wanted = false
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Kill()
}

// current returns the process.
func (s *slot) current() *process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// tell tells the process a word and waits until it has done it.
func (s *slot) tell(ctx context.Context, word string) error {
	s.mu.Lock()
	p := s.p
	s.wanted = s.wanted && word != sayRetire
	s.mu.Unlock()
	if err := p.Say(word); err != nil {
		return err
	}
	line, err := p.Line(ctx)
	if err != nil {
		return err
	}
	if line != word {
		return fmt.Errorf("%w: %s was told %q and says %q", errGreeting, s.name, word, line)
	}
	if word == sayRetire {
		return p.Wait(ctx)
	}
	return nil
}

// close ends the proxies.
func (s *slot) close() error {
	var errs []error
	for _, p := range s.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
