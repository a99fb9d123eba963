package credentials

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/network"
)

// Bounds of a file of tokens.
const (
	MinToken  = 16  // bytes of a token
	MaxToken  = 512 // bytes of a token
	MaxTokens = 256
)

// tokenBytes are the bytes of tokens, and '=' may follow them (RFC 6750, b64token).
const tokenBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"

// Tokens are the bearer tokens of a file: text with one token a line, of [MinToken]
// to [MaxToken] letters, digits and "-._~+/", with '=' at its end. White space
// around it, empty lines, and lines that begin with '#' do not count. There are 1 to
// [MaxTokens] of them, none twice. The file must be closed to all but its owner.
//
// A server takes each token of its file, a client sends the first of its own. So a
// token is replaced without an interruption: add the new one to the file of the
// servers, make it the first of the clients', remove the old one.
//
// Tokens is safe for use by many goroutines.
type Tokens struct {
	file kept[*tokens]
}

// tokens are what a file held.
type tokens struct {
	file  [sha256.Size]byte // of the whole
	first string
	sums  [][sha256.Size]byte
}

// OpenTokens reads a file of tokens. The logger hears of changes; nil is
// slog.Default(). The error is about the file.
func OpenTokens(name string, logger *slog.Logger) (*Tokens, error) {
	t := &Tokens{file: kept[*tokens]{what: "tokens in " + name, logger: logger, read: func(_ time.Time, old *tokens) (*tokens, error) {
		b, err := readFile(name, true)
		if err != nil {
			return nil, err
		}
		if old != nil && sha256.Sum256(b) == old.file {
			return nil, errSame
		}
		list, err := parseTokens(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return list, nil
	}}}
	if err := t.file.open(); err != nil {
		return nil, fmt.Errorf("credentials: tokens: %w", err)
	}
	return t, nil
}

// Refresh reads the file again when a second has passed, so that its faults are
// logged although nobody calls.
func (t *Tokens) Refresh() { t.file.get() }

// Token returns the token to send. It is an httpnet.Options.Token that sends it to
// every address, and has no errors.
func (t *Tokens) Token(network.Address) (string, error) { return t.file.get().first, nil }

// Authorize returns an error unless a request has one of the tokens, as
// "Authorization: Bearer TOKEN". It is an httpnet.Options.Authorize. How long it
// takes does not depend on how much of a token was right.
func (t *Tokens) Authorize(r *http.Request) error {
	token, err := bearer(r.Header)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token))
	found := 0
	for _, s := range t.file.get().sums {
		found |= subtle.ConstantTimeCompare(sum[:], s[:])
	}
	if found == 0 {
		return errors.New("the token is none of those that are known here")
	}
	return nil
}

// bearer returns the token of a request (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", errors.New("a bearer token is needed, and there is none")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", errors.New("one bearer token is needed, and nothing else")
	}
	return strings.TrimLeft(token, " "), nil
}

// parseTokens reads a file of tokens. Its errors name the line, and never say what
// is in it.
func parseTokens(b []byte) (*tokens, error) {
	list := &tokens{file: sha256.Sum256(b)}
	lines := map[[sha256.Size]byte]int{}
	number := 0
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := checkToken(string(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		sum := sha256.Sum256(line)
		if before := lines[sum]; before != 0 {
			return nil, fmt.Errorf("line %d: the token is that of line %d", number, before)
		}
		lines[sum] = number
		if len(list.sums) == MaxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", number, MaxTokens)
		}
		if len(list.sums) == 0 {
			list.first = string(line)
		}
		list.sums = append(list.sums, sum)
	}
	if len(list.sums) == 0 {
		return nil, errors.New("there is no token in it")
	}
	return list, nil
}

func checkToken(s string) error {
	if len(s) < MinToken || len(s) > MaxToken {
		return fmt.Errorf("the token has %d bytes, must have %d to %d", len(s), MinToken, MaxToken)
	}
	if strings.Trim(strings.TrimRight(s, "="), tokenBytes) != "" {
		return errors.New("the token has a byte that is not allowed")
	}
	return nil
}
