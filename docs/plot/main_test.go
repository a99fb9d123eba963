package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const figures = `{"rows": [
	{"nodes": 10, "actors": 1000, "writes_per_second": 1},
	{"nodes": 100, "actors": 1000, "writes_per_second": 10},
	{"nodes": 10, "actors": 100000, "writes_per_second": 1}
]}`

func TestDraws(t *testing.T) {
	file := filepath.Join(t.TempDir(), "load.svg")
	if err := run([]string{file}, strings.NewReader(figures)); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "1000 actors", "100000 actors", "writes / s"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture has no %q", want)
		}
	}
}

func TestBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "load.svg")
	for _, in := range []string{"", "{}", `{"rows": [{"nodes": 0, "writes_per_second": 1}]}`, `{"rows": [{"nodes": 1}]}`, "[1]"} {
		if err := run([]string{file}, strings.NewReader(in)); err == nil {
			t.Errorf("%q was drawn", in)
		}
	}
	if err := run(nil, strings.NewReader(figures)); err == nil {
		t.Error("no file was named, and there was no error")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("bad input left a picture")
	}
}
