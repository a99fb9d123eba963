package command

import (
	"bytes"
	"errors"
	"io"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
)

// opening is a source that remembers how it began, so that one which cannot be read
// twice, such as a pipe, can be named after a decoder has refused it.
type opening struct {
	source io.Reader
	head   []byte // artifact.HeadBytes at most
}

// Read implements io.Reader.
func (o *opening) Read(p []byte) (int, error) {
	n, err := o.source.Read(p)
	o.head = append(o.head, p[:min(n, artifact.HeadBytes-len(o.head))]...)
	return n, err
}

var errUnseekable = errors.New("the source cannot seek")

// Seek implements io.Seeker, for a source that does.
func (o *opening) Seek(offset int64, whence int) (int64, error) {
	if s, ok := o.source.(io.Seeker); ok {
		return s.Seek(offset, whence)
	}
	return 0, errUnseekable
}

// isArtifact reports whether the source, of which no more than the first line was
// understood, begins as an artifact does. It reads on where what was read is too little
// to tell.
func (o *opening) isArtifact() bool {
	return artifact.Recognize(io.MultiReader(bytes.NewReader(o.head), o.source))
}
