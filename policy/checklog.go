package policy

import (
	"fmt"
	"net/url"

	"github.com/trustomize/trustomize/internal/signature"
)

// log checks where statements go, and returns the logs' keys.
func (c *checker) log() []signature.Key {
	l := c.spec.Log
	if l == nil || l.Mode == "" {
		c.fail("spec.log.mode", "not said; want required, spool or none")
		return nil
	}
	logs := l.Mode == LogRequired || l.Mode == LogSpool
	switch {
	case l.Mode == LogNone && len(l.Rekor) > 0:
		c.fail("spec.log.rekor", "a log is named, and the mode is none")
	case logs && len(l.Rekor) != 1:
		c.fail("spec.log.rekor", "want exactly one log, not %d", len(l.Rekor))
	case logs && c.spec.Sign != nil && c.spec.Sign.None:
		c.fail("spec.log.mode", "a statement is logged with a signature, and spec.sign is none")
	}
	var keys []signature.Key
	for i, r := range l.Rekor {
		if key, ok := c.rekor(fmt.Sprintf("spec.log.rekor[%d]", i), r); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *checker) rekor(path string, r Rekor) (signature.Key, bool) {
	if u, err := url.Parse(r.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		c.fail(path+".url", "want an https or http URL, not %q", r.URL)
	}
	if r.Version != 1 && r.Version != 2 {
		c.fail(path+".version", "want 1 or 2, not %d", r.Version)
	}
	if r.PublicKey == nil {
		c.fail(path+".publicKey", "not said; an inclusion proof counts only if this key signed it")
		return signature.Key{}, false
	}
	return c.publicKey(path+".publicKey", r.PublicKey)
}
