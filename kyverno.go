package trustomize

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/trustomize/trustomize/internal/kyverno"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/policy"
)

// KyvernoPolicy is the ClusterPolicy with which Kyverno enforces the signatures
// that a policy's builds have. The keys, PEM, are those of spec.manifestVerify
// unless some are given.
func KyvernoPolicy(policyFile string, keys []string) ([]byte, error) {
	p, err := ReadPolicy(Request{PolicyFile: policyFile, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	var public []signature.Key
	for _, text := range keys {
		key, err := signature.ParseKey([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		public = append(public, key)
	}
	if len(keys) == 0 {
		public = p.ManifestKeys()
	}
	if len(public) == 0 {
		return nil, refuse(refusal.NoPolicy, "the policy has no key in spec.manifestVerify that counts: nothing says whose signatures of manifests count", "name public keys there, or with --key")
	}
	var o kyverno.Options
	for _, key := range public {
		der, err := x509.MarshalPKIXPublicKey(key.Public)
		if err != nil {
			return nil, err
		}
		o.Keys = append(o.Keys, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	for _, m := range signedBy(p) {
		o.Match = append(o.Match, kyverno.Match{Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name})
	}
	return kyverno.ClusterPolicy(o)
}

// signedBy returns what a policy has signed: by its own sign.match, and by those of
// applications. Where one of them chooses nothing, that stands for itself.
func signedBy(p *policy.Policy) []policy.ResourceMatch {
	signs := []*policy.Sign{p.Spec.Sign}
	for _, a := range p.Spec.Applications {
		signs = append(signs, a.Sign)
	}
	var all []policy.ResourceMatch
	for _, s := range signs {
		switch {
		case s == nil || s.None:
		case len(s.Match) == 0:
			all = append(all, policy.ResourceMatch{})
		default:
			all = append(all, s.Match...)
		}
	}
	return all
}
