package trustomize

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime/debug"
	"slices"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/resolver"
	"github.com/trustomize/trustomize/signer"
)

// manifest is the signed output, and what a statement says of it.
type manifest struct {
	yaml      []byte
	signed    int
	digest    string // SHA-256 of the output, Secret values removed
	resources []provenance.Descriptor
	publish   *publisher // nil without a manifest image
}

// checkReserved refuses resources that come with an annotation that only a signer
// sets, whether or not this build is signed: a source's old output would pass for
// its output. Where the policy says so, they are dropped instead.
func checkReserved(report *Report, resources resmap.ResMap) error {
	source := report.Source
	var refusals []*refusal.Refusal
	for _, r := range resources.Resources() {
		if report.Policy.Spec.Sign.Existing == policy.ReplaceExisting {
			if _, err := signer.ClearReserved(&r.RNode); err != nil {
				return err
			}
			continue
		}
		var reserved *signer.ReservedError
		if err := signer.CheckReserved(&r.RNode); errors.As(err, &reserved) {
			refusals = append(refusals, &refusal.Refusal{
				Code: refusal.Annotation, Source: source, Reason: reserved.Error(),
				Hints: []string{"a source's own signature would pass for the signature of this build; remove the annotation there", "or have the policy drop such: sign.existing: replace"},
			})
		}
	}
	if len(refusals) > 0 {
		return &Refused{Refusals: refusals}
	}
	return nil
}

// sign signs what is selected and prints everything.
func sign(ctx context.Context, s *signer.Signer, resources resmap.ResMap, publish *publisher) (*manifest, error) {
	m := &manifest{publish: publish}
	for _, r := range resources.Resources() {
		if err := m.add(ctx, s, &r.RNode); err != nil {
			return nil, err
		}
	}
	var err error
	if m.yaml, err = resources.AsYaml(); err != nil {
		return nil, err
	}
	if publish != nil {
		if err := publish.make(resources); err != nil {
			return nil, err
		}
	}
	m.digest, err = redactedDigest(resources, m.yaml)
	return m, err
}

// describeUnsigned is [sign] without a signature.
func describeUnsigned(resources resmap.ResMap, printed []byte) (*manifest, error) {
	m := &manifest{yaml: printed}
	for _, r := range resources.Resources() {
		described, err := outline(&r.RNode)
		if err != nil {
			return nil, err
		}
		m.resources = append(m.resources, provenance.Descriptor{Name: signer.Name(&r.RNode), Digest: sha256Of(described)})
	}
	var err error
	m.digest, err = redactedDigest(resources, printed)
	return m, err
}

// add signs one resource, if it is selected, and describes it.
func (m *manifest) add(ctx context.Context, s *signer.Signer, r *kyaml.RNode) error {
	one := provenance.Descriptor{Name: signer.Name(r)}
	described, err := outline(r)
	if err != nil {
		return err
	}
	message, err := m.message(ctx, s, r)
	switch {
	case err != nil:
		return err
	case message == nil:
		one.Annotations = map[string]any{provenance.AnnotationUnsigned: true}
	case !signer.IsSecret(r):
		described = message
	}
	one.Digest = sha256Of(described)
	m.resources = append(m.resources, one)
	return nil
}

// message signs a resource, if it is selected, and returns what is signed. What is
// too large for annotations is signed in the manifest image alone, where there is
// one.
func (m *manifest) message(ctx context.Context, s *signer.Signer, r *kyaml.RNode) ([]byte, error) {
	if !s.Selects(r) {
		return nil, nil
	}
	before := r.Copy()
	message, err := s.Sign(ctx, r)
	var large *signer.SizeError
	if m.publish != nil && errors.As(err, &large) && !signer.IsSecret(r) {
		r.SetYNode(before.YNode())
		return nil, nil
	}
	m.signed++
	return message, err
}

// redactedDigest is the SHA-256 of the output as it is printed, but for the
// values of Secrets: a digest of what can be guessed would tell it.
func redactedDigest(resources resmap.ResMap, printed []byte) (string, error) {
	if !slices.ContainsFunc(resources.Resources(), func(r *resource.Resource) bool { return signer.IsSecret(&r.RNode) }) {
		return sha256Of(printed)["sha256"], nil
	}
	var docs [][]byte
	for _, r := range resources.Resources() {
		doc, err := redacted(&r.RNode)
		if err != nil {
			return "", err
		}
		docs = append(docs, doc)
	}
	return sha256Of(bytes.Join(docs, []byte("---\n")))["sha256"], nil
}

// outline is what a statement's digest of a resource is of: its YAML, or of a Secret
// what can be told.
func outline(r *kyaml.RNode) ([]byte, error) {
	if signer.IsSecret(r) {
		return signer.OutlineOf(r)
	}
	return signer.AsYAML(r)
}

func redacted(r *kyaml.RNode) ([]byte, error) {
	if signer.IsSecret(r) {
		r = r.Copy()
		for _, field := range []string{"data", "stringData"} {
			if err := r.PipeE(kyaml.Clear(field)); err != nil {
				return nil, err
			}
		}
	}
	return signer.AsYAML(r)
}

func sha256Of(data []byte) map[string]string {
	sum := sha256.Sum256(data)
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

// statementOf describes a build: what was observed, and no clock.
func statementOf(report *Report, req Request, m *manifest) *provenance.Statement {
	subject := provenance.Descriptor{Name: "manifest.yaml", Digest: map[string]string{"sha256": m.digest}}
	claims, overrides := req.Application.claims()
	definition := provenance.BuildDefinition{
		ExternalParameters: provenance.ExternalParameters{Source: report.Source, Ref: report.Ref, Options: req.Options.flags(), Overrides: overrides, Claims: claims},
		InternalParameters: provenance.InternalParameters{PolicyName: report.Policy.Name, PolicyDigest: report.Policy.Digest, Audited: report.Audited()},
	}
	for _, s := range report.Graph.Sources {
		definition.ResolvedDependencies = append(definition.ResolvedDependencies, dependency(report.Graph, s))
	}
	details := provenance.RunDetails{Builder: provenance.Builder{Version: Versions()}, Byproducts: m.resources}
	statement := provenance.New(subject, definition, details)
	if m.publish != nil {
		statement.Subject = append(statement.Subject, m.publish.subject())
	}
	return statement
}

// dependency describes a source: what it is, who vouched for it, and what
// referred to it.
func dependency(g *resolver.Graph, s *resolver.Source) provenance.Descriptor {
	digest := map[string]string{"trustomizeTree": s.Digest[len("sha256:"):]}
	if s.Commit != "" {
		digest[commitDigest(s.Kind)] = s.Commit
	}
	annotations := map[string]any{"vouchers": s.Vouchers()}
	if s.RefName != "" {
		annotations["refName"] = s.RefName
	}
	if references := g.ReferencesTo(s); len(references) > 0 {
		annotations["references"] = references
	}
	if configures := g.ConfiguresIn(s); len(configures) > 0 && !s.Root {
		annotations["configures"] = configures
	}
	uri := s.Identity.URI()
	if s.Kind == sourceurl.Git && !s.Identity.IsFile() {
		uri = "git+" + uri
	}
	return provenance.Descriptor{Name: string(s.Identity), URI: uri, Digest: digest, DownloadLocation: s.Location, Annotations: annotations}
}

// commitDigest is the in-toto name of what a source's commit is a digest of.
func commitDigest(kind sourceurl.Kind) string {
	if kind == sourceurl.Git {
		return "gitCommit"
	}
	return "sha256"
}

// Version is set when a release is built.
var Version = "v0.0.0-dev"

// KustomizeVersion is the release of kustomize whose output a build equals.
const KustomizeVersion = "v5.8.2"

// Versions returns this program's version and those of the libraries that
// decide what it prints.
func Versions() map[string]string {
	versions := map[string]string{"trustomize": Version, "kustomize": KustomizeVersion}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "sigs.k8s.io/kustomize/api" {
				versions[dep.Path] = dep.Version
			}
		}
	}
	return versions
}
