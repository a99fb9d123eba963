package httpnet_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	noLeaks(t)
	busy := start(t, httpnet.Options{})
	for _, c := range []struct {
		name  string
		o     httpnet.Options
		parts []string
	}{
		{"Listen without port", httpnet.Options{Listen: "localhost"}, []string{"Listen", "localhost"}},
		{"Listen in use", httpnet.Options{Listen: string(busy.Address())}, []string{"Listen", string(busy.Address())}},
		{"every interface", httpnet.Options{Listen: ":0"}, []string{"Advertise", "Listen"}},
		{"Advertise", httpnet.Options{Advertise: "http://a:1"}, []string{"Advertise", "host:port"}},
		{"Advertise port", httpnet.Options{Advertise: "a:0"}, []string{"Advertise", "1 to 65535"}},
		{"Prefix with slash", httpnet.Options{Prefix: "/a"}, []string{"Prefix", `"/a"`}},
		{"Prefix with dots", httpnet.Options{Prefix: "a/.."}, []string{"Prefix"}},
		{"Prefix with space", httpnet.Options{Prefix: "a b"}, []string{"Prefix", "letters"}},
		{"Prefix too long", httpnet.Options{Prefix: strings.Repeat("a", 65)}, []string{"Prefix", "64"}},
		{"MaxRequest", httpnet.Options{MaxRequest: -1}, []string{"MaxRequest", "-1", "1073741824"}},
		{"MaxReply", httpnet.Options{MaxReply: httpnet.MaxBody + 1}, []string{"MaxReply", "1073741824"}},
		{"MaxInFlight", httpnet.Options{MaxInFlight: -5}, []string{"MaxInFlight", "-5"}},
		{"DialTimeout", httpnet.Options{DialTimeout: -1}, []string{"DialTimeout", "-1ns"}},
		{"ReadHeaderTimeout", httpnet.Options{ReadHeaderTimeout: -1}, []string{"ReadHeaderTimeout"}},
		{"BodyTimeout", httpnet.Options{BodyTimeout: -time.Second}, []string{"BodyTimeout", "-1s"}},
		{"IdleTimeout", httpnet.Options{IdleTimeout: -1}, []string{"IdleTimeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := httpnet.New(c.o)
			if err == nil {
				_ = n.Close(t.Context())
				t.Fatal("accepted")
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestAddressIsTheAdvertisedOne(t *testing.T) {
	n := start(t, httpnet.Options{Listen: ":0", Advertise: "node-1.example:7000"})
	if n.Address() != "node-1.example:7000" {
		t.Errorf("Address = %q", n.Address())
	}
}

func TestZeroOptionsServeOnLoopback(t *testing.T) {
	n := start(t, httpnet.Options{})
	if !strings.HasPrefix(string(n.Address()), "127.0.0.1:") {
		t.Errorf("Address = %q", n.Address())
	}
	n.Handle("echo", echo)
	if _, err := n.Call(context.Background(), n.Address(), "echo", nil); err != nil {
		t.Error(err)
	}
}
