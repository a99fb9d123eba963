package sim_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

func TestTraceReads(t *testing.T) {
	var text bytes.Buffer
	w := world(t, sim.Options{Trace: &text})
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
	process(w, "s", func(_ ctxT, h *hostT) {
		h.Network().Handle("hello", func(context.Context, []byte) ([]byte, error) { return nil, errWhy })
		h.Bind("in", func(sim.Message) { w.Note("note", "a message came") })
	})
	process(w, "c", func(ctx ctxT, h *hostT) {
		h.SendTo(nil, "s", "in", 7)
		_, _ = h.Network().Call(ctx, "s", "hello", nil)
		h.AfterFunc(time.Second, func() {})
		h.After(time.Second, func() {})
		e := h.NewEvent()
		c, cancel := h.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_ = e.Wait(c)
		_ = h.Sleep(ctx, time.Second)
		w.Net().Cut("c", "s")
		h.SendTo(nil, "s", "in", 8)
		w.Lookup("s").Crash()
	})
	w.After(30*time.Second, "end", func() { w.Fail("rule", errors.New("enough")) })
	_ = mustFail(t, w, time.Minute, "rule")
	want := []string{
		`c/main +starts`,
		`c -> s #1 message to in: int sent, arrives at 1s`,
		`c -> s #2 request hello sent, arrives at 1s`,
		`1s +s/in +c -> s #1 message to in: int arrives`,
		`note: a message came`,
		`1s +s/serve hello +c -> s #2 request hello arrives`,
		`2s +c/reply +s -> c #1 reply of hello arrives`,
		`2s +c/main +has its call of hello at s fail: .*why`,
		`3s +c/timer +fires`,
		`3s +c/callback +runs`,
		`7s +c/deadline +passes`,
		`7s +c/main +goes on after event #1, not set: context ended`,
		`8s +c/main +wakes, slept since 7s`,
		`cut c -> s`,
		`c -> s #3 message to in: int lost`,
		`crash of s \(1\)`,
		`30s +end +runs`,
		`FAILURE rule at 30s, event \d+ in end: enough`,
	}
	for _, re := range want {
		if !regexp.MustCompile(re).MatchString(text.String()) {
			t.Errorf("the trace lacks %q", re)
		}
	}
	events := uint64(0)
	for line := range strings.Lines(text.String()) {
		if strings.TrimSpace(line[:8]) != "" {
			events++
		}
	}
	if events != w.Stats().Events {
		t.Errorf("%d lines of events, want %d", events, w.Stats().Events)
	}
	if t.Failed() {
		t.Log(text.String())
	}
}

func TestTraceHasALineForEachEvent(t *testing.T) {
	var text bytes.Buffer
	_, s := chat(t, 11, sim.Options{Trace: &text})
	last := uint64(0)
	for line := range strings.Lines(text.String()) {
		if strings.TrimSpace(line[:8]) != "" {
			last++
		}
	}
	if last != s.Events {
		t.Errorf("%d lines of events, want %d", last, s.Events)
	}
}

// failingWriter cannot write.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWhy }

func TestTraceThatCannotBeWrittenChangesNothing(t *testing.T) {
	a, _ := chat(t, 1, sim.Options{})
	if b, _ := chat(t, 1, sim.Options{Trace: failingWriter{}}); a != b {
		t.Error("the hash differs")
	}
}
