package sshsig

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the smallest RSA modulus that is accepted (NIST SP 800-131A).
const minRSABits = 2048

// algorithms are the signature algorithms that are accepted of each type of
// key, the preferred one first (RFC 5656, 8332 and 8709, PROTOCOL.u2f). RSA
// with SHA-1, "ssh-rsa", is not.
var algorithms = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// isKeyType tells a key's type from options. Types that are refused are told
// as well, so that it can be said why: DSA and certificates.
func isKeyType(field string) bool {
	return algorithms[field] != nil || field == "ssh-dss" || strings.HasSuffix(field, "-cert-v01@openssh.com")
}

// CheckKey checks that a key is of a kind that is accepted: Ed25519 or ECDSA
// on P-256, P-384 or P-521, Ed25519 or ECDSA in a security key, RSA of at least
// 2048 bits. A certificate is no key.
func CheckKey(key ssh.PublicKey) error {
	if _, is := key.(*ssh.Certificate); is {
		return fmt.Errorf("is a certificate (%s), where a key is wanted", key.Type())
	}
	if algorithms[key.Type()] == nil {
		return fmt.Errorf("a key of type %s is not accepted", key.Type())
	}
	if key.Type() != ssh.KeyAlgoRSA {
		return nil
	}
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return fmt.Errorf("an RSA key of type %T is not accepted", key)
	}
	n := public.CryptoPublicKey().(*rsa.PublicKey).N
	if n.Sign() <= 0 || n.BitLen() < minRSABits {
		return fmt.Errorf("RSA key has %d bits, fewer than the %d required", n.BitLen(), minRSABits)
	}
	return nil
}

// Algorithm returns the signature algorithm to sign with, for a key that
// [CheckKey] accepts.
func Algorithm(key ssh.PublicKey) string { return algorithms[key.Type()][0] }

// checkAlgorithm checks that a signature is made the way that the key's type
// allows, and carries nothing besides.
func checkAlgorithm(key ssh.PublicKey, sig *ssh.Signature) error {
	if want := algorithms[key.Type()]; !slices.Contains(want, sig.Format) {
		return fmt.Errorf("algorithm %q is not accepted of a key of type %s; want one of %q", shorten(sig.Format), key.Type(), want)
	}
	if want := skFields(key); len(sig.Rest) != want {
		return fmt.Errorf("has %d bytes behind the signature's own, want %d", len(sig.Rest), want)
	}
	return nil
}

// skFields is how many bytes follow a security key's signature: flags and a
// counter (PROTOCOL.u2f).
func skFields(key ssh.PublicKey) int {
	if t := key.Type(); t == ssh.KeyAlgoSKED25519 || t == ssh.KeyAlgoSKECDSA256 {
		return 5
	}
	return 0
}

// userPresent is the flag of a touched security key (PROTOCOL.u2f).
const userPresent = 1

// untouched reports whether a security key signed on its own.
func untouched(key ssh.PublicKey, sig *ssh.Signature) bool {
	return skFields(key) > 0 && sig.Rest[0]&userPresent == 0
}
