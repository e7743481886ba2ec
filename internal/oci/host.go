package oci

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Docker Hub's registry has three names. moby's registry/config.go calls them
// IndexName, IndexHostname and DefaultV2Registry; go-containerregistry turns
// the first into the second, and so does [Host] with the third.
const dockerHub = "index.docker.io"

var dockerHubNames = []string{"docker.io", "registry-1.docker.io"}

// dockerHubToken is the token service that Docker Hub's challenges name: the
// example in distribution's docs/spec/auth/token.md,
// realm="https://auth.docker.io/token".
const dockerHubToken = "auth.docker.io"

var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Host returns the one spelling of a registry's host[:port]: lower case, IPv6
// in brackets and shortest form, no port 443, index.docker.io for every name
// of Docker Hub. A loopback address keeps its port: both https and http may be
// spoken there. Policies and credentials are compared with what Host returns.
func Host(host string) (string, error) {
	name, port, err := splitHost(strings.ToLower(host))
	if err != nil {
		return "", err
	}
	if port == "" && !strings.ContainsAny(name, ".:") && name != "localhost" {
		return "", fmt.Errorf("host %q has neither dot nor port: write HOST.DOMAIN or HOST:PORT", host)
	}
	if port == "443" && !isLoopback(name) {
		port = ""
	}
	if port != "" {
		return name + ":" + port, nil
	}
	if slices.Contains(dockerHubNames, name) {
		return dockerHub, nil
	}
	return name, nil
}

func splitHost(host string) (name, port string, err error) {
	name, port, hasPort := host, "", false
	if end := strings.IndexByte(host, ']'); strings.HasPrefix(host, "[") && end > 0 {
		name = host[:end+1]
		if port, hasPort = strings.CutPrefix(host[end+1:], ":"); !hasPort && port != "" {
			return "", "", errors.New("the host is malformed")
		}
	} else {
		name, port, hasPort = strings.Cut(host, ":")
	}
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", errors.New("the host's port is not a number from 1 to 65535")
		}
	}
	name, err = cleanName(name)
	return name, port, err
}

func cleanName(name string) (string, error) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
			return "", fmt.Errorf("host %q is not an IPv6 address without a zone", name)
		}
		return "[" + addr.String() + "]", nil
	}
	if !domainName.MatchString(name) || len(name) > 253 || legacyAddress(name) {
		return "", fmt.Errorf("%q is not a host's name", name)
	}
	return name, nil
}

// legacyAddress recognises what some resolvers take for an IPv4 address and
// others do not, such as 127.1 or 0x7f000001: a last label that is a number,
// as in the URL standard's "ends in a number".
func legacyAddress(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return false
	}
	if _, err := strconv.ParseUint(last, 0, 64); err != nil && strings.Trim(last, "0123456789") != "" {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// hostname is a host without its port and brackets.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// isLoopback reports whether a host, with or without a port, is this machine:
// localhost, 127.0.0.0/8 or ::1. Other names are not looked up.
func isLoopback(host string) bool {
	name := hostname(host)
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// isInternal reports whether a host, with or without a port, is an address
// that means another machine to everyone, or this machine.
func isInternal(host string) bool {
	name := strings.ToLower(hostname(host))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || legacyAddress(name) {
		return true
	}
	addr, err := netip.ParseAddr(name)
	addr = addr.Unmap()
	return err == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast())
}
