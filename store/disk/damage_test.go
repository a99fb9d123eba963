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

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store"
)

// sample makes a closed data directory with rows in several levels of pages,
// some of them of many pages, and with free pages, and returns it and its rows.
func sample(tb testing.TB, actors int) (directory string, rows map[string]string) {
	tb.Helper()
	directory = tb.TempDir()
	e := openSample(tb, directory)
	rows = map[string]string{}
	set := func(tx store.Txn, k, v string) {
		tx.Set([]byte(k), []byte(v))
		rows[k] = v
	}
	for round := range 6 {
		tx := e.Begin(context.Background())
		for i := range actors {
			set(tx, fmt.Sprintf("actor/%05d", i*7%actors), fmt.Sprintf("owner %d of round %d", i, round))
		}
		if round == 3 {
			set(tx, "large", strings.Repeat("0123456789", 900))
		}
		if err := tx.Commit(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		tb.Fatal(err)
	}
	return directory, rows
}

func openSample(tb testing.TB, directory string) *Engine {
	tb.Helper()
	e, err := Open(directory, Options{NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func readSample(tb testing.TB, directory string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(directory, dataName))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func writeSample(tb testing.TB, directory string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(directory, dataName), b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// verifyBytes verifies a data file in memory.
func verifyBytes(b []byte) (header, error) {
	r := bytes.NewReader(b)
	m, err := readMeta(r)
	if err != nil {
		return header{}, err
	}
	return verify(func() error { return nil }, r, int64(len(b)), m)
}

func ours(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign) || errors.Is(err, ErrNewerFormat)
}

// contentsOf reads all rows through an engine.
func contentsOf(e *Engine) (map[string]string, error) {
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	rows := map[string]string{}
	got, more, err := tx.GetRange(nil, []byte{0xff}, store.RangeOptions{})
	for _, kv := range got {
		rows[string(kv.Key)] = string(kv.Value)
	}
	if more {
		err = errors.Join(err, errors.New("the sample is too large for one answer"))
	}
	return rows, err
}

// judge opens a directory that may be damaged: it must be refused, or hold
// exactly these rows and take another.
func judge(tb testing.TB, directory string, want map[string]string) (opened bool) {
	tb.Helper()
	e, err := Open(directory, Options{NoSync: true})
	if err != nil {
		if !ours(err) {
			tb.Errorf("Open = %v, which is no error of ours", err)
		}
		return false
	}
	defer e.Close()
	if got, err := contentsOf(e); err != nil || !maps.Equal(got, want) {
		tb.Errorf("%d rows, want %d, or others; %v", len(got), len(want), err)
	}
	tx := e.Begin(context.Background())
	tx.Set([]byte("written after it"), []byte("v"))
	if err := errors.Join(tx.Commit(), e.Check(context.Background())); err != nil {
		tb.Errorf("a commit on the opened file, and a check: %v", err)
	}
	return true
}

// TestEveryFlippedByte flips bits in each byte of a data file, and holds what
// the verification lets pass against what bbolt makes of it.
func TestEveryFlippedByte(t *testing.T) {
	directory, rows := sample(t, 150)
	file := readSample(t, directory)
	r := rand.New(rand.NewPCG(5, 5))
	whole, err := verifyBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	high := int(m.high) * pageBytes
	found, passed, opened, tried := 0, 0, 0, 0
	free := freePages(t, file, m)
	for at := range high {
		if free[uint64(at/pageBytes)] && r.IntN(64) > 0 {
			continue // nothing reads it: a few are enough
		}
		tried++
		old := file[at]
		file[at] ^= byte(1 + r.IntN(255))
		head, err := verifyBytes(file)
		switch {
		case err != nil && !ours(err):
			t.Fatalf("byte %d: %v, which is no error of ours", at, err)
		case err != nil:
			found++
		case head != whole && head.version >= whole.version:
			t.Fatalf("byte %d: the header became %+v, was %+v", at, head, whole)
		default:
			passed++
			if r.IntN(300) == 0 {
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(directory)); err != nil {
					t.Fatal(err)
				}
				writeSample(t, copied, file)
				if judge(t, copied, rows) {
					opened++
				}
				if t.Failed() {
					t.Fatalf("byte %d, page %d at %d", at, at/pageBytes, at%pageBytes)
				}
			}
		}
		file[at] = old
	}
	t.Logf("of %d flipped bytes in %d pages %d were found, %d passed, of which %d were opened", tried, m.high, found, passed, opened)
	if found < 10_000 || opened == 0 {
		t.Error("the test is not looking")
	}
}

func freePages(t *testing.T, file []byte, m meta) map[uint64]bool {
	t.Helper()
	ids, err := decodeFreelist(file[m.freelist*pageBytes:(m.freelist+1)*pageBytes], m.freelist)
	if err != nil {
		t.Fatal(err)
	}
	free := map[uint64]bool{}
	for _, id := range ids {
		free[id] = true
	}
	return free
}

// TestRandomDamage flips, copies and cuts more than one byte.
func TestRandomDamage(t *testing.T) {
	directory, rows := sample(t, 300)
	file := readSample(t, directory)
	r := rand.New(rand.NewPCG(6, 6))
	opened, refused := 0, 0
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for i := range rounds {
		b := bytes.Clone(file)
		switch r.IntN(4) {
		case 0:
			for range 1 + r.IntN(20) {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
		case 1: // one page in the place of another
			from, to := r.IntN(len(b)/pageBytes), r.IntN(len(b)/pageBytes)
			copy(b[to*pageBytes:(to+1)*pageBytes], b[from*pageBytes:])
		case 2: // a sector of zeros
			const sector = 512
			at := r.IntN(len(b) / sector)
			clear(b[at*sector : (at+1)*sector])
		case 3:
			b = b[:r.IntN(len(b))]
		}
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(directory)); err != nil {
			t.Fatal(err)
		}
		writeSample(t, copied, b)
		if judge(t, copied, rows) {
			opened++
		} else {
			refused++
		}
		if t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
	t.Logf("%d were opened, %d refused", opened, refused)
	if opened == 0 || refused == 0 {
		t.Error("the test is not looking")
	}
}

// TestDamageThatBoltWouldFollow makes structures that pass every check value:
// pages that lead to themselves, and rows that are whole and too many or gone.
func TestDamageThatBoltWouldFollow(t *testing.T) {
	directory, _ := sample(t, 300)
	file := readSample(t, directory)
	pages := map[uint16][]int{} // by flags
	m, err := readMeta(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for id := 2; id < int(m.high); id++ {
		p := file[id*pageBytes:]
		if native.Uint64(p) == uint64(id) {
			pages[native.Uint16(p[8:])] = append(pages[native.Uint16(p[8:])], id)
		}
	}
	for name, damage := range map[string]func(b []byte){
		"a branch that is its own child": func(b []byte) {
			for _, id := range pages[flagBranch] {
				native.PutUint64(b[id*pageBytes+pageHeader+8:], uint64(id))
			}
		},
		"two branches with one child": func(b []byte) {
			for _, id := range pages[flagBranch] {
				copy(b[id*pageBytes+pageHeader+pageElement+8:][:8], b[id*pageBytes+pageHeader+8:])
			}
		},
		"a child beyond the file": func(b []byte) {
			for _, id := range pages[flagBranch] {
				native.PutUint64(b[id*pageBytes+pageHeader+8:], 1<<60)
			}
		},
		"leaves without their last rows": func(b []byte) {
			for _, id := range pages[flagLeaf] {
				p := b[id*pageBytes:]
				if n := native.Uint16(p[10:]); n > 2 {
					native.PutUint16(p[10:], n-1)
				}
			}
		},
		"a list of free pages without the last": func(b []byte) {
			p := b[int(m.freelist)*pageBytes:]
			native.PutUint16(p[10:], native.Uint16(p[10:])-1)
		},
		"a list of free pages that is longer than its page": func(b []byte) {
			p := b[int(m.freelist)*pageBytes:]
			native.PutUint16(p[10:], 0xffff)
			native.PutUint64(p[16:], 1<<63)
		},
		"pages with endless overflow": func(b []byte) {
			for _, id := range pages[flagLeaf] {
				native.PutUint32(b[id*pageBytes+12:], 1<<32-1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(file)
			damage(b)
			writeSample(t, directory, b)
			if e, err := Open(directory, Options{NoSync: true}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Open = %v, want %v", err, ErrCorrupt)
				e.Close()
			}
		})
	}
}

// TestDamageOfAnOpenFile damages the file under an open engine: reads that meet
// it say so, none crashes the process, and a check finds it.
func TestDamageOfAnOpenFile(t *testing.T) {
	for name, damage := range map[string]func(f *os.File, file []byte) error{
		"a value": func(f *os.File, file []byte) error {
			_, err := f.WriteAt([]byte("thief"), int64(bytes.LastIndex(file, []byte("owner 7 of round 5"))))
			return err
		},
		"all pages": func(f *os.File, file []byte) error {
			_, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, len(file)-2*pageBytes), 2*pageBytes)
			return err
		},
		"nothing left of it": func(f *os.File, _ []byte) error { return f.Truncate(2 * pageBytes) },
	} {
		t.Run(name, func(t *testing.T) {
			directory, rows := sample(t, 300)
			e := openSample(t, directory)
			defer e.Close()
			f, err := os.OpenFile(filepath.Join(directory, dataName), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := damage(f, readSample(t, directory)); err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for k, want := range rows {
				tx := e.Begin(context.Background())
				v, err := tx.Get([]byte(k))
				tx.Cancel()
				switch {
				case errors.Is(err, ErrCorrupt):
					wrong++
				case err != nil || string(v) != want:
					t.Errorf("Get(%q) = %q, %v", k, v, err)
				}
			}
			tx := e.Begin(context.Background())
			if _, _, err := tx.GetRange(nil, []byte{0xff}, store.RangeOptions{}); wrong == 0 || !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d reads failed; GetRange = %v, want %v", wrong, err, ErrCorrupt)
			}
			if err := e.Check(context.Background()); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Check = %v, want %v", err, ErrCorrupt)
			}
		})
	}
}

// TestRowsOfAnotherMaking: a file that is whole in bbolt's eyes, and was changed
// by a program that knows bbolt and not us.
func TestRowsOfAnotherMaking(t *testing.T) {
	for name, change := range map[string]func(rows *bbolt.Bucket) error{
		"a row is gone":         func(b *bbolt.Bucket) error { return b.Delete([]byte("ractor/00003")) },
		"a value was exchanged": func(b *bbolt.Bucket) error { return b.Put([]byte("ractor/00003"), b.Get([]byte("ractor/00004"))) },
		"a row was copied": func(b *bbolt.Bucket) error {
			return b.Put([]byte("ractor/x"), b.Get([]byte("ractor/00004")))
		},
		"a row without a check value": func(b *bbolt.Bucket) error { return b.Put([]byte("rx"), nil) },
		"a key without a tag":         func(b *bbolt.Bucket) error { return b.Put([]byte("x"), []byte("12345")) },
		"a bucket among the rows":     func(b *bbolt.Bucket) error { _, err := b.CreateBucket([]byte("rx")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			directory, _ := sample(t, 20)
			db, err := bbolt.Open(filepath.Join(directory, dataName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(rowsBucket)) })
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(directory, Options{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Open = %v, want %v", err, ErrCorrupt)
			}
		})
	}
}
