package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// commitSet commits one key.
func commitSet(e *Engine, key string) (store.Version, error) {
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	tx.Set([]byte(key), []byte(strings.Repeat("v", 1000)))
	err := tx.Commit()
	return tx.Committed(), err
}

// failed looks at an engine whose disk has failed: everything says so, nothing
// is retried, and watches end.
func failed(t *testing.T, e *Engine, w store.Watch) {
	t.Helper()
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	_, read := tx.Get([]byte("a"))
	_, commit := commitSet(e, "later")
	_, stats := e.Stats()
	_, backup := e.Backup(context.Background(), new(strings.Builder))
	for call, err := range map[string]error{
		"Get":     read,
		"Commit":  commit,
		"Watch":   w.Wait(context.Background()),
		"Stats":   stats,
		"Backup":  backup,
		"Check":   e.Check(context.Background()),
		"Compact": e.Compact(context.Background()),
	} {
		if !errors.Is(err, ErrFailed) || !errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrCommitUnknown) || store.Retryable(err) {
			t.Errorf("%s = %v, want %v", call, err, ErrFailed)
		}
	}
}

func watched(t *testing.T, e *Engine) store.Watch {
	t.Helper()
	tx := e.Begin(context.Background())
	w, err := tx.Watch([]byte("never written"))
	if err := errors.Join(err, tx.Commit()); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWriteFails takes the file from under an engine, so that its next write
// fails.
func TestWriteFails(t *testing.T) {
	directory := t.TempDir()
	var data *os.File
	e, err := Open(directory, Options{openFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		data, err = os.OpenFile(name, flag, mode)
		return data, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 5 {
		k := fmt.Sprint(i)
		if _, err := commitSet(e, k); err != nil {
			t.Fatal(err)
		}
		want[k] = strings.Repeat("v", 1000)
	}
	w := watched(t, e)
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := commitSet(e, "lost"); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, ErrFailed) || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Commit = %v, want %v and %v with their cause", err, store.ErrCommitUnknown, ErrFailed)
	}
	failed(t, e, w)
	if err := e.Close(); err == nil {
		t.Error("Close found nothing wrong with a file that was taken away")
	}
	again := openSample(t, directory)
	defer again.Close()
	if got, err := contentsOf(again); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d rows, want %d, or others; %v", len(got), len(want), err)
	}
}

// TestMarkCannotBeWritten: the commit is durable and not acknowledged.
func TestMarkCannotBeWritten(t *testing.T) {
	directory := t.TempDir()
	e := openSample(t, directory)
	w := watched(t, e)
	if err := e.file.mark.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := commitSet(e, "a"); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, ErrFailed) {
		t.Errorf("Commit = %v, want %v and %v", err, store.ErrCommitUnknown, ErrFailed)
	}
	failed(t, e, w)
	_ = e.Close() // says that the mark is closed
	again := openSample(t, directory)
	defer again.Close()
	if got, err := contentsOf(again); err != nil || len(got) != 1 {
		t.Errorf("rows are %v, %v", got, err)
	}
}

// TestPanicInAWrite: bbolt may be left with its locks taken; the engine fails,
// and can still be closed.
func TestPanicInAWrite(t *testing.T) {
	directory, rows := sample(t, 300)
	e := openSample(t, directory)
	w := watched(t, e)
	if _, err := commitSet(e, "a"); err != nil { // which brings the bucket's pages in
		t.Fatal(err)
	}
	// A page that cannot be read makes bbolt's writer fault.
	if err := os.Truncate(e.directory+"/"+dataName, 2*pageBytes); err != nil {
		t.Fatal(err)
	}
	tx := e.Begin(context.Background())
	for k := range rows {
		tx.Clear([]byte(k))
	}
	err := tx.Commit()
	if !errors.Is(err, ErrCorrupt) || errors.Is(err, store.ErrCommitUnknown) {
		t.Errorf("Commit = %v, want %v: what the keys held cannot be read", err, ErrCorrupt)
	}
	if _, err := commitSet(e, "a"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Commit = %v, want %v", err, ErrCorrupt)
	}
	failed(t, e, w)
	if err := e.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("Close = %v", err)
	}
}

// TestMarkAheadOfTheData: with NoSync the machine may lose what was
// acknowledged; the mark then says so.
func TestMarkAheadOfTheData(t *testing.T) {
	directory, _ := sample(t, 10)
	if err := os.WriteFile(directory+"/"+markName, encodeMark(1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(directory, Options{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "version 1000") {
		t.Errorf("Open = %v, want %v that names the version", err, ErrCorrupt)
	}
}
