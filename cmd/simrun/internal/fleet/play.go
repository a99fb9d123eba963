package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/kelpied/daemon"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// Roles of the processes: the first argument of the program that plays them.
const (
	roleNodes  = "soak-nodes"  // CONFIG
	roleSink   = "soak-sink"   // FILE
	roleServer = "soak-server" // arguments of kelpied
	roleStore  = "soak-store"  // STORE FOLDER
)

// Roles names them all.
func Roles() []string { return []string{roleNodes, roleSink, roleServer, roleStore} }

// Words that a process with nodes is told, a line each. It repeats a word when it has
// done it.
const (
	sayRest   = "rest"   // stop to work, hold on to what there is, ask all handles
	sayAsk    = "ask"    // ask all handles
	sayRetire = "retire" // give up all, leave, and end
)

// serving begins the first line of a process; its address and the time of its clock
// follow.
const serving = "serving"

// nodesConfig is what a process with nodes is to do.
type nodesConfig struct {
	Share    soak.Share      `json:"share"`
	Scenario string          `json:"scenario"`
	History  string          `json:"history"` // file
	Notes    string          `json:"notes"`   // file
	Sink     network.Address `json:"sink"`
	Route    route           `json:"route"`
}

// route is how a process reaches the store.
type route struct {
	Server network.Address `json:"server"` // of the store; empty: Shared says how to reach it
	Tokens string          `json:"tokens"` // file with what the server wants to see
	Store  string          `json:"store"`
	Shared string          `json:"shared"`
}

// Play plays one process of a soak in the place of the program, as the role says, and
// returns its exit code. It ends with the process that started it.
func Play(ctx context.Context, role string, args []string, stores []soak.Store, stdin io.Reader, stdout, stderr io.Writer) int {
	words := make(chan string, 8)
	go process.Orphan(stdin, func(word string) { words <- word })
	var err error
	switch role {
	case roleServer:
		return daemon.Main(ctx, args, stdout, stderr)
	case roleSink:
		err = playSink(ctx, args, stdout)
	case roleStore:
		err = playStore(ctx, args, stores, stdout)
	case roleNodes:
		err = playNodes(ctx, args, stores, words, stdout)
	default:
		err = fmt.Errorf("no such role: %q", role)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

// fatal ends the process: what it does can no longer be recorded.
func fatal(err error) {
	fmt.Fprintf(os.Stderr, "the record cannot be written: %v\n", err)
	os.Exit(1)
}

// appending opens a file to which each write is appended, or the process ends.
func appending(path string) (*record, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	return &record{f}, err
}

type record struct{ file *os.File }

func (r *record) Write(b []byte) (int, error) {
	n, err := r.file.Write(b)
	if err != nil {
		fatal(err)
	}
	return n, nil
}

func playSink(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, want the file", len(args))
	}
	file, err := appending(args[0])
	if err != nil {
		return err
	}
	net, err := httpnet.New(httpnet.Options{})
	if err != nil {
		return err
	}
	c := clock.System()
	sink.Serve(net, c.Monotonic, jsonl.NewWriter(file, fatal))
	fmt.Fprintf(stdout, "%s %s %d\n", serving, net.Address(), c.Monotonic())
	<-ctx.Done()
	return nil
}

func playStore(ctx context.Context, args []string, stores []soak.Store, stdout io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments, want the store and the folder", len(args))
	}
	s := find(stores, args[0])
	if s.Serve == nil {
		return fmt.Errorf("the store %q has no servers to play", args[0])
	}
	return s.Serve(ctx, args[1], func(shared string) {
		fmt.Fprintf(stdout, "%s %s %d\n", serving, shared, clock.System().Monotonic())
	})
}

// client is a connection to the store, from a process of its own.
type client struct {
	engine store.Engine
	net    *httpnet.Net
	host   *host.System
}

// callShare is the part of a TTL for which a call may be without a reply, and
// pollShare that for a watch.
const (
	callShare = 2
	pollShare = 1
)

// connect connects to a server or, without one, as the store does.
func connect(ctx context.Context, name string, ttl time.Duration, to route, stores []soak.Store) (*client, error) {
	var o httpnet.Options
	if to.Tokens != "" {
		tokens, err := credentials.OpenTokens(to.Tokens, slog.Default())
		if err != nil {
			return nil, err
		}
		o.Token = tokens.Token
	}
	net, err := httpnet.New(o)
	if err != nil {
		return nil, err
	}
	h, err := host.NewSystem(host.SystemOptions{Name: name, Network: net})
	if err != nil {
		return nil, err
	}
	c := &client{net: net, host: h}
	if to.Server == "" {
		c.engine, err = connectDirect(ctx, h, find(stores, to.Store), ttl, to.Shared)
		return c, err
	}
	c.engine, err = remote.Open(h, remote.Options{
		Servers: []network.Address{to.Server}, CallTimeout: ttl / callShare, Poll: (ttl / pollShare).Truncate(time.Millisecond),
		Backoff: clock.Backoff{Initial: ttl / 50, Max: ttl / 4},
	})
	return c, err
}

// connectPause is the time between two attempts to connect to a store that may have
// been killed or cut off.
const connectPause = 50 * time.Millisecond

// connectPatience bounds all attempts: a store is out of reach for some TTLs.
func connectPatience(ttl time.Duration) time.Duration { return 30*time.Second + 10*ttl }

func connectDirect(ctx context.Context, h *host.System, s *soak.Store, ttl time.Duration, shared string) (store.Engine, error) {
	ctx, cancel := h.WithTimeout(ctx, connectPatience(ttl))
	defer cancel()
	for {
		e, err := s.Connect(ctx, h, shared)
		if err == nil || h.Sleep(ctx, connectPause) != nil {
			return e, err
		}
	}
}

// close ends the connection; what is under way is given up.
func (c *client) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.engine.Close() // nothing is under way, or nobody hears of it
	_ = c.net.Close(ctx)
	_ = c.host.Close(ctx)
}

func playNodes(ctx context.Context, args []string, stores []soak.Store, words <-chan string, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, want the configuration", len(args))
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var k nodesConfig
	if err := json.Unmarshal(text, &k); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	c, err := connect(ctx, k.Share.Name, k.Share.TTL, k.Route, stores)
	if err != nil {
		return err
	}
	history, err := appending(k.History)
	if err != nil {
		return err
	}
	journal, err := linearizability.NewJournal(history, linearizability.Header{Scenario: k.Scenario, Seed: k.Share.Seed})
	if err != nil {
		return err
	}
	notes, err := appending(k.Notes)
	if err != nil {
		return err
	}
	m := soak.NewMember(k.Share, c.engine, soak.Outlets{
		History: journal, Sink: sink.Client{Network: c.net, Sink: k.Sink},
		Book: soak.NoteFile{Writer: jsonl.NewWriter(notes, fatal)},
	})
	fmt.Fprintf(stdout, "%s %s %d\n", serving, c.net.Address(), clock.System().Monotonic())
	return obey(ctx, m, journal, words, stdout)
}

// obey works until it is told to rest, and does what it is told.
func obey(ctx context.Context, m *soak.Member, journal *linearizability.Journal, words <-chan string, stdout io.Writer) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- m.Work(working) }()
	rests := false
	for {
		var word string
		select {
		case err := <-worked:
			if !rests || err != nil {
				return fmt.Errorf("the workload ended: %w", err)
			}
			worked = nil
			m.Ask()
			word = sayRest
		case word = <-words:
			switch word {
			case sayRest:
				rests = true
				stop()
				continue // it is told when the work has ended
			case sayAsk:
				m.Ask()
			case sayRetire:
				if err := m.Retire(); err != nil {
					return err
				}
			default:
				return fmt.Errorf("was told %q", word)
			}
		}
		if err := journal.Err(); err != nil {
			return err
		}
		fmt.Fprintln(stdout, word)
		if word == sayRetire {
			return nil
		}
	}
}

func find(stores []soak.Store, name string) *soak.Store {
	for i := range stores {
		if strings.EqualFold(stores[i].Name, name) {
			return &stores[i]
		}
	}
	return &soak.Store{Name: name}
}
