package credentials

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
)

const (
	tokenA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA"
	tokenB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/+=="
)

// later is a clock that tests move.
type later struct{ after time.Duration }

func (l *later) now() time.Time { return time.Now().Add(l.after) }

// onFile returns tokens of a file, with a log.
func onFile(t *testing.T, text string) (tokens *Tokens, name string, clock *later, log *bytes.Buffer) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "tokens")
	credentialstest.Write(name, 0o600, []byte(text))
	log = &bytes.Buffer{}
	tokens, err := OpenTokens(name, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	clock = &later{}
	tokens.file.now = clock.now
	return tokens, name, clock, log
}

func request(authorization ...string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": authorization}}
}

func TestEachTokenOfAFileIsAccepted(t *testing.T) {
	tokens, _, _, _ := onFile(t, "# of the nodes\r\n\r\n "+tokenA+" \r\n"+tokenB)
	for _, header := range []string{"Bearer " + tokenA, "bearer  " + tokenB} {
		if err := tokens.Authorize(request(header)); err != nil {
			t.Errorf("%q: %v", header, err)
		}
	}
	if token, err := tokens.Token("anybody:1"); token != tokenA || err != nil {
		t.Errorf("the token to send is %q, error %v, want the first", token, err)
	}
}

func TestOtherTokensAreRefused(t *testing.T) {
	tokens, _, _, _ := onFile(t, tokenA)
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"none", nil, "there is none"},
		{"another", []string{"Bearer " + tokenB}, "none of those"},
		{"an empty one", []string{"Bearer "}, "none of those"},
		{"a part", []string{"Bearer " + tokenA[:len(tokenA)-1]}, "none of those"},
		{"one and more", []string{"Bearer " + tokenA + "A"}, "none of those"},
		{"of another kind", []string{"Basic " + tokenA}, "one bearer token"},
		{"two", []string{"Bearer " + tokenA, "Bearer " + tokenA}, "one bearer token"},
		{"a long one", []string{"Bearer " + strings.Repeat("a", 1<<20)}, "none of those"},
	} {
		err := tokens.Authorize(request(c.header...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), tokenB) {
			t.Errorf("%s: the error has the token: %v", c.name, err)
		}
	}
}

func TestBadFilesOfTokensAreRefused(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"empty", "", 0o600, "no token"},
		{"comments", "# " + tokenA + "\n\n", 0o600, "no token"},
		{"short", tokenA + "\nsecretsecret", 0o600, "line 2: the token has 12 bytes, must have 16 to 512"},
		{"long", strings.Repeat("s", MaxToken+1), 0o600, "512"},
		{"white space", "secret secret secret", 0o600, "line 1: the token has a byte"},
		{"equals signs in it", "secret=secretsecret", 0o600, "a byte"},
		{"bytes", "secretsecretsecret\x00\xff", 0o600, "a byte"},
		{"twice", tokenA + "\n#\n" + tokenA, 0o600, "line 3: the token is that of line 1"},
		{"too many", manyTokens(MaxTokens + 1), 0o600, "more than 256"},
		{"too large", strings.Repeat("# secret\n", MaxFile/8), 0o600, "over 262144 bytes"},
		{"world-readable", tokenA, 0o644, "mode 0644, must be closed to all but its owner"},
		{"readable by the group", tokenA, 0o640, "mode 0640"},
		{"writable by others", tokenA, 0o602, "mode 0602"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.mode != 0o600 && runtime.GOOS == "windows" {
				c.mode, c.text, c.want = 0o600, "", "no token" // there are no such modes
			}
			name := filepath.Join(folder, "tokens")
			credentialstest.Write(name, c.mode, []byte(c.text))
			_, err := OpenTokens(name, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
				t.Fatalf("error %v, want %q and the name of the file", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), tokenA) {
				t.Errorf("the error has what is in the file: %v", err)
			}
		})
	}
}

func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(tokenA + strings.Repeat("x", i%MinToken) + strings.Repeat("y", i/MinToken) + "\n")
	}
	return b.String()
}

func TestUnreadableFilesOfTokensAreRefused(t *testing.T) {
	folder := t.TempDir()
	closed := filepath.Join(folder, "closed")
	credentialstest.Write(closed, 0, []byte(tokenA))
	for name, want := range map[string]string{
		folder:                          "not a regular file",
		os.DevNull:                      "not a regular file",
		filepath.Join(folder, "no"):     "no such file",
		filepath.Join(folder, "no\x00"): "invalid argument",
		closed:                          "permission denied",
	} {
		if name == closed && os.Getuid() == 0 {
			if _, err := OpenTokens(name, nil); err != nil {
				t.Errorf("root cannot read a file with mode 0: %v", err)
			}
			continue
		}
		if _, err := OpenTokens(name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", name, err, want)
		}
	}
}

func TestTokensFollowTheirFile(t *testing.T) {
	tokens, name, clock, log := onFile(t, tokenA)
	knows := func(token string) bool { return tokens.Authorize(request("Bearer "+token)) == nil }

	credentialstest.Write(name, 0o600, []byte(tokenB+"\n"+tokenA))
	if knows(tokenB) {
		t.Error("the file was read again within a second")
	}
	clock.after += refreshEvery
	if !knows(tokenA) || !knows(tokenB) {
		t.Error("while a token is replaced, one of the two is refused")
	}
	if token, _ := tokens.Token(""); token != tokenB {
		t.Errorf("the token to send is %q", token)
	}
	credentialstest.Write(name, 0o600, []byte(tokenB))
	clock.after += refreshEvery
	if knows(tokenA) || !knows(tokenB) {
		t.Error("the old token is still accepted, or the new one is not")
	}
	if n := strings.Count(log.String(), "read again"); n != 2 {
		t.Errorf("%d lines about 2 changes:\n%s", n, log)
	}
}

// A file may be written over in place, within one tick of its time, at its size.
func TestTokensFollowAFileWhoseTimeDoesNotChange(t *testing.T) {
	tokens, name, clock, _ := onFile(t, tokenA)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ToLower(tokenA)
	if err := os.WriteFile(name, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	clock.after += refreshEvery
	if err := tokens.Authorize(request("Bearer " + other)); err != nil {
		t.Error(err)
	}
}

func TestAFileOfTokensThatBecameBadKeepsTheLast(t *testing.T) {
	tokens, name, clock, log := onFile(t, tokenA)
	for _, c := range []struct {
		do   func() error
		want string
	}{
		{func() error { return os.Remove(name) }, "no such file"},
		{func() error { return os.WriteFile(name, nil, 0o600) }, "no token"},
		{func() error { return os.WriteFile(name, []byte(tokenB+" x"), 0o600) }, "a byte that is not allowed"},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		for range 5 {
			clock.after += refreshEvery
			tokens.Refresh()
		}
		if err := tokens.Authorize(request("Bearer " + tokenA)); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, c.want) || strings.Contains(got, tokenB) {
			t.Errorf("the log, want one line that says %q:\n%s", c.want, got)
		}
	}
	credentialstest.Write(name, 0o600, []byte(tokenB))
	clock.after += refreshEvery
	if err := tokens.Authorize(request("Bearer " + tokenB)); err != nil {
		t.Errorf("good again: %v", err)
	}
}

// FuzzTokens checks that what a file is read as is within the bounds, and is what
// its lines say.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"", "#\n", tokenA, tokenA + "\n" + tokenB + "\r\n# x\n", tokenA + "\n" + tokenA, "secretsecretsecret!", "\xff\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseTokens(b)
		if err != nil {
			for line := range bytes.SplitSeq(b, []byte("\n")) {
				// No word of an error has so many bytes.
				if line = bytes.TrimSpace(line); len(line) >= MinToken && !bytes.ContainsAny(line, " ") && bytes.Contains([]byte(err.Error()), line) {
					t.Errorf("the error has a line of the file: %v", err)
				}
			}
			return
		}
		if n := len(list.sums); n < 1 || n > MaxTokens {
			t.Errorf("%d tokens", n)
		}
		lines := 0
		for line := range strings.SplitSeq(string(b), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			lines++
			if len(line) < MinToken || len(line) > MaxToken || strings.ContainsAny(line, " \t:,\"\x00\x7f") {
				t.Errorf("a line of %d bytes is a token", len(line))
			}
			if lines == 1 && list.first != line {
				t.Errorf("the first token is %q, want %q", list.first, line)
			}
		}
		if lines != len(list.sums) {
			t.Errorf("%d tokens of %d lines", len(list.sums), lines)
		}
	})
}
