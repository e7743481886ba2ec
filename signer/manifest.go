package signer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Annotations of a signed resource. The first four are k8s-manifest-sigstore's:
//
//	message      base64(gzip(M)), where M is the resource's YAML, or a gzipped tar with that alone
//	signature    base64(signature over M, not compressed)
//	certificate  base64(gzip(PEM)), keyless only
//	bundle       base64(gzip(a Sigstore bundle)), keyless only
//
// Further signatures over the same message are signature_1, signature_2 and so
// on, each with its certificate and bundle. The YAML is the resource's without
// any of these, and with the last one, which says where the resource belongs so
// that it cannot be moved elsewhere unseen.
const (
	AnnotationMessage     = "cosign.sigstore.dev/message"
	AnnotationSignature   = "cosign.sigstore.dev/signature"
	AnnotationCertificate = "cosign.sigstore.dev/certificate"
	AnnotationBundle      = "cosign.sigstore.dev/bundle"
	AnnotationOrigin      = "trustomize.dev/origin"
)

// reserved are the prefixes of annotations that only a signer sets.
var reserved = []string{"cosign.sigstore.dev/", "trustomize.dev/"}

// carried are the annotations that hold a signature: those of the first, and
// those of further ones with their numbers.
var carried = regexp.MustCompile(`^cosign\.sigstore\.dev/(message|(signature|certificate|bundle)(_[1-9][0-9]*)?)$`)

// IsSignature reports whether an annotation holds a message or a signature, and
// is therefore not part of what is signed.
func IsSignature(annotation string) bool { return carried.MatchString(annotation) }

// Origin says where a resource belongs. It holds nothing that changes with
// each commit. Its JSON is the origin annotation's value.
type Origin struct {
	Source      string `json:"source,omitempty"`      // identity and path: host/repository//path
	Application string `json:"application,omitempty"` // ArgoCD's Application
	Namespace   string `json:"namespace,omitempty"`   // destination namespace
}

// Signer signs the resources that its selectors choose: all but Secrets when
// there is no selector.
type Signer struct {
	Maker  Maker
	Origin Origin // of what is signed; the zero value leaves the annotation out
	Match  []Selector

	// EmbedSecrets puts the messages of Secrets into their annotations as well,
	// where they can be read, and checked by verifiers that know no other way.
	EmbedSecrets bool
}

// ReservedError says that a resource came with an annotation that only a
// signer sets.
type ReservedError struct {
	Resource, Annotation string
}

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s already carries the annotation %s", e.Resource, refusal.Printable(e.Annotation))
}

// Name names a resource for people and for statements:
// GROUP/VERSION/KIND/NAMESPACE/NAME, "-" where there is no namespace, and no
// group for the core's. A name that the API server completes ends in "*".
func Name(r *kyaml.RNode) string {
	namespace, name := r.GetNamespace(), r.GetName()
	if namespace == "" {
		namespace = "-"
	}
	if name == "" {
		if generate, _ := r.GetString("metadata.generateName"); generate != "" {
			name = generate + "*"
		}
	}
	return refusal.Printable(strings.Join([]string{r.GetApiVersion(), r.GetKind(), namespace, name}, "/"))
}

// CheckReserved refuses a resource that carries an annotation which only a
// signer sets, so that a source's own never passes for ours.
func CheckReserved(r *kyaml.RNode) error {
	if names := reservedIn(r); len(names) > 0 {
		return &ReservedError{Name(r), names[0]}
	}
	return nil
}

// CopyReserved puts the annotations that only a signer sets from one resource into
// another, in place of its own.
func CopyReserved(to, from *kyaml.RNode) error {
	if _, err := ClearReserved(to); err != nil {
		return err
	}
	all := from.GetAnnotations()
	for _, name := range reservedIn(from) {
		if err := to.PipeE(kyaml.SetAnnotation(name, all[name])); err != nil {
			return err
		}
	}
	return nil
}

// ClearReserved removes the annotations that only a signer sets, and returns
// their names.
func ClearReserved(r *kyaml.RNode) ([]string, error) {
	names := reservedIn(r)
	for _, name := range names {
		if err := r.PipeE(kyaml.ClearAnnotation(name)); err != nil {
			return nil, err
		}
	}
	if len(names) > 0 && len(r.GetAnnotations()) == 0 {
		return names, r.PipeE(kyaml.Lookup("metadata"), kyaml.Clear("annotations"))
	}
	return names, nil
}

func reservedIn(r *kyaml.RNode) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.GetAnnotations())), func(name string) bool { return !IsReserved(name) })
}

// IsReserved reports whether only a signer sets an annotation.
func IsReserved(annotation string) bool {
	return slices.ContainsFunc(reserved, func(prefix string) bool { return strings.HasPrefix(annotation, prefix) })
}

// Sign adds origin, message and signature to the resource and returns the
// message. A Secret gets no message unless it is to: its message is
// [SecretMessage], which whoever has the Secret can make again.
func (s *Signer) Sign(ctx context.Context, r *kyaml.RNode) ([]byte, error) {
	if s.Origin != (Origin{}) {
		origin, err := json.Marshal(s.Origin)
		if err != nil {
			return nil, err
		}
		if err := r.PipeE(kyaml.SetAnnotation(AnnotationOrigin, string(origin))); err != nil {
			return nil, err
		}
	}
	if IsSecret(r) && !s.EmbedSecrets {
		message, err := SecretMessage(r)
		if err != nil {
			return nil, err
		}
		return message, s.annotate(ctx, r, message, 0)
	}
	text, err := AsYAML(r)
	if err != nil {
		return nil, err
	}
	message, err := messageOf(Name(r), text)
	if err != nil {
		return nil, err
	}
	packed, err := Pack(message)
	if err != nil {
		return nil, err
	}
	if err := r.PipeE(kyaml.SetAnnotation(AnnotationMessage, packed)); err != nil {
		return nil, err
	}
	return message, s.annotate(ctx, r, message, 0)
}

// Message returns what would be signed of a resource that is no Secret: its YAML
// without signatures, or a gzipped tar with that.
func Message(r *kyaml.RNode) ([]byte, error) {
	bare := r.Copy()
	for name := range r.GetAnnotations() {
		if IsSignature(name) {
			if err := bare.PipeE(kyaml.ClearAnnotation(name)); err != nil {
				return nil, err
			}
		}
	}
	if len(bare.GetAnnotations()) == 0 {
		if err := bare.PipeE(kyaml.Lookup("metadata"), kyaml.Clear("annotations")); err != nil {
			return nil, err
		}
	}
	text, err := AsYAML(bare)
	if err != nil {
		return nil, err
	}
	return messageOf(Name(r), text)
}

// Countersign adds a signature over the message that the resource already
// carries, behind the signatures that are there, and returns the message. It
// does nothing where the signer's own is among them. That the message is the
// resource's [Message] is the caller's to know.
func (s *Signer) Countersign(ctx context.Context, r *kyaml.RNode) ([]byte, error) {
	signed, err := Carried(r)
	if err != nil {
		return nil, err
	}
	for _, one := range signed.Signatures {
		if s.Maker.Check(one, signed.Message) == nil {
			return signed.Message, nil
		}
	}
	return signed.Message, s.annotate(ctx, r, signed.Message, len(signed.Signatures))
}

// annotate makes a signature and writes it as the n-th.
func (s *Signer) annotate(ctx context.Context, r *kyaml.RNode, message []byte, n int) error {
	sig, err := s.Maker.Make(ctx, message)
	if err != nil {
		return fmt.Errorf("%s: %w", Name(r), err)
	}
	values := map[string]string{AnnotationSignature: base64.StdEncoding.EncodeToString(sig.Raw)}
	for name, data := range map[string][]byte{AnnotationCertificate: sig.Certificate, AnnotationBundle: sig.Bundle} {
		if data == nil {
			continue
		}
		if values[name], err = Pack(data); err != nil {
			return err
		}
	}
	for name, value := range values {
		if err := r.PipeE(kyaml.SetAnnotation(numbered(name, n), value)); err != nil {
			return err
		}
	}
	return checkAnnotations(r)
}

func numbered(annotation string, n int) string {
	if n == 0 {
		return annotation
	}
	return annotation + "_" + strconv.Itoa(n)
}
