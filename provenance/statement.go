// Package provenance says how a manifest came about, and logs it.
//
// A statement is an in-toto Statement v1 with a SLSA Provenance v1 predicate
// (https://slsa.dev/provenance/v1). It holds what was observed and no clock:
// equal builds give equal statements, and the log's time is the build's.
package provenance

import (
	"bytes"
	"encoding/json"

	"github.com/trustomize/trustomize/internal/kustedit"
	"github.com/trustomize/trustomize/internal/refusal"
)

// Types of a statement.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	PayloadType   = "application/vnd.in-toto+json" // of the DSSE envelope
	BuildType     = "https://trustomize.dev/kustomize-build/v1"
	BuilderID     = "https://trustomize.dev/trustomize"
)

// Statement is what is signed and logged.
type Statement struct {
	Type          string       `json:"_type"`
	Subject       []Descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     Predicate    `json:"predicate"`
}

// Descriptor is an in-toto ResourceDescriptor.
type Descriptor struct {
	Name             string            `json:"name,omitempty"`
	URI              string            `json:"uri,omitempty"`
	Digest           map[string]string `json:"digest,omitempty"`
	DownloadLocation string            `json:"downloadLocation,omitempty"`
	Annotations      map[string]any    `json:"annotations,omitempty"`
}

// Predicate is a SLSA provenance.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition says what went in.
type BuildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   ExternalParameters `json:"externalParameters"`
	InternalParameters   InternalParameters `json:"internalParameters"`
	ResolvedDependencies []Descriptor       `json:"resolvedDependencies"`
}

// ExternalParameters is what was asked for.
type ExternalParameters struct {
	Source  string   `json:"source"` // identity//path of the root
	Ref     string   `json:"ref,omitempty"`
	Options []string `json:"options,omitempty"` // kustomize's, as flags

	// Overrides are the changes that an Application made to the root's
	// kustomization, within what the policy allows.
	Overrides *kustedit.Edits `json:"overrides,omitempty"`

	Claims *Claims `json:"claims,omitempty"`
}

// Claims are what ArgoCD said and nobody here could see for himself.
type Claims struct {
	Application          string `json:"application,omitempty"`
	Project              string `json:"project,omitempty"`
	DestinationNamespace string `json:"destinationNamespace,omitempty"`
	Revision             string `json:"revision,omitempty"`
	TargetRevision       string `json:"targetRevision,omitempty"`
}

// InternalParameters is what the operator set.
type InternalParameters struct {
	PolicyName   string `json:"policyName,omitempty"`
	PolicyDigest string `json:"policyDigest"`

	// Audited is what the policy would have refused, had it been enforced.
	Audited []*refusal.Refusal `json:"audited,omitempty"`
}

// RunDetails says who built, and what came out besides the subject.
type RunDetails struct {
	Builder    Builder      `json:"builder"`
	Byproducts []Descriptor `json:"byproducts,omitempty"` // every resource by its message's digest
}

// AnnotationUnsigned is an annotation of byproducts that carry no signature of
// their own.
const AnnotationUnsigned = "unsigned"

// Builder is this program.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// New returns a statement with its constants filled in.
func New(subject Descriptor, definition BuildDefinition, details RunDetails) *Statement {
	definition.BuildType = BuildType
	details.Builder.ID = BuilderID
	return &Statement{
		Type:          StatementType,
		Subject:       []Descriptor{subject},
		PredicateType: PredicateType,
		Predicate:     Predicate{definition, details},
	}
}

// Bytes returns the statement's JSON. Equal statements give equal bytes.
func (s *Statement) Bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
