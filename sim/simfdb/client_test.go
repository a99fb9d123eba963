package simfdb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// What the recording does not spell out of the client, and its source does.

// TestFailedReadFailsTheCommit ignores the error of a read: the commit has it too.
func TestFailedReadFailsTheCommit(t *testing.T) {
	inClient(t, Options{}, func(l *lab, _ *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		if _, err := tr.GetReadVersion().Get(); err != nil {
			return err
		}
		if err := l.c.SetFaults(Faults{ProcessBehind: 1}); err != nil {
			return err
		}
		want := Error{CodeProcessBehind}
		_, err := tr.Get([]byte("a")).Get()
		if !errors.Is(err, want) {
			t.Errorf("get: %v", err)
		}
		if err := l.c.SetFaults(Faults{}); err != nil {
			return err
		}
		if _, err := tr.Get([]byte("b")).Get(); err != nil {
			t.Errorf("another read: %v", err)
		}
		tr.Set([]byte("a"), nil)
		if err := tr.Commit().Get(); !errors.Is(err, want) {
			t.Errorf("commit: %v", err)
		}
		if read(l, "a") != nil {
			t.Error("it was applied")
		}
		return nil
	})
}

func TestChunkLimitsOutOfRange(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		begin, end := FirstGreaterOrEqual([]byte("a")), FirstGreaterOrEqual([]byte("b"))
		for _, c := range []struct {
			o    ChunkOptions
			want int
		}{
			{ChunkOptions{Mode: StreamingModeExact}, CodeExactModeWithoutLimits},
			{ChunkOptions{Mode: StreamingModeWantAll, Limit: -2}, CodeRangeLimitsInvalid},
			{ChunkOptions{Mode: StreamingModeWantAll, TargetBytes: -2}, CodeRangeLimitsInvalid},
			{ChunkOptions{Mode: -2}, CodeInvalidOperation},
			{ChunkOptions{Mode: StreamingModeIterator, Iteration: -1}, CodeInvalidOperation},
		} {
			if _, err := cl.CreateTransaction().GetChunk(begin, end, c.o).Get(); !errors.Is(err, Error{c.want}) {
				t.Errorf("%+v: %v, want %d", c.o, err, c.want)
			}
		}
		for _, key := range []string{"\xff\x00", "\xff/x"} {
			o := ChunkOptions{Mode: StreamingModeWantAll}
			if _, err := cl.CreateTransaction().GetChunk(begin, FirstGreaterOrEqual([]byte(key)), o).Get(); !errors.Is(err, Error{CodeKeyOutsideLegalRange}) {
				t.Errorf("up to %q: %v", key, err)
			}
		}
		return nil
	})
}

// TestBoundedReadStopsBeforeItAsksAgain reads a range of which the transaction
// knows a part: an answer that bytes bound ends where the server would have to be
// asked, others do not.
func TestBoundedReadStopsBeforeItAsksAgain(t *testing.T) {
	begin, end := FirstGreaterOrEqual([]byte("a")), FirstGreaterOrEqual([]byte("z"))
	for _, c := range []struct {
		name    string
		prepare func(tr *Transaction) error
		o       ChunkOptions
		want    string
		more    bool
	}{
		{"nothing known", func(*Transaction) error { return nil }, ChunkOptions{Mode: StreamingModeWantAll}, "abcde", false},
		{"the first key read", func(tr *Transaction) error { _, err := tr.Get([]byte("a")).Get(); return err }, ChunkOptions{Mode: StreamingModeWantAll}, "a", true},
		{"the first key written", func(tr *Transaction) error { tr.Set([]byte("a"), []byte("x")); return nil }, ChunkOptions{Mode: StreamingModeWantAll}, "abcde", false},
		{"a key between read", func(tr *Transaction) error { _, err := tr.Get([]byte("c")).Get(); return err }, ChunkOptions{Mode: StreamingModeWantAll}, "abcde", false},
		{"a key between read, backwards", func(tr *Transaction) error { _, err := tr.Get([]byte("c")).Get(); return err }, ChunkOptions{Mode: StreamingModeWantAll, Reverse: true}, "edcba", false},
		{"the last key read, backwards", func(tr *Transaction) error { _, err := tr.Get([]byte("y")).Get(); return err }, ChunkOptions{Mode: StreamingModeWantAll, Reverse: true}, "edcba", false},
		{"a range between cleared", func(tr *Transaction) error { tr.ClearRange([]byte("b5"), []byte("c5")); return nil }, ChunkOptions{Mode: StreamingModeWantAll}, "ab", true},
		{"a range between cleared, backwards", func(tr *Transaction) error { tr.ClearRange([]byte("b5"), []byte("c5")); return nil }, ChunkOptions{Mode: StreamingModeWantAll, Reverse: true}, "ed", true},
		{"a key between cleared", func(tr *Transaction) error { tr.Clear([]byte("c")); return nil }, ChunkOptions{Mode: StreamingModeWantAll}, "abde", false},
		{"no bound on bytes", func(tr *Transaction) error { tr.ClearRange([]byte("b5"), []byte("c5")); return nil }, ChunkOptions{Mode: StreamingModeExact, Limit: 9}, "abde", false},
	} {
		inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
			if err := storeModel(cl, map[string]string{"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"}); err != nil {
				return err
			}
			tr := cl.CreateTransaction()
			if err := c.prepare(tr); err != nil {
				return err
			}
			chunk, err := tr.GetChunk(begin, end, c.o).Get()
			if err != nil {
				return err
			}
			var got strings.Builder
			for _, kv := range chunk.KeyValues {
				got.Write(kv.Key)
			}
			if got.String() != c.want || chunk.More != c.more {
				t.Errorf("%s: %s more %v, want %s more %v", c.name, got.String(), chunk.More, c.want, c.more)
			}
			return nil
		})
	}
}

// TestStampedKeyConflictsAsItself reads, at a version from before, the key that a
// versionstamped key became, and one that it might have become.
func TestStampedKeyConflictsAsItself(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		var readers [2]*Transaction
		for i := range readers {
			readers[i] = cl.CreateTransaction()
			if _, err := readers[i].GetReadVersion().Get(); err != nil {
				return err
			}
			readers[i].Set([]byte("out"), nil)
		}
		tr := cl.CreateTransaction()
		stamp := tr.GetVersionstamp()
		tr.SetVersionstampedKey([]byte("s/0123456789\x02\x00\x00\x00"), []byte("v"))
		if err := tr.Commit().Get(); err != nil {
			return err
		}
		b, err := stamp.Get()
		if err != nil {
			return err
		}
		became := append([]byte("s/"), b...)
		might := append([]byte("s/"), b...)
		might[len(might)-1]++
		for i, key := range [][]byte{became, might} {
			if err := readers[i].AddReadConflictKey(key); err != nil {
				return err
			}
			var want error
			if i == 0 {
				want = Error{CodeNotCommitted}
			}
			if err := readers[i].Commit().Get(); !errors.Is(err, want) {
				t.Errorf("reader of %q: %v, want %v", key, err, want)
			}
		}
		v, err := cl.CreateTransaction().Get(became).Get()
		if string(v) != "v" {
			t.Errorf("stored under %q: %q", became, v)
		}
		return err
	})
}

func TestDatabaseOptionsOutOfRangeChangeNothing(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		o := cl.Options()
		before := fmt.Sprintf("%+v", cl.defaults)
		for name, c := range map[string]struct {
			set   func(int64) error
			wrong []int64
		}{
			"MaxWatches":               {o.SetMaxWatches, []int64{-1, 1_000_001}},
			"TransactionTimeout":       {o.SetTransactionTimeout, []int64{-1, 1 << 31}},
			"TransactionRetryLimit":    {o.SetTransactionRetryLimit, []int64{-2, 1 << 31}},
			"TransactionMaxRetryDelay": {o.SetTransactionMaxRetryDelay, []int64{-1, 1 << 31}},
			"TransactionSizeLimit":     {o.SetTransactionSizeLimit, []int64{31, store.MaxTxnBytes + 1}},
		} {
			for _, v := range c.wrong {
				if err := c.set(v); !errors.Is(err, Error{CodeInvalidOptionValue}) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s %d: %v", name, v, err)
				}
			}
		}
		if after := fmt.Sprintf("%+v", cl.defaults); after != before {
			t.Errorf("changed to %s", after)
		}
		if err := errors.Join(o.SetTransactionSizeLimit(100), o.SetSnapshotRywDisable()); err != nil {
			return err
		}
		tr := cl.CreateTransaction()
		tr.Set([]byte("k"), []byte("own"))
		if v, err := tr.Snapshot().Get([]byte("k")).Get(); v != nil || err != nil {
			t.Errorf("a snapshot read sees %q (%v)", v, err)
		}
		tr.Set([]byte("k"), make([]byte, 100))
		if err := tr.Commit().Get(); !errors.Is(err, Error{CodeTransactionTooLarge}) {
			t.Errorf("commit: %v", err)
		}
		return nil
	})
}

func TestSpecialKeysThatAreNotThere(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		for key, want := range map[string]error{
			"\xff\xff/status/json":       Error{CodeSpecialKeysNoModule},
			specialReadConflicts:         nil,
			specialTransaction + "other": nil,
		} {
			if v, err := cl.CreateTransaction().Get([]byte(key)).Get(); !errors.Is(err, want) || v != nil {
				t.Errorf("get %q: %q %v", key, v, err)
			}
		}
		for _, write := range []func(tr *Transaction){
			func(tr *Transaction) { tr.Set([]byte("\xff\xff/other"), nil) },
			func(tr *Transaction) { tr.Clear([]byte("\xff\xff/other")) },
		} {
			tr := cl.CreateTransaction()
			_ = tr.Options().SetSpecialKeySpaceEnableWrites()
			write(tr)
			if err := tr.Commit().Get(); !errors.Is(err, Error{CodeSpecialKeysNoWriteModule}) {
				t.Errorf("commit: %v", err)
			}
		}
		tr := cl.CreateTransaction()
		tr.Set([]byte("k"), make([]byte, store.MaxValueBytes+1))
		_, err := tr.Get([]byte(specialReadConflicts)).Get()
		if !errors.Is(err, Error{CodeValueTooLarge}) {
			t.Errorf("get after a mutation that was refused: %v", err)
		}
		return nil
	})
}

// TestClosedClientRefusesCalls closes the client under calls of each kind.
func TestClosedClientRefusesCalls(t *testing.T) {
	inClient(t, Options{}, func(l *lab, h *sim.Host, cl *Client) error {
		if _, err := cl.CreateTransaction().GetReadVersion().Get(); err != nil {
			return err
		}
		tr, writer := cl.CreateTransaction(), cl.CreateTransaction()
		get, watch := tr.Get([]byte("a")), tr.Watch([]byte("w"))
		writer.Set([]byte("k"), nil)
		commit := writer.Commit()
		if err := h.Sleep(h.Context(), 10*time.Microsecond); err != nil {
			return err
		}
		if err := cl.Close(); err != nil {
			return err
		}
		_, err := get.Get()
		for name, err := range map[string]error{
			"get": err, "watch": watch.Get(), "commit": commit.Get(), "late commit": cl.CreateTransaction().Commit().Get(),
		} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
}

// TestKeysTooLongToExist reads, clears and bounds ranges with keys that no write
// can have made: they are known to be missing, and conflict with nothing.
func TestKeysTooLongToExist(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		long := func(c string) []byte { return []byte(strings.Repeat(c, store.MaxKeyBytes+7)) }
		tr := cl.CreateTransaction()
		f := tr.Get(long("k"))
		if !f.IsReady() {
			t.Error("a server is asked for a key that is too long")
		}
		tr.Clear(long("k"))
		if len(tr.reads.ranges) != 0 || len(tr.written.ranges) != 0 {
			t.Errorf("conflict ranges: %d and %d", len(tr.reads.ranges), len(tr.written.ranges))
		}
		if err := errors.Join(tr.AddReadConflictRange(long("a"), long("b")), tr.AddWriteConflictRange(long("c"), long("d"))); err != nil {
			return err
		}
		tr.ClearRange(long("e"), long("f"))
		tr.ClearRange(long("g"), append(long("g"), 'x')) // nothing once they are shortened
		for _, r := range slices.Concat(tr.reads.ranges, tr.written.ranges) {
			if len(r.Begin) != store.MaxKeyBytes+1 || len(r.End) != store.MaxKeyBytes+1 {
				t.Errorf("a range with bounds of %d and %d bytes", len(r.Begin), len(r.End))
			}
		}
		if len(tr.reads.ranges) != 1 || len(tr.written.ranges) != 2 {
			t.Errorf("conflict ranges: %d and %d", len(tr.reads.ranges), len(tr.written.ranges))
		}
		return tr.Commit().Get()
	})
}

// TestResetKeepsACommitThatAwaitsReadsUnsent resets a transaction whose commit
// still waits for a slow read: that is the one time a reset stops a commit.
func TestResetKeepsACommitThatAwaitsReadsUnsent(t *testing.T) {
	inClient(t, Options{}, func(l *lab, h *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		if _, err := tr.GetReadVersion().Get(); err != nil {
			return err
		}
		l.Net().SetLink("client", "fdb-storage", sim.Link{LatencyMin: 100 * time.Millisecond, LatencyMax: 100 * time.Millisecond})
		get := tr.Get([]byte("a"))
		tr.Set([]byte("k"), nil)
		commit := tr.Commit()
		if err := h.Sleep(h.Context(), 10*time.Millisecond); err != nil {
			return err
		}
		tr.Reset()
		_, err := get.Get()
		for name, err := range map[string]error{"get": err, "commit": commit.Get()} {
			if !errors.Is(err, Error{CodeTransactionCancelled}) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := h.Sleep(h.Context(), time.Second); err != nil {
			return err
		}
		if read(l, "k") != nil {
			t.Error("applied")
		}
		return nil
	})
}
