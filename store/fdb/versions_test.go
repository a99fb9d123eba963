package fdb

import (
	"errors"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// status has the shape of a cluster's status, cut down to what is read of it and
// some of what is not.
const status = `{
  "client": {"database_status": {"available": true}},
  "cluster": {
    "clients": {"count": 3, "supported_versions": [
      {"client_version": "7.3.79", "connected_clients": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2"}], "count": 2},
      {"client_version": "7.1.61", "connected_clients": [], "count": 0},
      {"client_version": "Unknown", "connected_clients": [{"address": "127.0.0.1:3"}], "count": 1}]},
    "processes": {
      "a": {"version": "7.3.79", "roles": []},
      "b": {"version": "7.3.43"},
      "c": {"version": "7.3.79"},
      "d": {}}}}`

func TestVersions(t *testing.T) {
	s := newStandIn()
	s.status = []byte(status)
	s.failNext("get", 1037)
	v, err := s.engine(Options{}).Versions(t.Context())
	if want := "FoundationDB client 7.3.79, server 7.3.43, 7.3.79, API version 730"; err != nil || v.String() != want {
		t.Errorf("%v, error %v, want %s", v, err, want)
	}
	// A cluster that is down tells what its client knows only.
	s.status = []byte(`{"client": {}}`)
	v, err = s.engine(Options{}).Versions(t.Context())
	if err != nil || !strings.Contains(v.String(), "server of unknown version") {
		t.Errorf("%v, error %v, want versions that are unknown", v, err)
	}
	s.status = []byte(`<html>`)
	if _, err := s.engine(Options{}).Versions(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want %v", err, store.ErrUnavailable)
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Fuzz(func(t *testing.T, status []byte) {
		if _, err := versionsOf(status); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
	})
}
