// Package signature recognises detached signatures by their content and says
// what it takes to verify one.
//
// A [Trust] is whose signatures count: a public key here, a PGP key ring, a list
// of SSH principals or an identity in the packages below this one. What comes
// with a signature, such as a key or a certificate, is evidence and never trust.
// Success is [Evidence]: which key, in whose hands, made which kind of signature
// over which bytes. Verification opens no file and no connection.
//
// Whether an expired key, or one that the operator revoked, still counts is not
// decided here: the evidence says when a key expires and when the signature was
// made, and by whose word.
package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxSize is the size in bytes over which a file of signatures is not read. A
// Sigstore bundle with certificate, timestamps and inclusion proof has about
// 10 KiB.
const MaxSize = 1 << 20

// MaxSignatures is how many signatures one file may hold, and how many beside
// one list are looked at.
const MaxSignatures = 16

// Kind is a signature's format.
type Kind string

// The formats that are recognised.
const (
	Raw          Kind = "raw"           // base64 of a signature's bytes, as cosign sign-blob and openssl write it
	PGP          Kind = "pgp"           // an OpenPGP detached signature (RFC 9580), armoured or binary
	SSH          Kind = "ssh"           // an SSHSIG (OpenSSH's PROTOCOL.sshsig), armoured
	Bundle       Kind = "bundle"        // a Sigstore bundle
	LegacyBundle Kind = "legacy-bundle" // a bundle of cosign before version 2.4
	CMS          Kind = "cms"           // a CMS signature (RFC 5652), as gitsign writes it into commits
)

// Signature is one detached signature.
type Signature struct {
	Kind Kind
	Data []byte // as it stands in its file
}

// Trust is whose signatures count. Implementations are safe for concurrent
// use.
type Trust interface {
	// Verify checks that a signature over the message was made by somebody
	// who is trusted. The error is an *[Error], which says why it does not
	// count.
	Verify(sig Signature, message []byte, when When) (Evidence, error)

	// String describes the trust for people, in a few words without a
	// newline: a fingerprint, a name, an issuer and a subject.
	String() string

	// Keys are the keys that are trusted, where they are known beforehand.
	Keys() []KeyInfo
}

// When is what a verification needs to know of the time and of its purpose.
type When struct {
	Now time.Time

	// Claimed is when the signature was made by the signer's own word, for
	// kinds whose signatures do not tell: a commit's date. Zero is unknown.
	Claimed time.Time

	// Git says that a commit or a tag was signed, not a file. SSH keeps the
	// two apart by namespace.
	Git bool
}

// KeyInfo is a key that is trusted beforehand.
type KeyInfo struct {
	Fingerprint string
	Also        []string  // other names of the same key, see [Names]
	Holder      string    // who holds it, where the trust says so: a PGP user, SSH principals
	NotBefore   time.Time // zero: always
	Expires     time.Time // zero: never
}

// Evidence is what a successful verification proves.
type Evidence struct {
	Kind Kind

	// Fingerprint names the key that signed. A public key's is "sha256:" and
	// the SHA-256 of its SubjectPublicKeyInfo in hexadecimal, a PGP key's "pgp:"
	// and its fingerprint in lower-case hexadecimal (the key's own, of a subkey
	// as well), an SSH key's what ssh-keygen -l prints, "SHA256:" and base64.
	Fingerprint string

	// Also are other names of the same key, as [Names] gives them: one key may
	// be trusted in several encodings.
	Also []string

	// Above are the fingerprints of the keys that vouch for this one: a
	// subkey's primary key, a certificate's authority. Revoking one of them
	// revokes this one.
	Above []string

	Identity   string // in whose hands the key was: certificate subject, PGP user, SSH principal
	Issuer     string // who vouches for a keyless identity, an OIDC issuer's URL
	Repository string // that a CI's certificate names, as a URL; "" for other identities

	Digest string // "sha256:" and the SHA-256 of the signed bytes

	// Expires is when the key's own validity ends or ended; zero is never. For
	// a certificate that a log or a timestamp authority showed to have been
	// valid, it is zero.
	Expires time.Time

	Claimed time.Time // when it was made, by the signer's own word; zero is unknown
	Proven  time.Time // the same, by the word of a log or a timestamp authority that is trusted; zero is unproven
}

// Reason is why a signature does not count. Greater ones tell more: of several,
// the greatest is what to tell a person.
type Reason int

// The reasons.
const (
	OtherKind Reason = iota // a kind of signature that this trust does not make
	Stranger                // made by somebody else, or for another purpose
	Mismatch                // does not verify over these bytes
	Malformed               // cannot be read
	Unproven                // a certificate, or the time of a signature, lacks the proof that is wanted
	Expired                 // the key was not valid when it should have been
	Revoked                 // the key is revoked by its own holder
)

// Error says why a signature does not count.
type Error struct {
	Reason Reason
	Text   string // without a newline
	By     string // of a stranger: who made it, as far as the signature says
}

func (e *Error) Error() string { return e.Text }

// Errorf makes an [Error].
func Errorf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// DigestOf returns "sha256:" and the SHA-256 of the message in hexadecimal.
func DigestOf(message []byte) string {
	sum := sha256.Sum256(message)
	return "sha256:" + hex.EncodeToString(sum[:])
}

const (
	pgpBegin, pgpEnd = "-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----"
	sshBegin, sshEnd = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
	cmsBegin, cmsEnd = "-----BEGIN SIGNED MESSAGE-----", "-----END SIGNED MESSAGE-----"
)

var armours = []struct {
	kind       Kind
	begin, end string
}{{PGP, pgpBegin, pgpEnd}, {SSH, sshBegin, sshEnd}, {CMS, cmsBegin, cmsEnd}}

// Split reads a file of signatures: one signature of any kind, or several one
// behind the other where these are armoured or base64 on one line each. Every
// part of the file must belong to a signature.
func Split(file []byte) ([]Signature, error) {
	switch {
	case len(file) > MaxSize:
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(file), MaxSize)
	case len(bytes.TrimSpace(file)) == 0:
		return nil, errors.New("is empty")
	case isPGPPacket(file[0]):
		return []Signature{{PGP, file}}, nil
	}
	var all []Signature
	for rest := trimStart(file); len(rest) > 0; rest = trimStart(rest) {
		one, n, err := first(rest)
		if err != nil {
			return nil, err
		}
		if all = append(all, one); len(all) > MaxSignatures {
			return nil, fmt.Errorf("holds more than %d signatures", MaxSignatures)
		}
		rest = rest[n:]
	}
	return all, nil
}

func trimStart(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// isPGPPacket tells a binary signature packet (RFC 9580, 4.2: type 2, in the
// old or the new format) from text: its first byte is not ASCII.
func isPGPPacket(b byte) bool { return b&0xfc == 0x88 || b == 0xc2 }

// first reads the signature at the beginning of text and returns its length.
func first(text []byte) (Signature, int, error) {
	for _, a := range armours {
		if !bytes.HasPrefix(text, []byte(a.begin)) {
			continue
		}
		end := bytes.Index(text, []byte("\n"+a.end))
		if end < 0 {
			return Signature{}, 0, fmt.Errorf("is cut short: there is no %s", a.end)
		}
		end += 1 + len(a.end)
		return Signature{a.kind, text[:end]}, end, nil
	}
	if text[0] == '{' {
		kind, err := recognizeJSON(text)
		return Signature{kind, text}, len(text), err
	}
	line, n := rawText(text)
	one := Signature{Raw, line}
	if _, err := decodeRaw(one.Data); err != nil {
		return Signature{}, 0, errors.New("is no signature that is known: not base64, PGP, SSH or a Sigstore bundle")
	}
	return one, n, nil
}

// rawText returns the base64 at the beginning of text and its length there. A
// line of 64 or 76 columns is one that openssl or base64 has wrapped, and goes on
// in the next: no signature is that long by itself.
func rawText(text []byte) (joined []byte, n int) {
	for n < len(text) {
		line, _, _ := bytes.Cut(text[n:], []byte("\n"))
		n += min(len(line)+1, len(text)-n)
		line = bytes.TrimRight(line, " \t\r")
		joined = append(joined, line...)
		if len(line) != 64 && len(line) != 76 {
			break
		}
	}
	return joined, n
}

func recognizeJSON(data []byte) (Kind, error) {
	var probe struct {
		MediaType       string `json:"mediaType"`
		Base64Signature string `json:"base64Signature"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return "", fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	switch {
	case probe.MediaType != "":
		return Bundle, nil
	case probe.Base64Signature != "":
		return LegacyBundle, nil
	}
	return "", errors.New("is JSON, and no Sigstore bundle")
}

func decodeRaw(text []byte) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err == nil && len(raw) == 0 {
		err = errors.New("empty")
	}
	return raw, err
}

// Names are what the evidence's signer may be known by: the key under all its
// names; the identity, where certificates say who holds a key and anybody can have
// several; the primary key of a subkey. Two signatures that share a name are one
// signer's.
func (e Evidence) Names() []string {
	names := append([]string{e.Fingerprint}, e.Also...)
	switch {
	case e.Issuer != "":
		names = append(names, e.Issuer+" "+e.Identity)
	case e.Kind == SSH && len(e.Above) > 0:
		names = append(names, e.Above[0]+" "+e.Identity)
	case e.Kind == PGP:
		names = append(names, e.Above...)
	}
	return names
}
