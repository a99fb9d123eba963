package artifact

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
)

// Bounds of a [Folder].
const (
	DefaultPerSignature = 3
	DefaultTotal        = 100
)

// Folder is where artifacts go. It is made when the first one is kept, and it
// keeps a bounded number: the first few of each signature. It is for one
// goroutine at a time.
type Folder struct {
	dir          string
	perSignature int
	total        int
	kept         map[string]int // by signature
	sum          int
}

// NewFolder returns the folder dir, and an error when dir could not be written
// to. It leaves nothing behind.
func NewFolder(dir string) (*Folder, error) {
	if err := atomicfile.CheckFolder(dir); err != nil {
		return nil, err
	}
	return &Folder{dir: dir, perSignature: DefaultPerSignature, total: DefaultTotal, kept: make(map[string]int)}, nil
}

// Wants reports whether the folder would keep one more of the signature.
func (f *Folder) Wants(signature string) bool {
	return f.sum < f.total && f.kept[signature] < f.perSignature
}

// Keep writes the artifact under a name made of its scenario, store, seed and
// trace hash, and returns the path.
func (f *Folder) Keep(signature string, a *Artifact) (path string, err error) {
	if err := atomicfile.MakeFolder(f.dir); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-%s-%d-%.8s.json", a.Scenario, a.Store, a.Seed, a.TraceHash)
	path = filepath.Join(f.dir, name)
	if err := Write(path, a); err != nil {
		return "", err
	}
	f.kept[signature]++
	f.sum++
	return path, nil
}

// Write writes the artifact to path whole, or leaves path as it was.
func Write(path string, a *Artifact) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Encode(w, a) })
}

// Read reads the artifact at path.
func Read(path string) (*Artifact, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	a, err := Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}
