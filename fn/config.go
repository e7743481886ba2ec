package fn

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/strictyaml"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/signer"
)

// Metadata names a functionConfig. What orchestrators keep in its annotations means
// nothing here.
type Metadata struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// VerifiedBase generates the resources of remote bases.
type VerifiedBase struct {
	APIVersion string           `yaml:"apiVersion"`
	Kind       string           `yaml:"kind"`
	Metadata   Metadata         `yaml:"metadata"`
	Spec       VerifiedBaseSpec `yaml:"spec"`
}

// VerifiedBaseSpec names the bases, in the order of their resources.
type VerifiedBaseSpec struct {
	Bases []Base `yaml:"bases"`
}

// Base is one kustomization.
type Base struct {
	URL string `yaml:"url"` // as kustomize's resources take it, but for local paths
}

// ManifestSigner signs the items that the policy's manifestSign.match chooses.
type ManifestSigner struct {
	APIVersion string             `yaml:"apiVersion"`
	Kind       string             `yaml:"kind"`
	Metadata   Metadata           `yaml:"metadata"`
	Spec       ManifestSignerSpec `yaml:"spec"`
}

// ManifestSignerSpec says what stands in the signatures.
type ManifestSignerSpec struct {
	Origin  Origin `yaml:"origin"`
	Replace bool   `yaml:"replace"` // drop the signatures that items come with, and sign anew
}

// Origin says where the items come from and belong, as the annotation
// trustomize.dev/origin has it. Empty fields say nothing.
type Origin struct {
	Source      string `yaml:"source"`      // identity and path: HOST/REPOSITORY[//PATH]
	Application string `yaml:"application"` // ArgoCD's Application
	Namespace   string `yaml:"namespace"`   // destination namespace
}

// SignatureCheck verifies the items.
type SignatureCheck struct {
	APIVersion string             `yaml:"apiVersion"`
	Kind       string             `yaml:"kind"`
	Metadata   Metadata           `yaml:"metadata"`
	Spec       SignatureCheckSpec `yaml:"spec"`
}

// SignatureCheckSpec says what the items must be.
type SignatureCheckSpec struct {
	Origin         Origin                 `yaml:"origin"`         // where they must come from and belong: those of its fields that are set
	InstallationID string                 `yaml:"installationID"` // of the ArgoCD that tracks them
	Match          []policy.ResourceMatch `yaml:"match"`          // which items must be signed; none: all. Others are looked at where they carry a signature
}

const (
	kindVerifiedBase   = "VerifiedBase"
	kindManifestSigner = "ManifestSigner"
	kindSignatureCheck = "SignatureCheck"
)

// isConfig reports whether an item is for programs like this one, which orchestrators
// find in a package and pass as items, too: functionConfigs of ours, kustomizations,
// kpt's description of the package and its inventory, neither of which it applies, and
// files that say of what kind they are to no cluster.
func isConfig(apiVersion, kind string) bool {
	switch kind {
	case kindVerifiedBase, kindManifestSigner, kindSignatureCheck:
		return apiVersion == policy.APIVersion
	case types.KustomizationKind, types.ComponentKind:
		return apiVersion == "" || strings.HasPrefix(apiVersion, kustomizationGroup)
	case "Kptfile", "ResourceGroup":
		return strings.HasPrefix(apiVersion, kptGroup)
	}
	return apiVersion == "" && kind == ""
}

// kustomizationGroup is that of kustomizations (kustomize, api/types).
const kustomizationGroup = "kustomize.config.k8s.io/"

// kptGroup is that of kpt's own files (kpt, pkg/kptfile and pkg/live).
const kptGroup = "kpt.dev/"

const wantConfig = "want " + kindVerifiedBase + ", " + kindManifestSigner + " or " + kindSignatureCheck + " of " + policy.APIVersion

// readConfig decodes a functionConfig; what it does not know is an error.
func readConfig(config *yaml.Node) (any, error) {
	if config == nil {
		return nil, errors.New("the ResourceList has no functionConfig: " + wantConfig)
	}
	if config.Kind != yaml.MappingNode {
		return nil, errors.New("functionConfig is no mapping: " + wantConfig)
	}
	node := yaml.NewRNode(plainyaml.Expanded(config, false))
	text, err := node.String()
	if err != nil {
		return nil, fmt.Errorf("functionConfig: %w", err)
	}
	apiVersion, kind := node.GetApiVersion(), node.GetKind()
	if apiVersion != policy.APIVersion {
		return nil, fmt.Errorf("functionConfig: apiVersion %q is not known; %s", refusal.Printable(apiVersion), wantConfig)
	}
	switch kind {
	case kindVerifiedBase:
		c := &VerifiedBase{}
		return c, decode(text, c, c.check)
	case kindManifestSigner:
		c := &ManifestSigner{}
		return c, decode(text, c, nil)
	case kindSignatureCheck:
		c := &SignatureCheck{}
		return c, decode(text, c, nil)
	}
	return nil, fmt.Errorf("functionConfig: kind %q is not known; %s", refusal.Printable(kind), wantConfig)
}

func decode(text string, c any, check func() error) error {
	if _, err := strictyaml.Decode([]byte(text), c); err != nil {
		return fmt.Errorf("functionConfig: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if check != nil {
		return check()
	}
	return nil
}

// segment is what a generator may be called: one part of a path, and none of those that
// mean a folder.
var segment = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)

func (c *VerifiedBase) check() error {
	if !segment.MatchString(c.Metadata.Name) {
		return fmt.Errorf("functionConfig: metadata.name %q does not name a folder: want letters, digits, dots and dashes", refusal.Printable(c.Metadata.Name))
	}
	if len(c.Spec.Bases) == 0 {
		return errors.New("functionConfig: spec.bases names no base")
	}
	for i, b := range c.Spec.Bases {
		if b.URL == "" {
			return fmt.Errorf("functionConfig: spec.bases[%d].url is empty", i)
		}
	}
	return nil
}

func (o Origin) signed() signer.Origin { return signer.Origin(o) }
