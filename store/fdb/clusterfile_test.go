package fdb

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

func TestClusterFiles(t *testing.T) {
	folder := t.TempDir()
	for _, text := range []string{
		"test:test@127.0.0.1:4500",
		"test:test@127.0.0.1:4500\n",
		"test : test @ 127.0.0.1:4500,\r\n  127.0.0.1:4501 # the client takes out all white space\r\n",
		"# DO NOT EDIT!\n# it is written\nmy_cluster:Xy12@10.0.4.1:4500,10.0.4.2:4500:tls,[::1]:4500,db.example.com:4500\n",
	} {
		file := filepath.Join(folder, "good")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkClusterFile(file); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	file := filepath.Join(folder, "bad")
	for _, text := range []string{
		"", "# nothing else\n", "127.0.0.1:4500", "test@127.0.0.1:4500", "test:test@", "test:test@127.0.0.1",
		"test:test@127.0.0.1:4500,", "te-st:test@127.0.0.1:4500", "test:test@127.0.0.1:450000", "test:test@127.0.0.\xff:4500", "{\"json\": 1}", "\x00\xff",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkClusterFile(file); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, want %v with the file's name", text, err, store.ErrInvalid)
		}
	}
	if err := os.WriteFile(file, make([]byte, maxClusterFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, folder, filepath.Join(folder, "none"), filepath.Join(file, "below")} {
		if err := checkClusterFile(path); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v with the file's name", path, err, store.ErrInvalid)
		}
	}
	if err := checkClusterFile(""); err != nil {
		t.Errorf("the client's default: %v", err)
	}
}

// An empty path is looked up as the client does.
func TestTheDefaultClusterFile(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("FDB_CLUSTER_FILE", "")
	if got := clusterFile("a.cluster"); got != "a.cluster" {
		t.Errorf("a given path becomes %q", got)
	}
	if got, want := clusterFile(""), systemClusterFiles[runtime.GOOS]; got != want {
		t.Errorf("the system's is %q, want %q", got, want)
	}
	if err := os.WriteFile("fdb.cluster", []byte("test:test@127.0.0.1:4500\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := clusterFile(""); got != "fdb.cluster" {
		t.Errorf("that of the working directory is %q", got)
	}
	t.Setenv("FDB_CLUSTER_FILE", "none.cluster")
	if err := checkClusterFile(clusterFile("")); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "none.cluster") {
		t.Errorf("that of the environment is missing: %v, want %v with the file's name", err, store.ErrInvalid)
	}
}

func FuzzClusterFile(f *testing.F) {
	f.Add([]byte("test:test@127.0.0.1:4500,127.0.0.1:4501:tls # the second one\n"))
	file := filepath.Join(f.TempDir(), "cluster")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkClusterFile(file); err != nil && !errors.Is(err, store.ErrInvalid) {
			t.Error(err)
		}
	})
}
