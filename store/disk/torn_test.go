package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTornWrite puts together what may be on the disk when the machine stops in
// the middle of a write: sectors of old and new pages in any mixture, and the
// new meta page, if it has got as far, whole or not.
func TestTornWrite(t *testing.T) {
	directory, rows := sample(t, 300)
	old := readSample(t, directory)
	oldMark := encodeMark(mustVerify(t, old).version)
	e := openSample(t, directory)
	tx := e.Begin(context.Background())
	next := maps.Clone(rows)
	for i := range 100 {
		k := fmt.Sprintf("actor/%05d", i*3)
		tx.Set([]byte(k), []byte("torn"))
		next[k] = "torn"
	}
	if err := errors.Join(tx.Commit(), e.Close()); err != nil {
		t.Fatal(err)
	}
	now := readSample(t, directory)
	if len(now) < len(old) {
		t.Fatal("the file shrank")
	}
	newMeta := 0
	if m, err := readMeta(bytes.NewReader(now)); err != nil {
		t.Fatal(err)
	} else if m.txid%2 == 1 {
		newMeta = 1
	}
	r := rand.New(rand.NewPCG(7, 7))
	const sector = 512
	mix := func(b []byte, from, to int) {
		for at := from; at < to; at += sector {
			if r.IntN(2) == 0 {
				copy(b[at:at+sector], now[at:])
			}
		}
	}
	judged := func(name string, b []byte, want map[string]string) {
		t.Helper()
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(directory)); err != nil {
			t.Fatal(err)
		}
		writeSample(t, copied, b)
		if err := os.WriteFile(filepath.Join(copied, markName), oldMark, 0o600); err != nil {
			t.Fatal(err)
		}
		if !judge(t, copied, want) {
			t.Errorf("%s: it was not opened", name)
		}
	}
	for range 20 {
		b := append(bytes.Clone(old), make([]byte, len(now)-len(old))...)
		mix(b, 2*pageBytes, len(b))
		judged("in the middle of the pages", b, rows)

		b = bytes.Clone(now)
		at := newMeta*pageBytes + pageHeader + r.IntN(metaBytes)
		b[at] ^= byte(1 + r.IntN(255))
		judged("in the middle of the meta page", b, rows)
	}
	judged("behind it", now, next)

	// Once it was acknowledged, the same damage is no torn write.
	b := bytes.Clone(now)
	b[newMeta*pageBytes+pageHeader+40] ^= 1
	writeSample(t, directory, b)
	if _, err := Open(directory, Options{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(fmt.Sprint(err), "acknowledged") {
		t.Errorf("Open = %v, want %v that speaks of what was acknowledged", err, ErrCorrupt)
	}
}

func mustVerify(t *testing.T, b []byte) header {
	t.Helper()
	h, err := verifyBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestOlderDataFile puts an older data file into the directory, as someone may
// who knows of no Restore: versions would go back.
func TestOlderDataFile(t *testing.T) {
	directory, _ := sample(t, 10)
	old := readSample(t, directory)
	e := openSample(t, directory)
	tx := e.Begin(context.Background())
	tx.Set([]byte("a"), nil)
	if err := errors.Join(tx.Commit(), e.Close()); err != nil {
		t.Fatal(err)
	}
	writeSample(t, directory, old)
	if _, err := Open(directory, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open = %v, want %v", err, ErrCorrupt)
	}
}
