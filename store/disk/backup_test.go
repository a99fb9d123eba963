package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// TestBackupWhileRunning takes backups while pairs of keys are written that must
// always agree, and restores each.
func TestBackupWhileRunning(t *testing.T) {
	e := open(t, t.TempDir())
	put(t, e, "0/a", "0", "0/b", "0")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					k, v := fmt.Sprintf("%d/%d", w, i%100), fmt.Sprint(i)
					put(t, e, k+"/a", v, k+"/b", v, "last", v)
				}
			}
		})
	}
	var last store.Version
	for range 10 {
		var backup bytes.Buffer
		v, err := e.Backup(context.Background(), &backup)
		if err != nil || v < last {
			t.Fatalf("Backup = %d, %v, behind version %d", v, err, last)
		}
		last = v
		directory := filepath.Join(t.TempDir(), "restored")
		if err := disk.Restore(directory, &backup); err != nil {
			t.Fatal(err)
		}
		restored := open(t, directory)
		if s, err := restored.Stats(); err != nil || s.Version != v {
			t.Errorf("restored at version %d, want %d; %v", s.Version, v, err)
		}
		rows := rowsOf(t, restored)
		for k, v := range rows {
			if name, ok := strings.CutSuffix(k, "/a"); ok && rows[name+"/b"] != v {
				t.Errorf("%s and its twin are %q and %q", k, v, rows[name+"/b"])
			}
		}
		put(t, restored, "a", "1")
		closed(t, restored)
	}
	close(stop)
	wg.Wait()
}

// TestBackupIsGivenUp: with its context, with the engine, and with its writer.
func TestBackupIsGivenUp(t *testing.T) {
	e := open(t, t.TempDir())
	put(t, e, "a", "1")
	ctx, cancel := context.WithCancel(context.Background())
	broken := errors.New("the tape tore")
	if _, err := e.Backup(ctx, writer(func([]byte) (int, error) { return 0, broken })); !errors.Is(err, broken) {
		t.Errorf("Backup = %v, want %v", err, broken)
	}
	if _, err := e.Backup(ctx, writer(func(b []byte) (int, error) { cancel(); return len(b), nil })); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup = %v, want %v", err, context.Canceled)
	}
	ended := make(chan error)
	_, err := e.Backup(context.Background(), writer(func(b []byte) (int, error) {
		go func() { ended <- e.Close() }()
		for tx := e.Begin(context.Background()); tx.Commit() == nil; tx = e.Begin(context.Background()) {
		}
		return len(b), nil
	}))
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("Backup = %v, want %v", err, store.ErrClosed)
	}
	if err := <-ended; err != nil {
		t.Errorf("Close = %v", err)
	}
}

type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestRestoreRefuses: what it refuses leaves the place as it was.
func TestRestoreRefuses(t *testing.T) {
	e := open(t, t.TempDir())
	for i := range 100 {
		put(t, e, fmt.Sprint(i), strings.Repeat("v", 500))
	}
	var backup bytes.Buffer
	if _, err := e.Backup(context.Background(), &backup); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.ReplaceAll(backup.Bytes(), []byte("vvvvvvvv"), []byte("vvvvvvvw"))
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"nothing":            {"", disk.ErrCorrupt},
		"something else":     {strings.Repeat("text ", 10_000), disk.ErrForeign},
		"half of a backup":   {backup.String()[:backup.Len()/2], disk.ErrCorrupt},
		"a damaged backup":   {string(damaged), disk.ErrCorrupt},
		"a backup that tore": {"", errTorn},
	} {
		directory := t.TempDir()
		var r reader = strings.NewReader(tc.text).Read
		if errors.Is(tc.want, errTorn) {
			r = func([]byte) (int, error) { return 0, errTorn }
		}
		if err := disk.Restore(directory, r); !errors.Is(err, tc.want) {
			t.Errorf("%s: Restore = %v, want %v", name, err, tc.want)
		}
		entries, err := os.ReadDir(directory)
		if err != nil || len(entries) > 1 || (len(entries) == 1 && entries[0].Name() != lockFile) {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
	}
	directory := filled(t)
	if err := disk.Restore(directory, bytes.NewReader(backup.Bytes())); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Restore over a store = %v, want %v", err, fs.ErrExist)
	}
	again := open(t, directory)
	wantRows(t, again, map[string]string{"a": "1"})
}

var errTorn = errors.New("torn")

type reader func(b []byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

// TestCompactWhileRunning removes most of a store and compacts it under load.
func TestCompactWhileRunning(t *testing.T) {
	directory := t.TempDir()
	e := open(t, directory)
	for i := range 40 {
		commit(t, e, func(tx store.Txn) {
			for k := range 100 {
				tx.Set(fmt.Appendf(nil, "bulk/%d/%d", i, k), bytes.Repeat([]byte("v"), 1000))
			}
		})
	}
	commit(t, e, func(tx store.Txn) { tx.ClearRange([]byte("bulk/"), []byte("bulk0")) })
	before, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	counts := make([]int, 4)
	for w := range counts {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				counts[w]++
				put(t, e, fmt.Sprint(w), fmt.Sprint(counts[w]))
				tx := e.Begin(context.Background())
				if v, err := tx.Get([]byte(fmt.Sprint(w))); err != nil || string(v) != fmt.Sprint(counts[w]) {
					t.Errorf("Get = %q, %v, want %d", v, err, counts[w])
				}
				tx.Cancel()
			}
		})
	}
	for range 5 {
		if err := e.Compact(context.Background()); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact = %v, want %v", err, context.Canceled)
	}
	close(stop)
	wg.Wait()
	want := map[string]string{}
	for w, n := range counts {
		want[fmt.Sprint(w)] = fmt.Sprint(n)
	}
	wantRows(t, e, want)
	after, err := e.Stats()
	if err != nil || after.Rows != 4 || before.FreeBytes < 1<<20 || after.FreeBytes > 1<<18 {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	closed(t, e)
	again := open(t, directory)
	wantRows(t, again, want)
}
