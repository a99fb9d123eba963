package disk

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/kelpie-registry/kelpie/store"
)

func FuzzHeader(f *testing.F) {
	f.Add(header{version: 7, rows: 3, sum: 1 << 63}.encode())
	f.Add([]byte(headerMagic + "\x00\x00\x00\x02"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err != nil && !ours(err) {
			t.Errorf("error %v", err)
		}
		if err == nil && !bytes.Equal(h.encode(), b) {
			t.Errorf("%x became %x", b, h.encode())
		}
	})
}

func FuzzRow(f *testing.F) {
	d := new(xxhash.Digest)
	f.Add([]byte("rkey"), appendRowValue(nil, []byte("value"), rowHash(d, []byte("key"), []byte("value"))))
	f.Add([]byte("r"), appendRowValue(nil, nil, rowHash(d, nil, nil)))
	f.Add([]byte("x"), []byte("123"))
	f.Fuzz(func(t *testing.T, rowKey, rowValue []byte) {
		key, value, hash, err := decodeRow(d, rowKey, rowValue)
		if err != nil && !ours(err) {
			t.Errorf("error %v", err)
		}
		if err == nil && (!bytes.Equal(appendRowKey(nil, key), rowKey) || !bytes.Equal(appendRowValue(nil, value, hash), rowValue)) {
			t.Errorf("%q, %q became %q, %q", rowKey, rowValue, key, value)
		}
	})
}

// TestRowHash: no byte of a row can change, or move between key and value.
func TestRowHash(t *testing.T) {
	d := new(xxhash.Digest)
	seen := map[uint64]string{}
	for _, row := range [][2]string{{"", ""}, {"a", ""}, {"", "a"}, {"ab", ""}, {"a", "b"}, {"", "ab"}, {"b", "a"}} {
		h := rowHash(d, []byte(row[0]), []byte(row[1]))
		if other, twice := seen[h]; twice {
			t.Errorf("%q and %s have one hash", row, other)
		}
		seen[h] = row[0] + "|" + row[1]
	}
}

func FuzzMark(f *testing.F) {
	f.Add(encodeMark(7))
	f.Add([]byte("1234567812345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeMark(b)
		if err != nil && !ours(err) {
			t.Errorf("error %v", err)
		}
		if err == nil && !bytes.Equal(encodeMark(v), b) {
			t.Errorf("%x became %x", b, encodeMark(v))
		}
	})
}

func FuzzFormat(f *testing.F) {
	for _, s := range []state{stateReady, stateCreating, stateRestoring} {
		f.Add(encodeFormat(s))
	}
	f.Add([]byte(formatTitle + "format 2\n"))
	f.Add([]byte(formatTitle + "format 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeFormat(b)
		if err != nil && !ours(err) {
			t.Errorf("error %v", err)
		}
		if err == nil && !bytes.Equal(encodeFormat(s), b) {
			t.Errorf("%q became %q", b, encodeFormat(s))
		}
	})
}

func FuzzHolder(f *testing.F) {
	f.Add(encodeHolder())
	f.Add([]byte("process 1\x1b[2J\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := decodeHolder(b)
		if !strings.HasPrefix(s, "process ") && !strings.HasPrefix(s, "a process ") {
			t.Errorf("%q became %q", b, s)
		}
		for _, c := range s {
			if c < ' ' || c > '~' {
				t.Errorf("%q has a character that a terminal may obey", s)
			}
		}
	})
}

// FuzzPage reads every element of whatever passes for a page.
func FuzzPage(f *testing.F) {
	directory, _ := sample(f, 150)
	file := readSample(f, directory)
	for id := range 10 {
		f.Add(file[id*pageBytes:(id+1)*pageBytes], uint64(id))
	}
	f.Fuzz(func(t *testing.T, raw []byte, id uint64) {
		if ids, err := decodeFreelist(raw, id); err != nil && !ours(err) || len(ids) > len(raw)/8 {
			t.Errorf("%d free pages, error %v", len(ids), err)
		}
		decodeMeta(raw)
		p, err := decodePage(raw, id)
		if err != nil {
			if !ours(err) {
				t.Errorf("error %v", err)
			}
			return
		}
		for i := range p.count {
			size := len(p.key(i))
			if p.flags == flagLeaf {
				size += len(p.value(i))
				p.elementFlags(i)
			} else {
				p.child(i)
			}
			if size > len(raw) {
				t.Errorf("element %d has %d bytes of %d", i, size, len(raw))
			}
		}
	})
}

// FuzzDataFile writes something into a data file that was whole, and opens it.
func FuzzDataFile(f *testing.F) {
	directory, rows := sample(f, 150)
	file := readSample(f, directory)
	mark, err := os.ReadFile(directory + "/" + markName)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(pageHeader), []byte{1})
	f.Add(uint32(2*pageBytes+10), binary.NativeEndian.AppendUint16(nil, 1))
	f.Add(uint32(5*pageBytes+8), binary.NativeEndian.AppendUint64(nil, 1<<40))
	f.Fuzz(func(t *testing.T, at uint32, b []byte) {
		changed := bytes.Clone(file)
		copy(changed[int(at)%len(changed):], b)
		if _, err := verifyBytes(changed); err != nil {
			if !ours(err) {
				t.Errorf("error %v", err)
			}
			return
		}
		copied := t.TempDir()
		for name, content := range map[string][]byte{
			formatName: encodeFormat(stateReady), dataName: changed, markName: mark,
		} {
			if err := os.WriteFile(copied+"/"+name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		judge(t, copied, rows)
	})
}

func TestHeaderOfVersionZero(t *testing.T) {
	if _, err := decodeHeader(header{}.encode()); !ours(err) {
		t.Errorf("error %v", err)
	}
	if h, err := decodeHeader(header{version: store.Version(1)}.encode()); err != nil || h.version != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}
