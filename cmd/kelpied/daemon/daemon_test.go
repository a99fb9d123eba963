package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func TestWhatWasCommittedIsThereAfterARestart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	r := begin(t, "--data", folder)
	if err := r.connect(httpnet.Options{}).set(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if code := r.end(); code != ExitClean {
		t.Errorf("exit code %d:\n%s", code, r.log)
	}
	r = begin(t, "--data", folder)
	if got := r.connect(httpnet.Options{}).dump(t); got != "\"k\" \"v\"\n" {
		t.Errorf("the store has %s", got)
	}
}

func TestWrongUsageIsRefusedAndChangesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no flags", nil, "--data is missing"},
		{"an unknown flag", []string{"--dato", "x"}, "unknown flag: --dato"},
		{"an argument", []string{"serve"}, `unexpected argument "serve"`},
		{"an unknown store", []string{"--store", "etcd"}, `--store is "etcd", must be one of: disk, fdb`},
		{"fdb without its client", []string{"--store", "fdb"}, "build it with -tags fdb"},
		{"fdb with a folder", []string{"--store", "fdb", "--data", folder}, "--data is for --store disk"},
		{"disk with a cluster", []string{"--data", folder, "--fdb-cluster", "x"}, "are for --store fdb"},
		{"no port", []string{"--data", folder, "--listen", "localhost"}, `--listen is "localhost", must be host:port`},
		{"every interface", []string{"--data", folder, "--listen", ":7000"}, "needs --token-file or --tls-client-ca, or else --insecure-without-authentication"},
		{"a name", []string{"--data", folder, "--listen", "store-1:7000"}, "which others can reach"},
		{"another interface", []string{"--data", folder, "--listen", "10.0.0.5:7000"}, "which others can reach"},
		{"another interface, IPv6", []string{"--data", folder, "--listen", "[::]:7000"}, "which others can reach"},
		{"tokens in the clear", []string{"--data", folder, "--listen", ":7000", "--token-file", "x"}, "needs --tls-cert and --tls-key, or else --insecure-without-tls"},
		{"every interface, any port", []string{"--data", folder, "--listen", "0.0.0.0:0"}, "port 0 needs a host"},
		{"a certificate without key", []string{"--data", folder, "--tls-cert", "x"}, "belong together"},
		{"a key without certificate", []string{"--data", folder, "--tls-key", "x"}, "belong together"},
		{"authorities without certificate", []string{"--data", folder, "--tls-client-ca", "x"}, "--tls-client-ca needs --tls-cert"},
		{"few bytes", []string{"--data", folder, "--max-message-bytes", "1"}, "--max-message-bytes is 1, must be 131072 to 67108864"},
		{"many bytes", []string{"--data", folder, "--max-message-bytes", "1000000000"}, "--max-message-bytes"},
		{"no connections", []string{"--data", folder, "--max-connections", "0"}, "--max-connections is 0, must be 1 to 1000000"},
		{"no requests", []string{"--data", folder, "--max-requests", "-1"}, "--max-requests is -1"},
		{"no clients", []string{"--data", folder, "--max-clients", "0"}, "--max-clients is 0"},
		{"not a number", []string{"--data", folder, "--max-clients", "many"}, "--max-clients"},
		{"no time", []string{"--data", folder, "--header-timeout", "0s"}, "--header-timeout is 0s, must be 10ms to 1h0m0s"},
		{"much time", []string{"--data", folder, "--body-timeout", "2h"}, "--body-timeout"},
		{"a negative time", []string{"--data", folder, "--idle-timeout", "-1s"}, "--idle-timeout"},
		{"a time without unit", []string{"--data", folder, "--shutdown-timeout", "10"}, "--shutdown-timeout"},
		{"a short time", []string{"--data", folder, "--transaction-timeout", "1ms"}, "--transaction-timeout"},
		{"a log format", []string{"--data", folder, "--log-format", "xml"}, `--log-format is "xml", must be one of: text, json`},
		{"a log level", []string{"--data", folder, "--log-level", "loud"}, `--log-level is "loud"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := refused(t, c.args...)
			if code != ExitUsage || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, ExitUsage, c.want, said)
			}
			if strings.Count(said, "\n") != 1 {
				t.Errorf("it said more than one line:\n%s", said)
			}
			if _, err := os.Stat(folder); !os.IsNotExist(err) {
				t.Errorf("the folder: %v", err)
			}
		})
	}
}

func TestOnlyLoopbackNeedsNoAuthentication(t *testing.T) {
	for listen, fine := range map[string]bool{
		"127.0.0.1:0": true, "127.8.9.10:1": true, "[::1]:0": true, "localhost:0": true, "[::ffff:127.0.0.1]:0": true,
		"0.0.0.0:1": false, "[::]:1": false, ":1": false, "localhost.example:0": false, "128.0.0.1:0": false, "[fe80::1%lo]:0": false,
	} {
		f := flags{store: "disk", data: "x", listen: listen}
		if err := f.check(); (err == nil) != fine {
			t.Errorf("%s: error %v", listen, err)
		}
		f.withoutAuthentication, f.withoutTLS = true, true
		if err := f.check(); err != nil {
			t.Errorf("%s, told to in words: %v", listen, err)
		}
	}
}

func TestHelpNamesEveryFlagWithItsRange(t *testing.T) {
	var out, log text
	if code := Main(t.Context(), []string{"--help"}, &out, &log); code != ExitClean || log.String() != "" {
		t.Errorf("exit code %d: %s", code, &log)
	}
	var f flags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.define(fs)
	fs.VisitAll(func(flag *pflag.Flag) {
		if !strings.Contains(out.String(), "--"+flag.Name+" ") {
			t.Errorf("the help lacks --%s", flag.Name)
		}
		if kind := flag.Value.Type(); (kind == "int" || kind == "duration") && !strings.Contains(flag.Usage, "from ") {
			t.Errorf("--%s does not say its range: %s", flag.Name, flag.Usage)
		}
	})
}

func TestVersionFlag(t *testing.T) {
	var out, log text
	if code := Main(t.Context(), []string{"--version"}, &out, &log); code != ExitClean || !strings.HasPrefix(out.String(), "kelpied version ") {
		t.Errorf("exit code %d: %s%s", code, &out, &log)
	}
}

func TestAPortInUseIsRefusedBeforeTheDataIsTouched(t *testing.T) {
	r := begin(t, "--data", t.TempDir())
	folder := filepath.Join(t.TempDir(), "data")
	code, said := refused(t, "--data", folder, "--listen", string(r.address))
	if code != ExitFailed || !strings.Contains(said, "--listen") || !strings.Contains(said, "address already in use") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
}

func TestADataDirectoryInUseIsRefusedByName(t *testing.T) {
	folder := t.TempDir()
	r := begin(t, "--data", folder)
	code, said := refused(t, "--data", folder, "--listen", "127.0.0.1:0")
	if code != ExitFailed || !strings.Contains(said, "--data") || !strings.Contains(said, "in use: by process") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if err := r.connect(httpnet.Options{}).set(t.Context(), "k", "v"); err != nil {
		t.Errorf("the one that has it: %v", err)
	}
}

func TestAFolderOfOthersIsRefusedAndNotTouched(t *testing.T) {
	folder := t.TempDir()
	letter := filepath.Join(folder, "letter.txt")
	if err := os.WriteFile(letter, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := refused(t, "--data", folder, "--listen", "127.0.0.1:0")
	if code != ExitUsage || !strings.Contains(said, "not a kelpie data directory") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder has %v, error %v", files, err)
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"text": `level=INFO msg=serving`, "json": `"level":"INFO","msg":"serving"`} {
		r := begin(t, "--data", t.TempDir(), "--log-format", format)
		r.log.await(t, want)
	}
	r := begin(t, "--data", t.TempDir(), "--log-level", "error")
	if code := r.end(); code != ExitClean || r.log.String() != "" {
		t.Errorf("exit code %d, the log has:\n%s", code, r.log)
	}
}
