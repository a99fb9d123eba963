package httpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kelpie-registry/kelpie/network"
)

// resultHeader says what became of a request. Its values:
const (
	resultHeader = "Kelpie-Result"

	resultOK              = "ok"                // the body is the reply
	resultError           = "error"             // the handler failed; the body is its message
	resultReplyTooLarge   = "reply-too-large"   // the handler ran; its reply is over the limit
	resultRequestTooLarge = "request-too-large" // no handler ran
	resultRefused         = "refused"           // no handler ran; the body says why
	resultUnauthenticated = "unauthenticated"   // no handler ran; the body says why
)

// serve answers one HTTP request.
func (n *Net) serve(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	if c != nil {
		c.reading = false
	}
	n.limit(w)
	method, ok := methodOf(n.o.Prefix, r.URL.EscapedPath())
	switch {
	case ok:
		n.serveMethod(w, r, c, method)
	case n.o.Elsewhere != nil:
		n.serveElsewhere(w, r)
	default:
		n.refuse(w, r, http.StatusNotFound, "no such path")
	}
}

// serveElsewhere leaves a request to Options.Elsewhere, and logs what that refuses.
func (n *Net) serveElsewhere(w http.ResponseWriter, r *http.Request) {
	o := &observed{ResponseWriter: w}
	n.o.Elsewhere.ServeHTTP(o, r)
	switch {
	case o.status == http.StatusUnauthorized:
		n.complaints.warn(complainAuthorize, "remote", r.RemoteAddr, "path", r.URL.Path)
	case o.status >= 400 && o.status < 500:
		n.complaints.log(slog.LevelInfo, complainNowhere, "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "status", o.status)
	}
}

// observed is a ResponseWriter that keeps the status.
type observed struct {
	http.ResponseWriter
	status int // 0: none was written
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// limit bounds how long a request's body may take to arrive, and an answer to leave.
func (n *Net) limit(w http.ResponseWriter) {
	// Not every ResponseWriter has deadlines; those of net/http do.
	control := http.NewResponseController(w)
	end := time.Now().Add(n.o.BodyTimeout)
	_ = control.SetReadDeadline(end)
	_ = control.SetWriteDeadline(end)
}

// serveMethod answers one request under the prefix.
func (n *Net) serveMethod(w http.ResponseWriter, r *http.Request, c *connection, method string) {
	if n.o.Authorize != nil {
		if err := n.o.Authorize(r); err != nil {
			n.complaints.warn(complainAuthorize, "remote", r.RemoteAddr, "error", err)
			w.Header().Set("WWW-Authenticate", "Bearer")
			hangUp(w)
			n.answer(w, http.StatusUnauthorized, resultUnauthenticated, message(err))
			return
		}
	}
	if c != nil {
		c.accepted()
	}
	if n.inFlight.Add(1) > int64(n.o.MaxInFlight) {
		n.inFlight.Add(-1)
		n.complaints.warn(complainBusy, "remote", r.RemoteAddr, "limit", n.o.MaxInFlight)
		n.answer(w, http.StatusServiceUnavailable, resultRefused,
			fmt.Appendf(nil, "busy: %d requests in flight", n.o.MaxInFlight))
		return
	}
	defer n.inFlight.Add(-1)

	h := n.handler(method)
	switch {
	case r.Method != http.MethodPost:
		n.refuse(w, r, http.StatusMethodNotAllowed, "only POST is served")
		return
	case h == nil:
		n.refuse(w, r, http.StatusNotFound, fmt.Sprintf("nobody serves method %q", method))
		return
	}
	req, err := n.readRequest(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		n.complaints.warn(complainTooLarge, "remote", r.RemoteAddr, "method", method, "limit_bytes", n.o.MaxRequest)
		n.answer(w, http.StatusRequestEntityTooLarge, resultRequestTooLarge,
			fmt.Appendf(nil, "the request is over %d bytes", n.o.MaxRequest))
		return
	case err != nil:
		n.complaints.warn(complainBody, "remote", r.RemoteAddr, "method", method, "error", err)
		w.Header().Set("Connection", "close") // the rest of the body is unknown
		n.answer(w, http.StatusBadRequest, resultRefused, []byte("the request's body did not arrive"))
		return
	}

	n.served.Add(1)
	reply, err := n.run(r.Context(), method, h, req)
	switch {
	case err != nil:
		n.complaints.log(slog.LevelInfo, complainHandler, "remote", r.RemoteAddr, "method", method, "error", err)
		n.answer(w, http.StatusInternalServerError, resultError, message(err))
	case len(reply) > n.o.MaxReply:
		n.answer(w, http.StatusInternalServerError, resultReplyTooLarge,
			fmt.Appendf(nil, "the reply has %d bytes, at most %d are allowed", len(reply), n.o.MaxReply))
	default:
		n.answer(w, http.StatusOK, resultOK, reply)
	}
}

// refuse answers a request that nobody serves.
func (n *Net) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	n.complaints.log(slog.LevelInfo, complainNowhere, "remote", r.RemoteAddr, "why", why)
	if r.ContentLength != 0 {
		hangUp(w)
	}
	n.answer(w, status, resultRefused, []byte(why))
}

// hangUp has the answer be the last one of a connection: no more of its body is read,
// not even to pass over it.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now())
}

// readRequest reads the body within the limit of size. An announced size over it is
// refused before anything is read.
func (n *Net) readRequest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > int64(n.o.MaxRequest) {
		return nil, &http.MaxBytesError{Limit: int64(n.o.MaxRequest)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(n.o.MaxRequest)))
	if err != nil {
		return nil, err
	}
	// The handler may take longer: its context must not end with the deadline.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// run calls the handler and turns its panic into an error.
func (n *Net) run(ctx context.Context, method string, h network.Handler, req []byte) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			n.complaints.log(slog.LevelError, complainPanic,
				"method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			reply, err = nil, fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return h(ctx, req)
}

// answer sends a reply. A failure to send it is the caller's to notice.
func (n *Net) answer(w http.ResponseWriter, status int, result string, body []byte) {
	header := w.Header()
	header.Set(resultHeader, result)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(n.o.BodyTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// message returns the text of err, cut at MaxMessage bytes between two runes.
func message(err error) []byte {
	text := err.Error()
	if len(text) <= MaxMessage {
		return []byte(text)
	}
	const more = "…"
	end := MaxMessage - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return []byte(text[:end] + more)
}
