package command

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress is a bar on a terminal, and nothing elsewhere. It is for one
// goroutine.
type progress struct {
	bar   *progressbar.ProgressBar
	began time.Time // of a bar that counts milliseconds, else zero
}

// newBar returns a bar of so many units on w, or nil when w is no terminal.
func newBar(w io.Writer, what string, total int64, options ...progressbar.Option) *progressbar.ProgressBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	options = append([]progressbar.Option{
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(),
	}, options...)
	return progressbar.NewOptions64(total, options...)
}

// countBar counts units of work.
func countBar(w io.Writer, what, unit string, total uint64) progress {
	return progress{bar: newBar(w, what, int64(total), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))}
}

// timeBar fills up with the time that passes.
func timeBar(w io.Writer, what string, d time.Duration) progress {
	return progress{bar: newBar(w, what, d.Milliseconds()), began: time.Now()}
}

// step shows that a unit of work is done, or how much time has passed. What the
// bar shows is no part of the result, so its errors are dropped.
func (p progress) step() {
	switch {
	case p.bar == nil:
	case p.began.IsZero():
		_ = p.bar.Add(1)
	default:
		_ = p.bar.Set64(min(time.Since(p.began).Milliseconds(), p.bar.GetMax64()-1))
	}
}

// close removes the bar.
func (p progress) close() {
	if p.bar != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
	}
}
