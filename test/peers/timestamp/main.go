// Command timestamp serves the API of Sigstore's timestamp authority, with a key
// and a certificate chain of its own in memory. It is timestamp-server serve
// --timestamp-signer=memory but for the server of metrics, whose port is fixed:
// there could be one on a machine.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/spf13/viper"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
)

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1")
	flag.Parse()
	// What timestamp-server's flags have as defaults (cmd/timestamp-server/app/root.go).
	for name, value := range map[string]any{
		"timestamp-signer":      "memory",
		"timestamp-signer-hash": "sha256",
		"max-request-body-size": 1 << 20,
		"default-policy-oid":    "1.3.6.1.4.1.57264.2",
		"accepted-policy-oids":  []string{"1.3.6.1.4.1.57264.2"},
	} {
		viper.Set(name, value)
	}
	s := server.NewRestAPIServer("127.0.0.1", *port, []string{"http"}, false, 30*time.Second, 30*time.Second)
	s.CleanupTimeout = 620 * time.Second // of idle connections
	if err := s.Serve(); err != nil {
		log.Fatal(err)
	}
}
