package signer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	yaml2 "go.yaml.in/yaml/v2"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/signature"
)

// Limits of a signed resource, in bytes.
const (
	// MaxMessage bounds what is signed: k8s-manifest-sigstore's verifiers write
	// it into a pipe before they read it, and hang on more than a pipe holds. A
	// resource with more YAML is signed as a gzipped tar.
	MaxMessage = 64 << 10
	// MaxAnnotations is Kubernetes' limit for all annotations of an object
	// together, keys and values (apimachinery, TotalAnnotationSizeLimitB).
	MaxAnnotations = 256 << 10
	// MaxYAML bounds a message's YAML, unpacked. The API server takes requests of
	// no more than 3 MiB.
	MaxYAML = 4 << 20
)

// SizeError says that a resource is too large to be signed in its annotations.
type SizeError struct {
	Resource string
	What     string
	Size     int
	Limit    int
	Why      string // the limit
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: %s %d bytes, more than the %d %s; leave the resource out with sign.match, or split it; a manifest image (sign.image) holds it signed at any size", e.Resource, e.What, e.Size, e.Limit, e.Why)
}

// messageOf is what is signed for a resource: its YAML, or where that is too
// large for verifiers, a gzipped tar with it.
func messageOf(name string, text []byte) ([]byte, error) {
	if len(text) <= MaxMessage {
		return text, nil
	}
	if len(text) > MaxYAML {
		return nil, &SizeError{name, "its YAML has", len(text), MaxYAML, "that are read"}
	}
	archive, err := archived(text)
	if err != nil {
		return nil, err
	}
	if len(archive) > MaxMessage {
		return nil, &SizeError{name, "its YAML, compressed, has", len(archive), MaxMessage, "on which verifiers hang"}
	}
	return archive, nil
}

// archived is a gzipped tar that depends on the text alone.
func archived(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	if err := t.WriteHeader(&tar.Header{Name: "manifest.yaml", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := t.Write(text); err != nil {
		return nil, err
	}
	err = errors.Join(t.Close(), z.Close())
	return b.Bytes(), err
}

// Unarchive returns a message's YAML: the message itself, or the one file of a
// gzipped tar.
func Unarchive(message []byte) ([]byte, error) {
	if !bytes.HasPrefix(message, []byte("\x1f\x8b")) {
		return message, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil, fmt.Errorf("the message is no gzipped tar: %w", err)
	}
	t := tar.NewReader(io.LimitReader(z, MaxYAML+64<<10)) // and the tar's own blocks
	var text []byte
	files := 0
	for {
		header, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the message is no gzipped tar: %w", err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if files++; files > 1 || header.Typeflag != tar.TypeReg || header.Size > MaxYAML {
			return nil, fmt.Errorf("the message's tar holds something else than one file of at most %d bytes", MaxYAML)
		}
		if text, err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("the message is no gzipped tar: %w", err)
		}
	}
	if files == 0 {
		return nil, errors.New("the message's tar is empty")
	}
	return text, nil
}

// Signed is what a resource's annotations say of its signatures.
type Signed struct {
	Message    []byte // what was signed; nil where it is not carried, as with Secrets
	Signatures []Signature
}

// ErrUnsigned says that a resource carries no signature.
var ErrUnsigned = errors.New("carries no signature")

// Carried reads the signatures that a resource carries. None of them is
// verified. It fails with [ErrUnsigned], or says what is malformed.
func Carried(r *kyaml.RNode) (*Signed, error) { return CarriedIn(r.GetAnnotations()) }

// CarriedIn is [Carried] for a resource's annotations.
func CarriedIn(annotations map[string]string) (*Signed, error) {
	s := &Signed{}
	read := map[string]bool{AnnotationMessage: true}
	if text, ok := annotations[AnnotationMessage]; ok {
		var err error
		if s.Message, err = unpack(text, MaxYAML); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", AnnotationMessage, err)
		}
	}
	for n := 0; ; n++ {
		text, ok := annotations[numbered(AnnotationSignature, n)]
		if !ok {
			break
		}
		if n == signature.MaxSignatures {
			return nil, fmt.Errorf("carries more than %d signatures", n)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: is not base64", numbered(AnnotationSignature, n))
		}
		one := Signature{Raw: raw}
		read[numbered(AnnotationSignature, n)] = true
		for name, to := range map[string]*[]byte{AnnotationCertificate: &one.Certificate, AnnotationBundle: &one.Bundle} {
			read[numbered(name, n)] = true
			if text, ok := annotations[numbered(name, n)]; ok {
				if *to, err = unpack(text, maxEvidence); err != nil {
					return nil, fmt.Errorf("annotation %s: %w", numbered(name, n), err)
				}
			}
		}
		s.Signatures = append(s.Signatures, one)
	}
	if len(s.Signatures) == 0 {
		return nil, ErrUnsigned
	}
	for name := range annotations {
		if IsSignature(name) && !read[name] {
			return nil, fmt.Errorf("annotation %s belongs to no signature", name)
		}
	}
	return s, nil
}

// maxEvidence bounds an unpacked certificate or bundle, in bytes.
const maxEvidence = 1 << 20

// AsYAML returns the resource as kustomize prints it (resource.Resource.AsYAML), keys
// sorted. What is plain gets there without the way through JSON, in a third of the
// time.
func AsYAML(r *kyaml.RNode) ([]byte, error) {
	if n := r.YNode(); n.Kind == kyaml.MappingNode && plainyaml.Unambiguous(n) {
		var plain map[string]any
		if err := n.Decode(&plain); err != nil {
			return nil, err
		}
		return yaml2.Marshal(plain)
	}
	return throughJSON(r)
}

func throughJSON(r *kyaml.RNode) ([]byte, error) {
	asJSON, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(asJSON)
}

func checkAnnotations(r *kyaml.RNode) error {
	total := 0
	for k, v := range r.GetAnnotations() {
		total += len(k) + len(v)
	}
	if total > MaxAnnotations {
		return &SizeError{Name(r), "its annotations have", total, MaxAnnotations, "that Kubernetes accepts"}
	}
	return nil
}

// compressors are kept: making one takes longer than its work on a message.
var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is one of the library's
	}
	return w
}}

// Pack compresses a message for an annotation, without a time or a name in the header, so that the same
// message always gives the same text.
func Pack(message []byte) (string, error) {
	var b bytes.Buffer
	w := compressors.Get().(*gzip.Writer)
	defer compressors.Put(w)
	w.Reset(&b)
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// unpack is the reverse of Pack, for at most limit bytes.
func unpack(text string, limit int64) ([]byte, error) {
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errors.New("is not compressed with gzip")
	}
	data, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, errors.New("is not compressed with gzip")
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("has more than %d bytes", limit)
	}
	return data, nil
}
