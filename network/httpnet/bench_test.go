package httpnet_test

import (
	"log/slog"
	"testing"

	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// BenchmarkCall is one call over loopback on a kept connection.
func BenchmarkCall(b *testing.B) {
	n, err := httpnet.New(httpnet.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	n.Handle("echo", echo)
	req := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Call(b.Context(), n.Address(), "echo", req); err != nil {
			b.Fatal(err)
		}
	}
	if err := n.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
