package httpnet

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/kelpie-registry/kelpie/network"
)

// nameBytes are the bytes of host names, zones and a prefix's parts.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// maxHost is the length limit of a DNS name (RFC 1035, section 2.3.4).
const maxHost = 253

// checkAddress returns an error that wraps ErrUnknownAddress unless a is a
// "host:port" that can be called: a DNS name or an IP address (IPv6 in
// brackets) and a port from 1 to 65535 in decimal.
func checkAddress(a network.Address) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: %q: %s", network.ErrUnknownAddress, clip(string(a)), why)
	}
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return bad("the form is host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return bad("the port is not a number from 1 to 65535")
	}
	if strings.HasPrefix(string(a), "[") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() || strings.Trim(ip.Zone(), nameBytes) != "" {
			return bad("the host in brackets is not an IPv6 address")
		}
		return nil
	}
	switch {
	case host == "":
		return bad("the host is empty")
	case len(host) > maxHost:
		return bad(fmt.Sprintf("the host has %d bytes, at most %d are allowed", len(host), maxHost))
	case strings.Trim(host, nameBytes) != "":
		return bad("the host has a byte that is not allowed")
	}
	return nil
}

// clip shortens text for an error message.
func clip(s string) string { return clipTo(s, 300) }

// clipTo shortens text to most bytes.
func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// callURL returns where a method is called. The zone of an IPv6 address, behind
// '%', is escaped in a URL (RFC 6874).
func callURL(scheme string, to network.Address, prefix, method string) string {
	return scheme + "://" + strings.Replace(string(to), "%", "%25", 1) + methodPath(prefix, method)
}

// methodPath returns the escaped path of a method: no method reads as another
// or leaves the prefix.
func methodPath(prefix, method string) string {
	return "/" + prefix + "/" + url.PathEscape(method)
}

// methodOf is the inverse of methodPath. It reports false for a path that
// methodPath does not print.
func methodOf(prefix, escapedPath string) (string, bool) {
	rest, ok := strings.CutPrefix(escapedPath, "/"+prefix+"/")
	if !ok || len(rest) > 3*MaxMethod {
		return "", false
	}
	method, err := url.PathUnescape(rest)
	if err != nil || len(method) > MaxMethod || url.PathEscape(method) != rest {
		return "", false
	}
	return method, true
}
