// Package identity names sources and matches names against rules.
//
// An [Identity] is what policy, mirrors, bindings and provenance call a
// source, whatever URL it was written as:
//
//	host[:port]/repository     https and ssh alike
//	http:host[:port]/repository  plain http, never equal to the above
//	file:/path                 a local directory, or a file:// URL
//	oci:host[:port]/repository   an artifact of a registry, never equal to a git repository
//
// The host is in lower case; scheme, user, default port and one final ".git"
// are gone; percent-encoding is decoded. The rest is bytes: no case folding, no
// Unicode normalisation, so a look-alike is another source.
package identity

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Identity is a source's canonical name. Make one with [New], [File] or
// [Parse]; the zero value names nothing.
type Identity string

// Schemes whose sources never match a rule for another scheme. The empty
// prefix stands for https and ssh.
const (
	httpPrefix = "http:"
	filePrefix = "file:"
	ociPrefix  = "oci:"
)

// New returns the identity of a repository on a host. scheme is "https",
// "ssh", "http" or "oci"; host may carry a port; repository is the URL's path, still
// percent-encoded.
func New(scheme, host, repository string) (Identity, error) {
	prefix, port, err := schemeOf(scheme)
	if err != nil {
		return "", err
	}
	host, err = cleanHost(host, port)
	if err != nil {
		return "", err
	}
	repository, err = cleanRepository(repository)
	if err != nil {
		return "", err
	}
	return Identity(prefix + host + "/" + repository), nil
}

func schemeOf(scheme string) (prefix, defaultPort string, err error) {
	switch scheme {
	case "https":
		return "", "443", nil
	case "ssh":
		return "", "22", nil
	case "http":
		return httpPrefix, "80", nil
	case "oci":
		return ociPrefix, "443", nil
	}
	return "", "", fmt.Errorf("scheme %q names no source", scheme)
}

// File returns the identity of a local directory, given its absolute path,
// which must be clean: what two programs could take for two directories has no
// identity.
func File(dir string) (Identity, error) {
	if !strings.HasPrefix(dir, "/") {
		return "", fmt.Errorf("path %q is not absolute", dir)
	}
	if path.Clean(dir) != dir {
		return "", fmt.Errorf("path %q is not clean: want %q", dir, path.Clean(dir))
	}
	if err := checkText(dir); err != nil {
		return "", fmt.Errorf("path %q: %w", dir, err)
	}
	return Identity(filePrefix + dir), nil
}

// Parse reads an identity as it is written in a policy or a binding. It must
// be in canonical form already: what is compared is what was written.
func Parse(s string) (Identity, error) {
	scheme, rest := split(s)
	if scheme == filePrefix {
		id, err := File(rest)
		return canonical(s, id, err)
	}
	host, repository, ok := strings.Cut(rest, "/")
	if !ok {
		return "", fmt.Errorf("%q names no repository: want host/repository", s)
	}
	// A literal percent sign would be decoded once more.
	repository = strings.ReplaceAll(repository, "%", "%25")
	id, err := New(map[string]string{"": "https", httpPrefix: "http", ociPrefix: "oci"}[scheme], host, repository)
	return canonical(s, id, err)
}

func canonical(s string, id Identity, err error) (Identity, error) {
	if err != nil {
		return "", err
	}
	if string(id) != s {
		return "", fmt.Errorf("%q is not in canonical form: want %q", s, id)
	}
	return id, nil
}

func split(s string) (scheme, rest string) {
	for _, prefix := range []string{httpPrefix, filePrefix, ociPrefix} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return prefix, rest
		}
	}
	return "", s
}

// IsFile reports whether the identity is that of a local directory.
func (id Identity) IsFile() bool { return strings.HasPrefix(string(id), filePrefix) }

// IsHTTP reports whether the identity is that of a plain http source.
func (id Identity) IsHTTP() bool { return strings.HasPrefix(string(id), httpPrefix) }

// IsOCI reports whether the identity is that of an artifact of a registry.
func (id Identity) IsOCI() bool { return strings.HasPrefix(string(id), ociPrefix) }

// URI returns the identity as a URI: https for what https and ssh share.
func (id Identity) URI() string {
	scheme, rest := split(string(id))
	if scheme == filePrefix {
		return (&url.URL{Scheme: "file", Path: rest}).String()
	}
	host, repository, _ := strings.Cut(rest, "/")
	name := map[string]string{"": "https", httpPrefix: "http", ociPrefix: "oci"}[scheme]
	return (&url.URL{Scheme: name, Host: host, Path: "/" + repository}).String()
}

// At returns the identity with a path below the source's root, in the
// notation that rules use: ID//PATH, or ID alone for the root.
func (id Identity) At(p string) string {
	if p == "" || p == "." {
		return string(id)
	}
	return string(id) + "//" + p
}

// cleanHost lower-cases a host, removes its default port, and refuses
// anything that two programs could read differently. Its errors do not repeat
// the host: what is no host may be a password.
func cleanHost(host, defaultPort string) (string, error) {
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.Index(host, "]")
		if end < 0 {
			return "", errors.New("the host has no closing bracket")
		}
		name, port = host[:end+1], host[end+1:]
		if port != "" && port[0] != ':' {
			return "", errors.New("what stands behind the host's bracket is no port")
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i:]
	}
	if name == "" || strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return "", errors.New("the host is not a host name")
	}
	if slices.ContainsFunc([]string{httpPrefix, filePrefix, ociPrefix}, func(prefix string) bool { return strings.EqualFold(name+":", prefix) }) {
		return "", errors.New("the host would read as a scheme")
	}
	for _, c := range []byte(name) {
		if !hostByte(c) {
			return "", fmt.Errorf("the host holds %q, which is not allowed", c)
		}
	}
	if port != "" {
		digits := strings.TrimPrefix(port, ":")
		if !decimal(digits) {
			return "", errors.New("the host's port is not a number from 1 to 65535")
		}
		if digits == defaultPort {
			port = ""
		}
	}
	return strings.ToLower(name) + port, nil
}

func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0
}

// decimal reports whether s is a port number without leading zeros.
func decimal(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// cleanRepository decodes a repository's path and removes slashes at its ends
// and one final ".git".
func cleanRepository(p string) (string, error) {
	decoded, err := url.PathUnescape(p)
	if err != nil {
		return "", fmt.Errorf("the repository: %w", err)
	}
	decoded = strings.TrimSuffix(strings.TrimPrefix(decoded, "/"), "/")
	decoded = strings.TrimSuffix(decoded, ".git")
	if decoded == "" {
		return "", errors.New("the repository is empty")
	}
	if err := checkText(decoded); err != nil {
		return "", err
	}
	for seg := range strings.SplitSeq(decoded, "/") {
		switch {
		case seg == "":
			return "", errors.New("the repository has an empty segment")
		case seg == "." || seg == "..":
			return "", fmt.Errorf("the repository has a segment %q", seg)
		}
	}
	return decoded, nil
}

// checkText refuses characters on which URL parsers disagree. Its error does not
// repeat the text, which may hold a password.
func checkText(s string) error {
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f || strings.IndexByte(`\?#"<>|`, c) >= 0 {
			return fmt.Errorf("the character %q is not allowed", c)
		}
	}
	return nil
}
