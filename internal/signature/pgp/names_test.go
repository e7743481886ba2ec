package pgp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"

	"github.com/trustomize/trustomize/internal/signature"
)

// TestNames holds that the real gpg's keys have the names that they have in other
// encodings, and that a block by two signers is two signatures.
func TestNames(t *testing.T) {
	g := newGnuPG(t)
	for user, algorithm := range map[string]string{"ed@example.com": "ed25519", "rsa@example.com": "rsa2048", "p256@example.com": "nistp256"} {
		g.run(nil, "--quick-generate-key", user, algorithm, "sign", "0")
	}
	r, err := Parse(g.run(nil, "--export"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, k := range r.keys {
		pub := standard(k.public)
		switch pub.(type) {
		case ed25519.PublicKey:
			found["ed"] = true
		case *rsa.PublicKey:
			found["rsa"] = true
		case *ecdsa.PublicKey:
			found["p256"] = true
		}
		if names := namesOf(k.public); len(names) != 2 || names[0] != signature.Names(pub)[0] {
			t.Errorf("%s: %v", k, names)
		}
	}
	if len(found) != 3 {
		t.Errorf("%v", found)
	}
	both := signature.Signature{Kind: signature.PGP, Data: g.run(nil, "--local-user", "ed@example.com", "--local-user", "rsa@example.com", "--armor", "--output", "-", "--detach-sign", "names_test.go")}
	if all := Separate(both); len(all) != 2 {
		t.Errorf("%d signatures", len(all))
	}
	cut := signature.Signature{Kind: signature.PGP, Data: both.Data[:60]}
	if all := Separate(cut); len(all) != 1 {
		t.Errorf("cut short: %d signatures", len(all))
	}
}
