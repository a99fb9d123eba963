//go:build linux

package disk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/store/disk"
)

func init() { roles["sync"] = commitAndCompact }

// commitAndCompact is a role: it commits from several goroutines, compacts, and
// commits again, and prints each transaction once it is acknowledged.
func commitAndCompact(args []string, out io.Writer) error {
	e, err := disk.Open(args[0], disk.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open")
	for round := range 2 {
		var wg sync.WaitGroup
		errs := make([]error, killWriters)
		for w := range killWriters {
			wg.Go(func() {
				for n := 0; n < 8 && errs[w] == nil; n++ {
					errs[w] = commitOne(e, out, fmt.Sprintf("%s/%d/%d/%d", args[1], round, w, n))
				}
			})
		}
		wg.Wait()
		if err := errors.Join(append(errs, e.Compact(context.Background()))...); err != nil {
			return err
		}
	}
	return e.Close()
}

// TestAcknowledgedIsSynced watches the system calls of a process: whatever it
// acknowledged would have survived the loss of power at that moment. A process
// that is killed proves nothing of this kind, since the operating system keeps
// what it wrote.
func TestAcknowledgedIsSynced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("the system calls of a process are watched with strace: %v", err)
	}
	root := t.TempDir()
	directory := filepath.Join(root, "not", "there") + "/"
	var traces [][]string
	for life := range 2 {
		traces = append(traces, traced(t, strace, "sync", directory, strconv.Itoa(life)))
	}
	created, reopened := traces[0], traces[1]
	for i, calls := range traces {
		p := newPowerLoss(root)
		if err := p.follow(calls); err != nil {
			t.Fatalf("life %d: %v", i, err)
		}
		if want := 2 * killWriters * 8; p.acknowledged != want || p.batches >= want || p.renamed[dataFile] != 2 {
			t.Fatalf("life %d: %d transactions in %d batches with %d compactions were seen, want %d", i, p.acknowledged, p.batches, p.renamed[dataFile], want)
		}
	}

	// Each sync that is left out is missed.
	for _, tc := range []struct {
		name  string
		calls []string
		sync  string // calls that are taken out: all that match
	}{
		{"batches", created, `fdatasync\(.*/` + dataFile + `>`},
		{"the format", created, `fsync\(.*/` + formatFile + `\.new>`},
		{"the mark, when it is made", created, `fsync\(.*/` + markFile + `\.new>`},
		{"the copy of a compaction", created, `fdatasync\(.*/` + dataFile + `\.new>`},
		{"names in the directory", created, `fsync\(.*/there>`},
		{"the directory's own name", created, `fsync\(.*/not>`},
		{"the name of the one above", created, `fsync\(.*` + regexp.QuoteMeta(filepath.Base(root)) + `>`},
		{"what was there", reopened, `fsync\(.*/` + dataFile + `>`},
		{"names that were there", reopened, `fsync\(.*/there>`},
	} {
		pattern := regexp.MustCompile(tc.sync)
		kept := slices.DeleteFunc(slices.Clone(tc.calls), pattern.MatchString)
		if len(kept) == len(tc.calls) {
			t.Errorf("%s: never synced", tc.name)
		}
		if err := newPowerLoss(root).follow(kept); err == nil {
			t.Errorf("%s: without syncs all seems well", tc.name)
		}
	}
}

// traced runs a child in a role and returns its system calls, in the order in
// which they ended; those that print in which they began.
func traced(t *testing.T, strace, role string, args ...string) []string {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	c := command(t, role, args...)
	c.Args = append([]string{
		strace, "-f", "-yy", "-x", "-s", "100", "-o", trace, "-e", "signal=none",
		"-e", "trace=openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat", c.Path,
	}, c.Args[1:]...)
	c.Path, c.Stderr = strace, nil
	if out, err := c.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("ptrace")) {
			t.Skipf("processes may not be watched here: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	begun := map[string]string{} // by thread
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		thread, call, _ := strings.Cut(s.Text(), " ")
		call = strings.TrimSpace(call)
		if first, ok := strings.CutSuffix(call, "<unfinished ...>"); ok {
			begun[thread] = first
			if strings.HasPrefix(call, "write(1<") {
				calls = append(calls, first)
				begun[thread] = ""
			}
			continue
		}
		if _, rest, ok := strings.Cut(call, "resumed>"); ok {
			if begun[thread] == "" {
				continue
			}
			call = begun[thread] + rest
		}
		if !strings.Contains(call, " = -1 ") {
			calls = append(calls, call)
		}
	}
	return calls
}

// powerLoss follows the system calls of a process and knows what would be lost
// if the machine stopped now.
type powerLoss struct {
	root    string
	dirty   map[string]bool            // files with writes that were not synced
	metas   map[string]bool            // those of them with a meta page that was not
	names   map[string]map[string]bool // by directory: names that were not synced
	settled map[string]bool            // files and directories that were synced at all
	open    bool                       // the process has said so
	mark    uint64                     // the last one written

	acknowledged, batches int
	renamed               map[string]int // by the name of the file
}

func newPowerLoss(root string) *powerLoss {
	return &powerLoss{
		root:    root,
		dirty:   map[string]bool{},
		metas:   map[string]bool{},
		names:   map[string]map[string]bool{},
		settled: map[string]bool{},
		renamed: map[string]int{},
	}
}

var (
	descriptor = regexp.MustCompile(`^(\w+)\(\d+<([^>]*)>`)
	quoted     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	offset     = regexp.MustCompile(`, (\d+) *\) += `)
)

func (p *powerLoss) follow(calls []string) error {
	for i, call := range calls {
		if err := p.step(call); err != nil {
			return fmt.Errorf("call %d, %.200s: %w", i, call, err)
		}
	}
	return nil
}

func (p *powerLoss) step(call string) error {
	var texts []string
	for _, q := range quoted.FindAllString(call, -1) {
		text, err := strconv.Unquote(q)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	name, file := call, ""
	if m := descriptor.FindStringSubmatch(call); m != nil {
		name, file = m[1], m[2]
	}
	switch {
	case strings.HasPrefix(call, "write(1<"):
		return p.printed(texts[0])
	case strings.HasPrefix(name, "rename"):
		return p.rename(texts[0], texts[1])
	case strings.HasPrefix(name, "mkdir"), strings.HasPrefix(name, "openat") && strings.Contains(call, "O_CREAT") && !p.settled[texts[0]]:
		p.named(texts[0])
	case !strings.HasPrefix(file, p.root) || filepath.Base(file) == lockFile:
	case name == "fsync", name == "fdatasync":
		delete(p.dirty, file)
		delete(p.metas, file)
		delete(p.names, file)
		p.settled[file] = true
	case name == "write":
		p.dirty[file] = true
	case name == "pwrite64":
		return p.wrote(file, texts[0], offset.FindStringSubmatch(call))
	}
	return nil
}

func (p *powerLoss) named(file string) {
	if !strings.HasPrefix(file, p.root) || filepath.Base(file) == lockFile || strings.HasSuffix(file, ".new") {
		return // what is lost with these is of no use
	}
	above := filepath.Dir(filepath.Clean(file))
	if p.names[above] == nil {
		p.names[above] = map[string]bool{}
	}
	p.names[above][filepath.Base(file)] = true
}

func (p *powerLoss) rename(from, to string) error {
	if p.dirty[from] || !p.settled[from] {
		return errors.New("the file was not synced before")
	}
	if filepath.Base(to) == formatFile {
		if err := p.allSafe(); err != nil {
			return err
		}
	}
	p.settled[to] = true
	p.renamed[filepath.Base(to)]++
	p.named(to)
	return nil
}

// wrote notes a write at an offset. In a data file, pages are on the disk before
// the meta page that refers to them is written, and that is before the next ones
// are. The mark says what is on the disk.
func (p *powerLoss) wrote(file, text string, at []string) error {
	if filepath.Base(file) == markFile {
		if len(text) != 16 || len(p.dirty) > 0 {
			return fmt.Errorf("a mark of %d bytes beside unsynced %v", len(text), slices.Sorted(maps.Keys(p.dirty)))
		}
		p.mark = binary.BigEndian.Uint64([]byte(text))
		p.batches++
		return nil
	}
	if at == nil {
		return errors.New("no offset")
	}
	where, err := strconv.Atoi(at[1])
	if err != nil {
		return err
	}
	meta := where < 2*4096
	switch live := p.open && filepath.Base(file) == dataFile; {
	case live && p.metas[file]:
		return errors.New("behind a meta page that was not synced")
	case live && meta && p.dirty[file]:
		return errors.New("a meta page in front of pages that were not synced")
	}
	p.dirty[file] = true
	if meta && p.open {
		p.metas[file] = true
	}
	return nil
}

// allSafe returns an error when something would be lost.
func (p *powerLoss) allSafe() error {
	for above, names := range p.names {
		return fmt.Errorf("the names %v in %s may be lost", slices.Sorted(maps.Keys(names)), above)
	}
	for file := range p.dirty {
		return fmt.Errorf("%s may be lost", file)
	}
	return nil
}

// printed judges what the process says.
func (p *powerLoss) printed(line string) error {
	f := strings.Fields(line)
	if f[0] == "open" {
		p.open = true
		for _, name := range []string{"not/there", "not/there/" + dataFile} {
			if !p.settled[filepath.Join(p.root, name)] {
				return fmt.Errorf("%s may be as a killed process left it", name)
			}
		}
		return p.allSafe()
	}
	v, err := strconv.ParseUint(f[len(f)-1], 10, 64)
	if err != nil {
		return err
	}
	// The next batch may be on its way already.
	if p.acknowledged++; v > p.mark {
		return fmt.Errorf("version %d was acknowledged, %d is on the disk", v, p.mark)
	}
	if len(p.names) > 0 {
		return errors.New("names may be lost")
	}
	return nil
}
