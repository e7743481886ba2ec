package trustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/signature/bundle"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/signer"
)

// privateKey is an opened key: it signs resources and statements.
type privateKey struct {
	signer.Maker
	statements provenance.Signer // nil for a keyless one
	public     signature.Key     // the zero value for a keyless one
	keyless    *signer.KeylessMaker
	identity   string // of a keyless one, as in a [signer.File]
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
func openKey(ctx context.Context, req Request, report *Report, ref *policy.SigningKey) (*privateKey, error) {
	o := opener{req, report.Policy}
	key, err := o.open(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if ref != report.Policy.Spec.Sign.UnverifiedKey {
		return key, nil
	}
	for _, other := range report.Policy.VerifiedKeys() {
		if o.is(ctx, other, key) {
			return nil, errors.New("signing key: sign.unverifiedKey is a sign.key as well; what nobody vouches for must not be signed like the rest")
		}
	}
	return key, nil
}

// opener opens the keys that a policy names.
type opener struct {
	req    Request
	policy *policy.Policy
}

// open refuses a key that a signer of sources has too.
func (o opener) open(ctx context.Context, ref *policy.SigningKey) (*privateKey, error) {
	if ref.Keyless != nil {
		return o.keyless(ref.Keyless)
	}
	key, err := o.read(ctx, ref)
	if err != nil {
		return nil, err
	}
	if name, ok := o.policy.SignerOf(key.public); ok {
		return nil, fmt.Errorf("it is the key of signer %q as well; with one key for both, built output could pass for a source", name)
	}
	return key, nil
}

// is reports whether a reference leads to a key. Where it cannot be opened here,
// it signs nothing here either.
func (o opener) is(ctx context.Context, ref *policy.SigningKey, key *privateKey) bool {
	if ref == nil || ref.Keyless != nil || key.keyless != nil {
		return false
	}
	other, err := o.read(ctx, ref)
	return err == nil && other.public.Fingerprint == key.public.Fingerprint
}

func (o opener) read(ctx context.Context, ref *policy.SigningKey) (*privateKey, error) {
	if ref.KMS != "" {
		key, err := signer.OpenKMS(ctx, ref.KMS, o.req.KMS)
		if err != nil {
			return nil, err
		}
		return &privateKey{Maker: key, statements: key, public: key.Public}, nil
	}
	data := []byte(ref.PEM)
	if ref.File != "" {
		var err error
		if data, err = os.ReadFile(o.policy.Path(ref.File)); err != nil {
			return nil, err
		}
	}
	password := o.req.Password
	if ref.Password != nil {
		password = func() ([]byte, error) {
			secret, err := o.policy.ReadSecret(ref.Password, o.req.lookupEnv())
			return []byte(secret), err
		}
	}
	key, err := signer.OpenKey(data, password)
	if err != nil {
		return nil, err
	}
	return &privateKey{Maker: key, statements: key, public: key.Public}, nil
}

// keyless reads whom to ask for certificates, and by whom what they give is
// checked.
func (o opener) keyless(k *policy.KeylessSign) (*privateKey, error) {
	trustedRoot, err := os.ReadFile(o.policy.Path(k.TrustedRoot.File))
	if err != nil {
		return nil, err
	}
	material, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	known, err := bundle.ParseRoot(trustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	trust, err := bundle.NewIdentity(bundle.Identity{Issuer: k.Issuer, Subject: k.Subject, NoSCT: k.SCT == policy.SCTNone}, known)
	if err != nil {
		return nil, err
	}
	config, err := os.ReadFile(o.policy.Path(k.SigningConfig.File))
	if err != nil {
		return nil, err
	}
	services, err := signer.ParseSigningConfig(config, o.req.Now)
	if err != nil {
		return nil, fmt.Errorf("signing configuration: %w", err)
	}
	keyless, err := signer.OpenKeyless(signer.KeylessConfig{
		Services: services, Root: material, Transport: o.req.transport(),
		Token: func(ctx context.Context) (string, error) {
			if k.Token == nil {
				return signer.AmbientToken(ctx, o.req.transport())
			}
			token, err := os.ReadFile(o.policy.Path(k.Token.File))
			return string(token), err
		},
	})
	if err != nil {
		return nil, err
	}
	maker := &signer.KeylessMaker{Keyless: keyless, Trust: trust, Now: o.req.Now}
	return &privateKey{Maker: maker, keyless: maker, identity: fmt.Sprintf("%s (%s)", k.Subject, k.Issuer)}, nil
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

// KeepSignatures has a key that signs at random give the signatures again that it
// gave before, out of the cache.
func KeepSignatures(cacheDir string, m signer.Maker) (signer.Maker, error) {
	if m.Deterministic() {
		return m, nil
	}
	store, err := cache.Open(cacheDir)
	if err != nil {
		return nil, err
	}
	return signer.Keep(m, keptSignatures{store}), nil
}
