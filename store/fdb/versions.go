package fdb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// Versions are the releases in use, such as "7.3.79". One that the cluster does
// not tell is empty.
type Versions struct {
	// Client are the releases of the client libraries that are connected to the
	// cluster, this process's among them.
	Client []string
	// Server are the releases of the cluster's processes; more than one during an
	// upgrade.
	Server []string
}

func (v Versions) String() string {
	name := func(releases []string) string {
		if len(releases) == 0 {
			return "of unknown version"
		}
		return strings.Join(releases, ", ")
	}
	return fmt.Sprintf("FoundationDB client %s, server %s, API version %d", name(v.Client), name(v.Server), apiVersion)
}

// apiVersion is the version of FoundationDB's API that the package is written
// for.
const apiVersion = 730

// statusKey holds the cluster's status as JSON.
const statusKey = "\xff\xff/status/json"

// Versions asks the cluster which releases are in use. The binding cannot ask
// the client library itself. Errors: of ctx and of the store.
func (e *Engine) Versions(ctx context.Context) (Versions, error) {
	var status []byte
	err := e.attempt(ctx, "status", func(tr transaction) (err error) {
		status, err = tr.get([]byte(statusKey), true)()
		return err
	})
	if err != nil {
		return Versions{}, err
	}
	return versionsOf(status)
}

// versionsOf finds the versions in the cluster's status.
func versionsOf(status []byte) (Versions, error) {
	var s struct {
		Cluster struct {
			Clients struct {
				Supported []struct {
					Version   string            `json:"client_version"`
					Connected []json.RawMessage `json:"connected_clients"`
				} `json:"supported_versions"`
			} `json:"clients"`
			Processes map[string]struct {
				Version string `json:"version"`
			} `json:"processes"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(status, &s); err != nil {
		return Versions{}, fmt.Errorf("fdb: the cluster's status: %w: %w", store.ErrUnavailable, err)
	}
	var v Versions
	for _, c := range s.Cluster.Clients.Supported {
		if len(c.Connected) > 0 && c.Version != "" && c.Version != "Unknown" {
			v.Client = append(v.Client, c.Version)
		}
	}
	for _, p := range s.Cluster.Processes {
		if p.Version != "" {
			v.Server = append(v.Server, p.Version)
		}
	}
	for _, releases := range []*[]string{&v.Client, &v.Server} {
		slices.Sort(*releases)
		*releases = slices.Compact(*releases)
	}
	return v, nil
}
