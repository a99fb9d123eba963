package fdb

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"runtime"
)

// systemClusterFiles are where FoundationDB's packages put the cluster file.
var systemClusterFiles = map[string]string{
	"darwin":  "/usr/local/etc/foundationdb/fdb.cluster",
	"freebsd": "/usr/local/etc/foundationdb/fdb.cluster",
	"linux":   "/etc/foundationdb/fdb.cluster",
}

// clusterFile returns the cluster file that the client takes for path. An empty
// path is looked up as the client does, because the client keeps what it opened
// by that name: one default that is missing would stay so for the process.
func clusterFile(path string) string {
	if path != "" {
		return path
	}
	if file := os.Getenv("FDB_CLUSTER_FILE"); file != "" {
		return file
	}
	const inWorkingDirectory = "fdb.cluster"
	if _, err := os.Stat(inWorkingDirectory); err == nil {
		return inWorkingDirectory
	}
	return systemClusterFiles[runtime.GOOS]
}

// What a cluster file holds: description:id@address,address. An address ends with
// a port, or with a port and ":tls". White space and comments do not count.
const address = `[^,@\x00-\x20\x7f-\x{10FFFF}]+:[0-9]{1,5}(:tls)?`

var (
	connection = regexp.MustCompile(`^[A-Za-z0-9_]+:[A-Za-z0-9]+@` + address + `(,` + address + `)*$`)
	uncounted  = regexp.MustCompile(`#[^\r\n]*|[ \t\r\n]`)
)

// maxClusterFile is the size limit of a cluster file, in bytes.
const maxClusterFile = 1 << 20

// checkClusterFile returns an error that names the file when it is missing or
// cannot be a cluster file: the client says so at the first read only, and then
// not which file it is. An empty path is a default of which nothing is known here.
func checkClusterFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return invalid("cluster file %s does not exist", path)
	case err != nil:
		return invalid("cluster file %s: %v", path, err)
	case !info.Mode().IsRegular() || info.Size() > maxClusterFile:
		return invalid("cluster file %s is not a cluster file: it is %v with %d bytes", path, info.Mode(), info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return invalid("cluster file %s: %v", path, err)
	}
	says := uncounted.ReplaceAllString(string(text), "")
	if !connection.MatchString(says) {
		return invalid("cluster file %s is malformed: want description:id@address:port,..., it says %.100q", path, says)
	}
	return nil
}
