package gitobject

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Signed is a signed commit or tag, taken apart.
type Signed struct {
	Payload   []byte    // what the signature covers
	Signature []byte    // armoured
	When      time.Time // of the committer or the tagger, by their own word; zero if it does not say
}

// MaxSigned is the size in bytes over which a commit or tag is not verified. Its
// message is hashed for every signature.
const MaxSigned = 1 << 20

// ErrUnsigned says that a commit or tag carries no signature.
var ErrUnsigned = errors.New("is not signed")

// signatureHeaders are the commit headers that hold signatures: of ids made
// with SHA-1, and with SHA-256 (git's documentation, "signature-format" and
// "hash-function-transition"). What a signature covers has neither of them.
var signatureHeaders = map[int]string{40: "gpgsig", 64: "gpgsig-sha256"}

// SignedCommit takes a commit apart. digits is the length of the repository's
// ids. The commit's bytes were hashed before.
func SignedCommit(data []byte, digits int) (Signed, error) {
	if len(data) > MaxSigned {
		return Signed{}, fmt.Errorf("is of a commit of %d bytes, more than the %d allowed", len(data), MaxSigned)
	}
	var s Signed
	var payload, sig bytes.Buffer
	header, body, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		header, body = bytes.TrimSuffix(data, []byte("\n")), nil
	}
	current, signatures := "", 0
	for line := range bytes.Lines(append(bytes.Clone(header), '\n')) {
		name, rest, _ := bytes.Cut(line, []byte(" "))
		if len(name) > 0 {
			current = string(name)
			if current == signatureHeaders[digits] {
				signatures++
			}
			if current == "committer" {
				s.When = timeOf(rest)
			}
		}
		switch {
		case current == signatureHeaders[digits]:
			sig.Write(rest) // a continuation's space is not part of it
		case current != signatureHeaders[40] && current != signatureHeaders[64]:
			payload.Write(line)
		}
	}
	switch {
	case signatures == 0:
		return Signed{}, ErrUnsigned
	case signatures > 1:
		return Signed{}, errors.New("carries several signatures in headers of one name")
	}
	payload.WriteByte('\n')
	payload.Write(body)
	s.Payload, s.Signature = payload.Bytes(), sig.Bytes()
	return s, nil
}

// timeOf reads the time behind a committer's or tagger's name and address:
// seconds since 1970 and a zone, which says nothing of the moment.
func timeOf(ident []byte) time.Time {
	fields := strings.Fields(string(ident[bytes.LastIndexByte(ident, '>')+1:]))
	if len(fields) != 2 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// Tag is an annotated tag.
type Tag struct {
	Commit string // that it points to
	Name   string // without refs/tags/
	Signed
}

// tagBegins are the first lines of signatures at a tag's end.
var tagBegins = []string{"-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "-----BEGIN SSH SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----"}

// SignedTag takes a tag of a commit apart. A tag of anything else, or with
// headers that git would not write, is an error.
func SignedTag(data []byte, digits int) (Tag, error) {
	if len(data) > MaxSigned {
		return Tag{}, fmt.Errorf("is of a tag of %d bytes, more than the %d allowed", len(data), MaxSigned)
	}
	header, _, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(header, "\n")
	if !found || len(lines) < 4 {
		return Tag{}, errors.New("is not a whole tag")
	}
	var t Tag
	var values [4]string
	for i, name := range []string{"object", "type", "tag", "tagger"} {
		value, ok := strings.CutPrefix(lines[i], name+" ")
		if !ok {
			return Tag{}, fmt.Errorf("has no %s where one belongs", name)
		}
		values[i] = value
	}
	t.Commit, t.Name = values[0], values[2]
	if values[1] != "commit" || !IsID(t.Commit) || len(t.Commit) != digits {
		return Tag{}, errors.New("is not a tag of a commit")
	}
	if len(lines) > 4 {
		return Tag{}, errors.New("has headers besides object, type, tag and tagger")
	}
	begin := signatureBegin(data)
	if begin == len(data) {
		return Tag{}, ErrUnsigned
	}
	t.Payload, t.Signature, t.When = data[:begin], data[begin:], timeOf([]byte(values[3]))
	return t, nil
}

// signatureBegin is where the last signature of a tag begins, as git finds it:
// at the beginning of a line. What stands before is what it covers.
func signatureBegin(data []byte) int {
	begin, at := len(data), 0
	for line := range bytes.Lines(data) {
		for _, text := range tagBegins {
			if bytes.HasPrefix(line, []byte(text)) {
				begin = at
			}
		}
		at += len(line)
	}
	return begin
}

// CheckedTag reads a tag object and hashes it.
func CheckedTag(store Store, id string) ([]byte, error) {
	kind, data, err := store.Object(id, maxMeta)
	if err != nil {
		return nil, err
	}
	if kind != "tag" {
		return nil, &Error{id, "is a " + kind + " where a tag is wanted"}
	}
	return data, Check(id, kind, data)
}
