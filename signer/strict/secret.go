package strict

import (
	"encoding/base64"
	"maps"
	"slices"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

func base64Of(data []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(data)) }

// secret verifies a Secret whose message is not in its annotations: it is made
// again from the Secret, without what others add. Nothing is left to compare when
// its signature verifies.
func (c *check) secret(carried *signer.Signed) {
	if text(c.live, "kind") != "Secret" {
		c.refuse(refusal.Malformed, "", "carries a signature, and not the message "+signer.AnnotationMessage+" that it is over", "apply it as trustomize printed it")
		return
	}
	if !c.origin(c.live) {
		return
	}
	var last error
	for _, candidate := range c.candidates() {
		message, err := signer.SecretYAML(candidate)
		if err != nil {
			c.refuse(refusal.Malformed, "", err.Error())
			return
		}
		evidence, err := c.counts(carried.Signatures, message)
		if err != nil {
			last = err
			continue
		}
		c.verdict.Signer, c.verdict.Digest, c.verdict.Secret = signerOf(evidence), evidence.Digest[len("sha256:"):], true
		outline, err := signer.SecretOutline(candidate)
		if err != nil {
			c.refuse(refusal.Malformed, "", err.Error())
			return
		}
		c.verdict.outline = signature.DigestOf(outline)[len("sha256:"):]
		c.placed(candidate)
		return
	}
	c.refuse(refusal.BadSignature, "", last.Error(), "the Secret was changed since it was signed, or somebody else signed it; its values are not shown")
}

// placed checks the namespace of a Secret that was signed without one.
func (c *check) placed(signed map[string]any) {
	c.signed = signed
	metadata, _ := c.live["metadata"].(map[string]any)
	c.namespace(maps.Clone(metadata))
}

// candidates are what the Secret can have been when it was signed: with or without
// its namespace, and with or without ArgoCD's label. One of another group than
// Kubernetes' own may have been signed with its status.
func (c *check) candidates() []map[string]any {
	all := c.candidatesOf(withoutServerFields(c.live))
	if _, has := c.live["status"]; has && text(c.live, "apiVersion") != "v1" {
		all = append(all, c.candidatesOf(c.live)...)
	}
	return all
}

func (c *check) candidatesOf(live map[string]any) []map[string]any {
	var all []map[string]any
	for _, withNamespace := range []bool{true, false} {
		for _, withLabel := range []bool{true, false} {
			o := deepCopy(live).(map[string]any)
			metadata := o["metadata"].(map[string]any)
			if annotations, ok := metadata["annotations"].(map[string]any); ok {
				maps.DeleteFunc(annotations, func(name string, value any) bool {
					text, _ := value.(string)
					return signer.IsSignature(name) || c.addedToSecret(name, text)
				})
			}
			if labels, ok := metadata["labels"].(map[string]any); ok && !withLabel {
				if o := c.verdict.Origin; o == nil || o.Application == "" || labels[labelInstance] != o.Application && labels[labelInstance] != o.Application[:min(len(o.Application), maxLabel)] {
					continue
				}
				delete(labels, labelInstance)
			} else if !withLabel {
				continue
			}
			if !withNamespace {
				delete(metadata, "namespace")
			}
			all = append(all, o)
		}
	}
	return all
}

// addedToSecret reports whether an annotation is not the signer's. What kubectl
// copies of a Secret is not compared: its values would have to be.
func (c *check) addedToSecret(name, value string) bool {
	if name == annotationApplied {
		return true
	}
	_, ok := c.annotation(name, value)
	return ok
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for key, value := range v {
			c[key] = deepCopy(value)
		}
		return c
	case []any:
		c := slices.Clone(v)
		for i := range c {
			c[i] = deepCopy(c[i])
		}
		return c
	}
	return v
}
