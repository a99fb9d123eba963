package httpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
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
)

// serve answers one HTTP request.
func (n *Net) serve(w http.ResponseWriter, r *http.Request) {
	if n.inFlight.Add(1) > int64(n.o.MaxInFlight) {
		n.inFlight.Add(-1)
		n.answer(w, http.StatusServiceUnavailable, resultRefused,
			fmt.Appendf(nil, "busy: %d requests in flight", n.o.MaxInFlight))
		return
	}
	defer n.inFlight.Add(-1)

	method, h, status, why := n.route(r)
	if h == nil {
		n.answer(w, status, resultRefused, []byte(why))
		return
	}
	req, err := n.readRequest(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		n.answer(w, http.StatusRequestEntityTooLarge, resultRequestTooLarge,
			fmt.Appendf(nil, "the request is over %d bytes", n.o.MaxRequest))
		return
	case err != nil:
		w.Header().Set("Connection", "close") // the rest of the body is unknown
		n.answer(w, http.StatusBadRequest, resultRefused, []byte("the request's body did not arrive"))
		return
	}

	reply, err := n.run(r.Context(), method, h, req)
	switch {
	case err != nil:
		n.answer(w, http.StatusInternalServerError, resultError, message(err))
	case len(reply) > n.o.MaxReply:
		n.answer(w, http.StatusInternalServerError, resultReplyTooLarge,
			fmt.Appendf(nil, "the reply has %d bytes, at most %d are allowed", len(reply), n.o.MaxReply))
	default:
		n.answer(w, http.StatusOK, resultOK, reply)
	}
}

// route finds the handler of a request, or the status and the reason why there
// is none.
func (n *Net) route(r *http.Request) (method string, h network.Handler, status int, why string) {
	method, ok := methodOf(n.o.Prefix, r.URL.EscapedPath())
	if !ok {
		return "", nil, http.StatusNotFound, "no such path"
	}
	if r.Method != http.MethodPost {
		return "", nil, http.StatusMethodNotAllowed, "only POST is served"
	}
	if h = n.handler(method); h == nil {
		return "", nil, http.StatusNotFound, fmt.Sprintf("nobody serves method %q", method)
	}
	return method, h, 0, ""
}

// readRequest reads the body within the limits of size and time. An announced
// size over the limit is refused before anything is read.
func (n *Net) readRequest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > int64(n.o.MaxRequest) {
		return nil, &http.MaxBytesError{Limit: int64(n.o.MaxRequest)}
	}
	// Not every ResponseWriter has deadlines; those of net/http do.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(n.o.BodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(n.o.MaxRequest)))
	if err != nil {
		return nil, err
	}
	// The handler may take longer: its context must not end with the deadline.
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

// run calls the handler and turns its panic into an error.
func (n *Net) run(ctx context.Context, method string, h network.Handler, req []byte) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			n.o.Logger.Error("httpnet: a handler panicked",
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
