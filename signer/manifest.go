package signer

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Annotations of a signed resource. The first two are k8s-manifest-sigstore's:
//
//	message    base64(gzip(YAML of the resource))
//	signature  base64(signature over that YAML, not compressed)
//
// The YAML is the resource's, without these two, and with the third, which says
// where the resource belongs so that it cannot be moved elsewhere unseen.
const (
	AnnotationMessage   = "cosign.sigstore.dev/message"
	AnnotationSignature = "cosign.sigstore.dev/signature"
	AnnotationOrigin    = "trustomize.dev/origin"
)

// reserved are the prefixes of annotations that only a signer sets.
var reserved = []string{"cosign.sigstore.dev/", "trustomize.dev/"}

// Limits of a signed resource.
const (
	// MaxMessage is the size in bytes over which a resource is not signed in
	// its annotations: k8s-manifest-sigstore's verifiers hang on more than a
	// pipe holds.
	MaxMessage = 64 << 10
	// MaxAnnotations is Kubernetes' limit for all annotations of an object
	// together, in bytes of keys and values (apimachinery,
	// TotalAnnotationSizeLimitB).
	MaxAnnotations = 256 << 10
)

// Origin says where a resource belongs. It holds nothing that changes with
// each commit. Its JSON is the origin annotation's value.
type Origin struct {
	Source      string `json:"source"`                // identity and path: host/repository//path
	Application string `json:"application,omitempty"` // ArgoCD's Application
	Namespace   string `json:"namespace,omitempty"`   // destination namespace
}

// Selector chooses resources. Empty fields match everything, "*" any text,
// also as a part of one.
type Selector struct {
	Group, Version, Kind, Namespace, Name string
}

// Signer signs the resources that its selectors choose: all but Secrets when
// there is no selector.
type Signer struct {
	Key    *Key
	Origin Origin
	Match  []Selector
}

// ReservedError says that a resource came with an annotation that only a
// signer sets.
type ReservedError struct {
	Resource, Annotation string
}

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s already carries the annotation %s", e.Resource, e.Annotation)
}

// SizeError says that a resource is too large to be signed in its annotations.
type SizeError struct {
	Resource string
	What     string
	Size     int
	Limit    int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: %s has %d bytes, more than the %d that verifiers and Kubernetes accept; leave the resource out with sign.match", e.Resource, e.What, e.Size, e.Limit)
}

// Name names a resource for people and for statements:
// GROUP/VERSION/KIND/NAMESPACE/NAME, "-" where there is no namespace, and no
// group for the core's.
func Name(r *kyaml.RNode) string {
	namespace := r.GetNamespace()
	if namespace == "" {
		namespace = "-"
	}
	return strings.Join([]string{r.GetApiVersion(), r.GetKind(), namespace, r.GetName()}, "/")
}

// Selects reports whether the resource is one to sign.
func (s *Signer) Selects(r *kyaml.RNode) bool {
	if len(s.Match) == 0 {
		return r.GetKind() != kindSecret
	}
	return slices.ContainsFunc(s.Match, func(m Selector) bool { return m.matches(r) })
}

const kindSecret = "Secret"

func (m Selector) matches(r *kyaml.RNode) bool {
	group, version, ok := strings.Cut(r.GetApiVersion(), "/")
	if !ok {
		group, version = "", group
	}
	if r.GetKind() == kindSecret && m.Kind != kindSecret {
		return false // a message would show the Secret's values; only a name's own kind asks for that
	}
	for _, pair := range [][2]string{{m.Group, group}, {m.Version, version}, {m.Kind, r.GetKind()}, {m.Namespace, r.GetNamespace()}, {m.Name, r.GetName()}} {
		if pair[0] != "" && !glob(pair[0], pair[1]) {
			return false
		}
	}
	return true
}

// glob matches text against a pattern in which "*" is any text.
func glob(pattern, text string) bool {
	prefix, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	if !strings.HasPrefix(text, prefix) {
		return false
	}
	for i := len(prefix); i <= len(text); i++ {
		if glob(rest, text[i:]) {
			return true
		}
	}
	return false
}

// CheckReserved refuses a resource that carries an annotation which only a
// signer sets, so that a source's own never passes for ours.
func CheckReserved(r *kyaml.RNode) error {
	for _, name := range slices.Sorted(maps.Keys(r.GetAnnotations())) {
		for _, prefix := range reserved {
			if strings.HasPrefix(name, prefix) {
				return &ReservedError{Name(r), name}
			}
		}
	}
	return nil
}

// Sign adds origin, message and signature to the resource and returns the
// message.
func (s *Signer) Sign(r *kyaml.RNode) ([]byte, error) {
	if r.GetKind() == kindSecret {
		return nil, fmt.Errorf("%s: signing Secrets is not supported yet; take them out of sign.match", Name(r))
	}
	origin, err := json.Marshal(s.Origin)
	if err != nil {
		return nil, err
	}
	if err := r.PipeE(kyaml.SetAnnotation(AnnotationOrigin, string(origin))); err != nil {
		return nil, err
	}
	message, err := AsYAML(r)
	if err != nil {
		return nil, err
	}
	if len(message) > MaxMessage {
		return nil, &SizeError{Name(r), "its YAML", len(message), MaxMessage}
	}
	sig, err := s.Key.Sign(message)
	if err != nil {
		return nil, err
	}
	packed, err := pack(message)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		AnnotationMessage:   packed,
		AnnotationSignature: base64.StdEncoding.EncodeToString(sig),
	} {
		if err := r.PipeE(kyaml.SetAnnotation(name, value)); err != nil {
			return nil, err
		}
	}
	return message, checkAnnotations(r)
}

func checkAnnotations(r *kyaml.RNode) error {
	total := 0
	for k, v := range r.GetAnnotations() {
		total += len(k) + len(v)
	}
	if total > MaxAnnotations {
		return &SizeError{Name(r), "its annotations", total, MaxAnnotations}
	}
	return nil
}

// AsYAML returns the resource as kustomize prints it, keys sorted.
func AsYAML(r *kyaml.RNode) ([]byte, error) {
	asJSON, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(asJSON)
}

// pack compresses without a time or a name in the header, so that the same
// message always gives the same text.
func pack(message []byte) (string, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
