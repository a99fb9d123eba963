package httpnet

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// What callers can cause to be logged. The text is the message of the line.
const (
	complainHeader      = "httpnet: a request's header was malformed, too large, too slow or cut off"
	complainBody        = "httpnet: a request's body was malformed, too slow or cut off"
	complainTooLarge    = "httpnet: a request is over the limit"
	complainAuthorize   = "httpnet: a request is unauthenticated"
	complainBusy        = "httpnet: a request is refused: too many in flight"
	complainNowhere     = "httpnet: a request is for nobody here"
	complainHandler     = "httpnet: a handler failed"
	complainPanic       = "httpnet: a handler panicked"
	complainConnections = "httpnet: a connection is refused: all have a request in flight"
	complainEvicted     = "httpnet: a connection made room for a new one"
	complainServer      = "httpnet: the HTTP server"
)

// Of each kind, complainMost lines are written in complainWindow.
const (
	complainMost   = 10
	complainWindow = time.Minute
	complainText   = 4 << 10 // bytes of an error's text
)

// complaints writes the lines that callers can cause, so few that they do not fill
// a disk, whatever the callers do. It counts those that it leaves out, and says so
// in the next line of their kind.
type complaints struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	kinds map[string]*complaint // by message: as many as there are constants
}

// complaint is what has been written of one kind.
type complaint struct {
	begun      time.Time // of the window
	lines      int       // in it
	suppressed int       // since the last line
	total      uint64
}

func newComplaints(logger *slog.Logger) *complaints {
	return &complaints{logger: logger, now: time.Now, kinds: map[string]*complaint{}}
}

func (c *complaints) warn(kind string, args ...any) { c.log(slog.LevelWarn, kind, args...) }

func (c *complaints) log(level slog.Level, kind string, args ...any) {
	suppressed, write := c.count(kind)
	if !write {
		return
	}
	for i, a := range args {
		switch v := a.(type) {
		case error:
			args[i] = clipTo(v.Error(), complainText)
		case string:
			args[i] = clipTo(v, complainText)
		}
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	c.logger.Log(context.Background(), level, kind, args...)
}

// count counts one more of a kind, and reports whether it is to be written.
func (c *complaints) count(kind string) (suppressed int, write bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[kind]
	if k == nil {
		k = &complaint{}
		c.kinds[kind] = k
	}
	k.total++
	if now := c.now(); k.lines == 0 || now.Sub(k.begun) >= complainWindow {
		k.begun, k.lines = now, 0
	}
	if k.lines == complainMost {
		k.suppressed++
		return 0, false
	}
	k.lines++
	suppressed, k.suppressed = k.suppressed, 0
	return suppressed, true
}

// total returns how many there were of a kind.
func (c *complaints) total(kind string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.kinds[kind]; k != nil {
		return k.total
	}
	return 0
}

// Write takes a line of net/http's log.
func (c *complaints) Write(line []byte) (int, error) {
	c.warn(complainServer, "error", strings.TrimSpace(string(line)))
	return len(line), nil
}
