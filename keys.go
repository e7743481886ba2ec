package trustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/signer"
)

// privateKey is a signing key that signs resources and statements.
type privateKey interface {
	signer.Maker
	provenance.Signer
	PublicKey() signature.Key
}

// signingKey decides with which key a build is signed. Without one, it says
// why.
func signingKey(req Request, report *Report) (key *policy.SigningKey, unsigned string) {
	sign := report.Policy.Spec.Sign
	switch {
	case req.Dev:
		return nil, "dev build: the directory was taken as it is"
	case sign.None:
		return nil, "the policy says sign: none"
	case len(report.Audited()) > 0:
		return nil, "enforcing the policy would refuse this build"
	case len(report.Graph.Unverified()) == 0:
		return sign.Key, ""
	case sign.UnverifiedKey == nil:
		return nil, "a source passes unverified, and the policy has no sign.unverifiedKey"
	}
	return sign.UnverifiedKey, ""
}

// openKey opens a signing key. By now every child process has ended.
func openKey(ctx context.Context, req Request, report *Report, ref *policy.SigningKey) (privateKey, error) {
	key, err := readKey(ctx, req, report, ref)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if err := notASigner(report.Policy, key.PublicKey()); err != nil {
		return nil, err
	}
	sign := report.Policy.Spec.Sign
	if ref != sign.UnverifiedKey {
		return key, nil
	}
	// Where the other key cannot be opened here, it signs nothing here either.
	if normal, err := readKey(ctx, req, report, sign.Key); err == nil && normal.PublicKey().Fingerprint == key.PublicKey().Fingerprint {
		return nil, errors.New("signing key: spec.sign.unverifiedKey is the key of spec.sign.key; what nobody vouches for must not be signed like the rest")
	}
	return key, nil
}

func notASigner(p *policy.Policy, key signature.Key) error {
	if name, ok := p.SignerOf(key); ok {
		return fmt.Errorf("signing key: it is the key of signer %q as well; with one key for both, built output could pass for a source", name)
	}
	return nil
}

func readKey(ctx context.Context, req Request, report *Report, ref *policy.SigningKey) (privateKey, error) {
	if ref.KMS != "" {
		return signer.OpenKMS(ctx, ref.KMS, req.KMS)
	}
	data := []byte(ref.PEM)
	if ref.File != "" {
		var err error
		if data, err = os.ReadFile(report.Policy.Path(ref.File)); err != nil {
			return nil, err
		}
	}
	password := req.Password
	if ref.Password != nil {
		password = func() ([]byte, error) {
			secret, err := report.Policy.ReadSecret(ref.Password, req.lookupEnv())
			return []byte(secret), err
		}
	}
	return signer.OpenKey(data, password)
}

// keptSignatures keeps signatures in the cache, where the next build finds them.
type keptSignatures struct{ cache *cache.Cache }

const kindMade = "made"

func (k keptSignatures) Get(name string) ([]byte, error) {
	f, err := k.cache.Get(kindMade, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKept))
}

// maxKept bounds a kept signature with its evidence, in bytes.
const maxKept = 4 << 20

func (k keptSignatures) Add(name string, data []byte) ([]byte, error) {
	err := k.cache.PutNew(kindMade, name, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
	if errors.Is(err, os.ErrExist) {
		return k.Get(name)
	}
	return data, err
}

func (k keptSignatures) Remove(name string) { k.cache.Remove(kindMade, name) }
