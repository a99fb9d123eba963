package daemon

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

func TestWhatWasCommittedIsThereAfterARestart(t *testing.T) {
	folder := t.TempDir()
	for life := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		code := make(chan int, 1)
		go func() { code <- Main(ctx, []string{"--data", folder, "--listen", "127.0.0.1:0"}, in, t.Output()) }()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		address := strings.TrimPrefix(strings.TrimSpace(line), Announcement)
		n, err := httpnet.New(httpnet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := host.NewSystem(host.SystemOptions{Network: n})
		if err != nil {
			t.Fatal(err)
		}
		engine, err := remote.Open(h, remote.Options{Servers: []network.Address{network.Address(address)}})
		if err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(engine, h, h.Rand(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err = db.Transact(wait, func(tx store.Tx) error {
			v, err := tx.Get([]byte("k"))
			if life == 1 && string(v) != "v" {
				t.Errorf("the value is %q", v)
			}
			tx.Set([]byte("k"), []byte("v"))
			return err
		})
		if err != nil {
			t.Error(err)
		}
		cancel()
		stop()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d", c)
		}
		_ = engine.Close()
		_ = n.Close(t.Context())
		_ = h.Close(t.Context())
	}
}
