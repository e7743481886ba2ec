package sshsig

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// TestEncoding holds the reader to one encoding of each signature.
func TestEncoding(t *testing.T) {
	alice := newEd25519(t)
	a := parse(t, "alice "+authorized(alice.PublicKey()))
	s, err := wire.Sign(bytes.NewReader(message), alice, wire.HashSHA256, NamespaceFile)
	if err != nil {
		t.Fatal(err)
	}
	good := string(wire.Armor(s))
	blob := s.Marshal()
	armour := func(blob []byte) string {
		return armourBegin + "\n" + base64.StdEncoding.EncodeToString(blob) + "\n" + armourEnd + "\n"
	}
	type fields struct {
		Magic                                           [6]byte
		Version                                         uint32
		PublicKey, Namespace, Reserved, Hash, Signature string
	}
	changed := func(change func(*fields)) string {
		var f fields
		if err := ssh.Unmarshal(blob, &f); err != nil {
			t.Fatal(err)
		}
		change(&f)
		return armour(ssh.Marshal(f))
	}
	for name, text := range map[string]string{
		"as written":      good,
		"one line":        armour(blob),
		"no last newline": strings.TrimRight(good, "\n"),
	} {
		if _, err := verify(a, []byte(text), signature.When{Now: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":                 "",
		"armour only":           armourBegin + "\n" + armourEnd,
		"one mark for both":     armourBegin,
		"text before":           "x\n" + good,
		"text behind":           good + "x",
		"a second signature":    good + good,
		"header in the armour":  strings.Replace(good, "\n", "\nVersion: 1\n\n", 1),
		"CRLF":                  strings.ReplaceAll(good, "\n", "\r\n"),
		"begins in the line":    strings.Replace(good, "\n", "", 1),
		"space in the armour":   strings.Replace(good, "\n", "\n ", 1),
		"another armour":        strings.ReplaceAll(good, "SSH SIGNATURE", "PGP SIGNATURE"),
		"no end":                strings.TrimSuffix(good, armourEnd+"\n"),
		"cut short":             armour(blob[:len(blob)-1]),
		"half":                  armour(blob[:len(blob)/2]),
		"a byte too many":       armour(append(bytes.Clone(blob), 0)),
		"magic":                 changed(func(f *fields) { f.Magic[0] = 's' }),
		"version 0":             changed(func(f *fields) { f.Version = 0 }),
		"version 2":             changed(func(f *fields) { f.Version = 2 }),
		"reserved":              changed(func(f *fields) { f.Reserved = "x" }),
		"hash sha1":             changed(func(f *fields) { f.Hash = "sha1" }),
		"hash with a NUL":       changed(func(f *fields) { f.Hash = "sha256\x00" }),
		"key with a tail":       changed(func(f *fields) { f.PublicKey += "x" }),
		"key of a kind unknown": changed(func(f *fields) { f.PublicKey = "\x00\x00\x00\x01\n" }),
		"no key":                changed(func(f *fields) { f.PublicKey = "" }),
		"signature with a tail": changed(func(f *fields) { f.Signature += "x" }),
		"no signature":          changed(func(f *fields) { f.Signature = "" }),
	} {
		_, err := verify(a, []byte(text), signature.When{Now: now})
		if got := reasonOf(t, err); got != signature.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The namespace is signed, and so is the hash's name.
	for name, text := range map[string]string{
		"namespace": changed(func(f *fields) { f.Namespace = NamespaceGit }),
		"hash":      changed(func(f *fields) { f.Hash = "sha512" }),
	} {
		_, err := verify(a, []byte(text), signature.When{Now: now, Git: name == "namespace"})
		if got := reasonOf(t, err); got != signature.Mismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
}
