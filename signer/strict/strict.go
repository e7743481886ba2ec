// Package strict verifies signed resources, as files and as a cluster has them,
// and finds every difference between what was signed and what is there.
//
// Verifiers that read the same annotations compare loosely: they ignore whole
// families of names, take nothing for the same as an empty list, and do not look
// at the namespace. Here every field counts at its exact path, and an empty or
// null value is one. Left out are exactly the fields that an API server or ArgoCD
// sets ([ServerFields]), tracking only at the value that it should have. What an
// API server fills in by default is accepted value by value, as package
// apidefaults explains it; or its own dry run of the signed resource is what the
// live one is held against.
package strict

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

// Verifier says whose signatures count, and where resources should belong. Its
// zero fields ask nothing.
type Verifier struct {
	Trust []signature.Trust // alternatives; without any, no signature counts
	Now   time.Time

	// Origin is where resources must come from and go to: those of its fields
	// that are set.
	Origin signer.Origin

	// Installation is the installation id of the ArgoCD whose resources these
	// are, where it has one.
	Installation string

	// BeforeApply says that the resources are in no cluster yet: nothing in them is an
	// API server's own choice.
	BeforeApply bool

	// Image are the resources of a manifest image whose signature counts, and
	// ImageSigner who made it. They are what was signed of resources that carry no
	// signature themselves.
	Image       []Object
	ImageSigner string

	// DryRun returns what an API server would make of the signed object in the
	// live one's place. Nil compares offline, with the server's known defaults.
	DryRun func(ctx context.Context, signed, live map[string]any) (map[string]any, error)
}

// Verdict is what was found about one resource.
type Verdict struct {
	Resource string // GROUP/VERSION/KIND/NAMESPACE/NAME as [signer.Name] has it

	// Signer is the key's fingerprint, or the identity; "" while no signature
	// counts.
	Signer string

	Origin *signer.Origin // as signed; nil where nothing is said
	Digest string         // SHA-256 of the signed message, hexadecimal
	Size   int            // of the message that it carries, in bytes
	Secret bool           // its message was made again from the resource

	outline string // of a Secret: SHA-256 of its [signer.SecretOutline]
	plain   string // SHA-256 of the YAML of a resource that carries no signature and is no Secret; as an image has it, if one does

	Refusals  []*refusal.Refusal
	Explained []Explained
	Failure   error // why nothing can be said
}

// Explained is a difference that is not held against a resource.
type Explained struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

// OK reports whether the resource is as it was signed.
func (v *Verdict) OK() bool { return len(v.Refusals) == 0 && v.Failure == nil }

// Name names a resource as [signer.Name] does.
func Name(o map[string]any) string {
	namespace, name := text(o, "metadata", "namespace"), text(o, "metadata", "name")
	if namespace == "" {
		namespace = "-"
	}
	if name == "" {
		if generate := text(o, "metadata", "generateName"); generate != "" {
			name = generate + "*"
		}
	}
	return refusal.Printable(strings.Join([]string{text(o, "apiVersion"), text(o, "kind"), namespace, name}, "/"))
}

// Verify checks one resource. It changes nothing in it.
func (v *Verifier) Verify(ctx context.Context, live Object) *Verdict {
	c := &check{Verifier: v, verdict: &Verdict{Resource: Name(live)}, live: live}
	c.run(ctx)
	return c.verdict
}

// Differences compares a resource with the message that it carries, whoever signed
// that, and returns what differs and the message's origin.
func Differences(o Object) ([]*refusal.Refusal, signer.Origin) {
	c := &check{Verifier: &Verifier{}, verdict: &Verdict{Resource: Name(o)}, live: o}
	carried, err := signer.CarriedIn(texts(o, "metadata", "annotations"))
	if err != nil {
		c.refuse(refusal.Malformed, "", err.Error())
	} else if c.message(carried.Message) && c.origin(c.signed) {
		c.compare(context.Background())
	}
	if c.verdict.Origin == nil {
		return c.verdict.Refusals, signer.Origin{}
	}
	return c.verdict.Refusals, *c.verdict.Origin
}

// check is the verification of one resource.
type check struct {
	*Verifier
	verdict *Verdict
	live    Object
	signed  map[string]any // what was signed
}

func (c *check) refuse(code refusal.Code, field, reason string, hints ...string) *refusal.Refusal {
	r := &refusal.Refusal{Code: code, Source: c.verdict.Resource, File: field, Reason: reason, Hints: hints}
	c.verdict.Refusals = append(c.verdict.Refusals, r)
	return r
}

func (c *check) run(ctx context.Context) {
	carried, err := signer.CarriedIn(texts(c.live, "metadata", "annotations"))
	switch {
	case errors.Is(err, signer.ErrUnsigned) && c.inImage():
		c.verdict.Signer = c.ImageSigner
		if c.origin(c.signed) {
			c.compare(ctx)
		}
		return
	case errors.Is(err, signer.ErrUnsigned):
		c.verdict.plain = plain(c.live)
		c.own(c.live)
		c.refuse(refusal.Unsigned, "", "carries no signature", "apply it as trustomize printed it; what is left out of sign.match has none")
		return
	case err != nil:
		c.refuse(refusal.Malformed, "", err.Error())
		return
	}
	if c.verdict.Size = len(carried.Message); carried.Message == nil {
		c.secret(carried)
		return
	}
	if !c.signature(carried.Signatures, carried.Message) || !c.message(carried.Message) || !c.origin(c.signed) {
		return
	}
	if text(c.signed, "kind") == "Secret" {
		outline, err := signer.SecretOutline(deepCopy(c.signed).(map[string]any))
		if err != nil {
			c.refuse(refusal.Malformed, "", err.Error())
			return
		}
		c.verdict.outline = signature.DigestOf(outline)[len("sha256:"):]
	}
	c.compare(ctx)
}

// inImage takes what the manifest image says of the resource for what was signed.
func (c *check) inImage() bool {
	found := c.pick(c.Image)
	if found == nil {
		return false
	}
	c.signed = deepCopy(found).(map[string]any)
	if metadata := c.signed["metadata"].(map[string]any); metadata["annotations"] != nil {
		annotations, _ := metadata["annotations"].(map[string]any)
		maps.DeleteFunc(annotations, func(name string, _ any) bool { return signer.IsSignature(name) })
		if len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	// Which build it is of, the statement says by what the image has.
	if carried, err := signer.CarriedIn(texts(found, "metadata", "annotations")); err == nil && carried.Message != nil {
		c.verdict.Digest = signature.DigestOf(carried.Message)[len("sha256:"):]
	} else {
		c.verdict.plain = plain(c.signed)
	}
	return true
}

// plain is the digest of an unsigned resource's YAML, as a statement has it.
func plain(o Object) string {
	if text(o, "kind") == "Secret" {
		return ""
	}
	data, err := json.Marshal(o)
	if err != nil {
		return ""
	}
	printed, err := yaml.JSONToYAML(data)
	if err != nil {
		return ""
	}
	return signature.DigestOf(printed)[len("sha256:"):]
}

// signature looks for a signature that counts.
func (c *check) signature(signatures []signer.Signature, message []byte) bool {
	evidence, err := c.counts(signatures, message)
	if err != nil {
		code := refusal.BadSignature
		var why *signature.Error
		if errors.As(err, &why) {
			code = cmp.Or(codes[why.Reason], code)
		}
		c.refuse(code, "", err.Error(), "its message is signed with none of the keys that were given")
		return false
	}
	c.verdict.Signer, c.verdict.Digest = signerOf(evidence), evidence.Digest[len("sha256:"):]
	return true
}

// codes are those of reasons that say more than that a signature does not fit.
var codes = map[signature.Reason]refusal.Code{
	signature.Stranger: refusal.WrongSigner, signature.Expired: refusal.Expired, signature.Revoked: refusal.Revoked,
}

func signerOf(e signature.Evidence) string {
	if e.Identity != "" {
		return e.Identity + " (" + e.Issuer + ")"
	}
	return e.Fingerprint
}

// counts returns the evidence of the first signature that somebody who is
// trusted made, or the error that tells most.
func (c *check) counts(signatures []signer.Signature, message []byte) (signature.Evidence, error) {
	var most error = &signature.Error{Reason: signature.Mismatch, Text: "no signature counts: nobody is trusted"}
	greatest := signature.Reason(-1)
	for _, one := range signatures {
		for _, trust := range c.Trust {
			evidence, err := trust.Verify(detached(one), message, signature.When{Now: c.Now})
			if err == nil && !evidence.Expires.IsZero() && !c.Now.Before(evidence.Expires) {
				err = signature.Errorf(signature.Expired, "is by key %s, which expired on %s", evidence.Fingerprint, evidence.Expires.UTC().Format(time.DateOnly))
			}
			if err == nil {
				return evidence, nil
			}
			var why *signature.Error
			if errors.As(err, &why) && why.Reason > greatest {
				greatest, most = why.Reason, fmt.Errorf("its signature %w", err)
			}
		}
	}
	return signature.Evidence{}, most
}

// detached is a signature as it would lie in a file. Nothing but bundles counts as one:
// who signs files with PGP or SSH keys has not signed resources.
func detached(s signer.Signature) signature.Signature {
	if s.Bundle != nil {
		if all, err := signature.Split(s.Bundle); err == nil && len(all) == 1 && (all[0].Kind == signature.Bundle || all[0].Kind == signature.LegacyBundle) {
			return all[0]
		}
	}
	return signature.Signature{Kind: signature.Raw, Data: base64Of(s.Raw)}
}

// message reads what was signed, after its signature verified.
func (c *check) message(message []byte) bool {
	yaml, err := signer.Unarchive(message)
	if err != nil {
		c.refuse(refusal.Malformed, "", err.Error())
		return false
	}
	objects, err := Read(yaml)
	if err != nil {
		c.refuse(refusal.Malformed, "", "the signed message: "+err.Error())
		return false
	}
	if c.signed = c.pick(objects); c.signed == nil {
		c.refuse(refusal.Changed, "", fmt.Sprintf("the signed message is of %s, and not of this resource", named(objects)),
			"ask for the version that was signed, such as kubectl get deployments.v1.apps")
		return false
	}
	for name := range texts(c.signed, "metadata", "annotations") {
		if signer.IsSignature(name) {
			c.refuse(refusal.Malformed, "", "the signed message holds a signature itself")
			return false
		}
	}
	return true
}

// pick returns the one object of a message that can be the live one. Ours hold
// one; kubectl-sigstore's all that were signed together.
func (c *check) pick(objects []Object) map[string]any {
	var found map[string]any
	for _, o := range objects {
		namespace := text(o, "metadata", "namespace")
		switch {
		case text(o, "apiVersion") != text(c.live, "apiVersion"), text(o, "kind") != text(c.live, "kind"), !sameName(o, c.live),
			namespace != "" && len(objects) > 1 && namespace != text(c.live, "metadata", "namespace"):
			continue
		case found != nil:
			return nil
		}
		found = o
	}
	return found
}

func named(objects []Object) string {
	if len(objects) == 0 {
		return "nothing"
	}
	if len(objects) > 1 {
		return fmt.Sprintf("%s and %d more", Name(objects[0]), len(objects)-1)
	}
	return Name(objects[0])
}

// origin reads where a resource belongs, as it was signed, and holds it against
// what is expected.
func (c *check) origin(signed map[string]any) bool {
	said, ok := texts(signed, "metadata", "annotations")[signer.AnnotationOrigin]
	if ok {
		origin := &signer.Origin{}
		decoder := json.NewDecoder(strings.NewReader(said))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(origin); err != nil {
			c.refuse(refusal.Malformed, "", "the signed annotation "+signer.AnnotationOrigin+" is malformed: "+oneLine(err.Error()))
			return false
		}
		c.verdict.Origin = origin
	}
	var origin signer.Origin
	if c.verdict.Origin != nil {
		origin = *c.verdict.Origin
	}
	for _, one := range []struct{ what, want, got string }{
		{"source", c.Origin.Source, origin.Source},
		{"application", c.Origin.Application, origin.Application},
		{"namespace", c.Origin.Namespace, origin.Namespace},
	} {
		if one.want == "" || one.want == one.got {
			continue
		}
		if one.what == "namespace" && one.got == "" {
			c.own(signed) // signed for no namespace: the resource's own decides
			continue
		}
		r := c.refuse(refusal.WrongOrigin, "", "was signed for another "+one.what)
		r.Want, r.Got = one.want, one.got
	}
	return true
}

// own holds the namespace that a resource names itself against what is expected.
func (c *check) own(o map[string]any) {
	if own := text(o, "metadata", "namespace"); own != "" && c.Origin.Namespace != "" && own != c.Origin.Namespace {
		r := c.refuse(refusal.WrongOrigin, "", "is of another namespace")
		r.Want, r.Got = c.Origin.Namespace, own
	}
}
