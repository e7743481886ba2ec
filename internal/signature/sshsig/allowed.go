// Package sshsig trusts the signers of an OpenSSH allowed_signers file.
//
// # The file
//
// It is what ssh-keygen(1) describes under ALLOWED SIGNERS: lines of
//
//	principals [options] keytype base64 [comment]
//
// Principals are a comma-separated list of patterns, in which * stands for any
// text, ? for any byte, and a leading ! takes what it matches out; in double
// quotes they may contain spaces. Options are cert-authority, namespaces="...",
// valid-after="..." and valid-before="...", each once, separated by commas.
// Times are YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without a final Z.
// All are UTC: where ssh-keygen takes a time without Z to be local, this package
// must not let the machine's time zone decide. Empty lines and those that begin
// with # say nothing.
//
// Where ssh-keygen skips a line that it cannot read, the whole file is refused
// here, with the line's number.
//
// # What counts
//
// A signature is an SSHSIG (OpenSSH's PROTOCOL.sshsig) in its armour, in
// namespace "file" for files and "git" for commits and tags, over SHA-256 or
// SHA-512. The key that it carries must equal one of the file's. A line with
// cert-authority accepts user certificates (PROTOCOL.certkeys) of that
// authority and nothing else, one without accepts no certificates.
//
// Verdicts are those of `ssh-keygen -Y verify`, or stricter: RSA keys have at
// least 2048 bits, no SHA-1 (in an authority's signature neither), a security
// key must have been touched (PROTOCOL.u2f: user presence), a certificate with
// any critical option is refused, and a key is no longer valid at the second
// that its valid-before names.
package sshsig

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// Namespaces of signatures, as ssh-keygen(1) and git have them.
const (
	NamespaceFile = "file"
	NamespaceGit  = "git"
)

// MaxFileSize is the size in bytes over which an allowed_signers file is
// refused. A line has about 100 bytes.
const MaxFileSize = 1 << 20

// Allowed is a [signature.Trust]: the keys and certificate authorities of an
// allowed_signers file, or those of some of its principals.
type Allowed struct {
	lines []*line
}

// Parse reads an allowed_signers file. Where principals are named, a line
// counts only for those of them that it matches, as for ssh-keygen's -I; they
// are names, not patterns, and each must be matched by a line.
func Parse(allowedSigners []byte, principals []string) (*Allowed, error) {
	switch {
	case len(allowedSigners) > MaxFileSize:
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(allowedSigners), MaxFileSize)
	case bytes.Contains(allowedSigners, []byte("PRIVATE KEY")):
		return nil, errors.New("holds a private key; signers are named by their public keys")
	}
	lines, err := parseLines(string(allowedSigners))
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, errors.New("names no signer")
	}
	if len(principals) > 0 {
		if lines, err = limit(lines, principals); err != nil {
			return nil, err
		}
	}
	return &Allowed{lines}, nil
}

func parseLines(text string) ([]*line, error) {
	var lines []*line
	number := 0
	for raw := range strings.Lines(text) {
		number++
		raw = strings.Trim(strings.TrimRight(raw, "\r\n"), blanks)
		if raw == "" || raw[0] == '#' {
			continue
		}
		l, err := parseLine(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// limit keeps the lines that match one of the names, and notes which.
func limit(lines []*line, names []string) ([]*line, error) {
	for i, name := range names {
		switch {
		case name == "" || !printable(name):
			return nil, fmt.Errorf("principal %q is no name", name)
		case strings.ContainsAny(name, "*?!,"):
			return nil, fmt.Errorf("principal %q is a pattern, where a name is wanted", name)
		case slices.Contains(names[:i], name):
			return nil, fmt.Errorf("principal %q is named twice", name)
		}
		found := false
		for _, l := range lines {
			if l.principals.match(name) {
				l.names, found = append(l.names, name), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no line is for principal %q", name)
		}
	}
	return slices.DeleteFunc(lines, func(l *line) bool { return len(l.names) == 0 }), nil
}

// Keys returns the keys and the authorities' keys.
func (a *Allowed) Keys() []signature.KeyInfo {
	var all []signature.KeyInfo
	for _, l := range a.lines {
		holder := shorten(l.holder())
		if l.authority {
			holder = "certificate authority for " + holder
		}
		all = append(all, signature.KeyInfo{
			Fingerprint: ssh.FingerprintSHA256(l.key), Also: namesOf(l.key), Holder: holder, NotBefore: l.notBefore, Expires: l.expires,
		})
	}
	return all
}

// maxNamed is how many principals String names.
const maxNamed = 3

func (a *Allowed) String() string {
	var holders []string
	for _, l := range a.lines {
		if h := shorten(l.holder()); !slices.Contains(holders, h) {
			holders = append(holders, h)
		}
	}
	if more := len(holders) - maxNamed; more > 0 {
		return fmt.Sprintf("SSH %s and %d more", strings.Join(holders[:maxNamed], ", "), more)
	}
	return "SSH " + strings.Join(holders, ", ")
}

// maxShown is how many bytes of a text are shown that others wrote.
const maxShown = 100

func shorten(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "..."
}

// detail is the text of an error of x/crypto's, which may quote what it read.
func detail(err error) string {
	if text := shorten(err.Error()); printable(text) {
		return text
	}
	return "it holds what cannot be printed"
}
