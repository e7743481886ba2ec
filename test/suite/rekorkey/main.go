// Command rekorkey writes a new Ed25519 key for a Rekor that lives as long as a
// demonstration: rekor.pem (PKCS #8) and rekor.pub, in the present directory.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log"
	"os"
)

func main() {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		log.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		log.Fatal(err)
	}
	write("rekor.pem", "PRIVATE KEY", privateDER, 0o600)
	write("rekor.pub", "PUBLIC KEY", publicDER, 0o644)
}

func write(name, kind string, der []byte, mode os.FileMode) {
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		log.Fatal(err)
	}
}
