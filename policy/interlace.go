package policy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/strictyaml"
)

// Import is a policy made from another program's configuration.
type Import struct {
	Policy  []byte   // YAML with comments; every remark is among them
	Remarks []Remark // in the order in which they are to be read
}

// Remark says that something was not carried over, or not as it was.
type Remark struct {
	strictyaml.Position        // in what was imported; zero for what lies outside it
	Path                string // the setting, as in spec.signConfig.key
	Why                 string
	Do                  string // "" where there is nothing to do
	Command             string // to be typed; "" where there is none
}

// matchPlaceholder stands for a rule's match where nobody gave one. It is no
// pattern: [Load] refuses it.
const matchPlaceholder = "HOST/ORGANIZATION/**"

// interlaceProfile is an InterlaceProfile, as argocd-interlace v0.3 has it in
// pkg/apis/interlaceprofile/v1beta1, with the selector's labels also where the
// talk at KubeCon NA 2022 shows them.
type interlaceProfile struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   interlaceMetadata `yaml:"metadata"`
	Spec       interlaceSpec     `yaml:"spec"`
}

type interlaceMetadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}

type interlaceSpec struct {
	ApplicationSelector []interlaceSelector `yaml:"applicationSelector"`
	VerifyConfig        struct {
		Key interlaceKey `yaml:"key"`
	} `yaml:"verifyConfig"`
	SignConfig struct {
		Key      interlaceKey      `yaml:"key"`
		Registry interlaceRegistry `yaml:"registry"`
		Match    []ResourceMatch   `yaml:"match"`
	} `yaml:"signConfig"`
	ProvenanceConfig struct {
		Key      interlaceKey `yaml:"key"`
		RekorURL string       `yaml:"rekorURL"`
	} `yaml:"provenanceConfig"`
}

type interlaceSelector struct {
	Name        string          `yaml:"name"`
	Label       interlaceLabels `yaml:"label"`
	MatchLabels labelMap        `yaml:"matchLabels"`
}

type interlaceLabels struct {
	MatchLabels      labelMap `yaml:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `yaml:"key"`
		Operator string   `yaml:"operator"`
		Values   []string `yaml:"values"`
	} `yaml:"matchExpressions"`
}

// interlaceKey is a key in PEM, or the name of a Secret whose data has it under
// "key". Interlace takes the PEM where there are both.
type interlaceKey struct {
	PEM    string `yaml:"PEM"`
	Secret string `yaml:"secret"`
}

type interlaceRegistry struct {
	Secret   string `yaml:"secret"`
	Insecure bool   `yaml:"insecureRegistry"`
}

// labelMap takes "nothing" for an empty mapping, as Kubernetes does: the talk's
// own profile has its label beside matchLabels instead of below.
type labelMap map[string]string

// UnmarshalText accepts nothing.
func (*labelMap) UnmarshalText(text []byte) error {
	if s := string(text); s != "" && s != "null" && s != "~" {
		return errors.New("want a mapping of labels")
	}
	return nil
}

// importer turns a profile into a policy and collects what is to be said.
type importer struct {
	doc      *strictyaml.Document
	profile  interlaceProfile
	remarks  []Remark
	problems strictyaml.Problems
}

// ImportInterlace makes a policy from an InterlaceProfile. Sources that match
// one of the patterns must be signed by the profile's key; without a pattern
// the policy has a placeholder there, which [Load] refuses. Keys that are not
// in the profile are named as files that the operator has to provide. What
// cannot be carried over is remarked upon. What makes a profile unusable comes
// as strictyaml.Problems; an error of another type speaks of a pattern.
func ImportInterlace(data []byte, matches []string) (*Import, error) {
	if len(data) > MaxSize {
		return nil, strictyaml.Problems{{Message: fmt.Sprintf("has more than the %d bytes allowed", MaxSize)}}
	}
	if err := checkMatches(matches); err != nil {
		return nil, err
	}
	im := &importer{}
	im.decode(data)
	if len(im.problems) > 0 {
		im.problems.Sort()
		return nil, im.problems
	}
	text := &policyText{name: im.profile.Metadata.Name}
	im.selectors(text)
	im.verifyKey(text)
	im.sources(text, matches)
	im.signKey(text)
	im.signMatch(text)
	im.log(text)
	im.outside()
	if len(im.problems) > 0 {
		im.problems.Sort()
		return nil, im.problems
	}
	slices.SortStableFunc(im.remarks, byPosition)
	text.remarks = im.remarks
	return &Import{text.bytes(), im.remarks}, nil
}

// byPosition puts what lies outside the profile behind what it says.
func byPosition(a, b Remark) int {
	switch {
	case a.Line == b.Line:
		return a.Column - b.Column
	case a.Line == 0:
		return 1
	case b.Line == 0:
		return -1
	}
	return a.Line - b.Line
}

func checkMatches(matches []string) error {
	var patterns []identity.Pattern
	for _, m := range matches {
		p, err := identity.ParsePattern(m)
		if err != nil {
			return err
		}
		for _, earlier := range patterns {
			if earlier.Hides(p) {
				return fmt.Errorf("%q can never apply: %q stands before it and matches everything that it does", p, earlier)
			}
		}
		patterns = append(patterns, p)
	}
	return nil
}

func (im *importer) remark(path, why, do, command string) {
	im.remarks = append(im.remarks, Remark{im.doc.Position(path), path, why, do, command})
}

func (im *importer) fail(path, format string, args ...any) {
	im.problems = append(im.problems, strictyaml.Problem{Position: im.doc.Position(path), Path: path, Message: fmt.Sprintf(format, args...)})
}

// serverFields are the fields that Kubernetes keeps in an object that it hands
// out. They say nothing of verifying or signing.
var serverFields = []string{
	"status", "metadata.annotations", "metadata.creationTimestamp", "metadata.finalizers", "metadata.generation", "metadata.labels",
	"metadata.managedFields", "metadata.ownerReferences", "metadata.resourceVersion", "metadata.selfLink", "metadata.uid",
}

// decode reads the profile. A field that is not known is remarked upon; other
// mistakes make the profile unusable.
func (im *importer) decode(data []byte) {
	var err error
	im.doc, err = strictyaml.Decode(data, &im.profile)
	problems, _ := err.(strictyaml.Problems)
	for _, p := range problems {
		switch {
		case !strings.HasPrefix(p.Message, "unknown field"):
			im.problems = append(im.problems, withoutValue(p))
		case slices.Contains(serverFields, p.Path):
		case p.Path == "spec.applications":
			im.fail(p.Path, "profiles had this shape before applicationSelector; write a profile for each entry, with its verifyConfig and signConfig below spec")
		default:
			im.remarks = append(im.remarks, Remark{p.Position, p.Path, "is no field that a profile is known to have: nothing of it is in the policy", "find out what it was meant to do", ""})
		}
	}
	if len(im.problems) == 0 {
		im.header()
	}
}

// withoutValue takes out of a message what stands in the profile: where a key
// is expected, it may be a secret.
func withoutValue(p strictyaml.Problem) strictyaml.Problem {
	p.Message, _, _ = strings.Cut(p.Message, `, not "`)
	return p
}

func (im *importer) header() {
	p := im.profile
	switch want := "interlace.argocd.dev/v1beta1"; {
	case p.Kind == "List" || p.Kind == "InterlaceProfileList":
		im.fail("kind", "this is a list of profiles; name one: kubectl get interlaceprofile NAME -o yaml")
		return
	case p.Kind != "InterlaceProfile" || p.APIVersion != want:
		im.fail("kind", "want an InterlaceProfile of %s, not %q of %q", want, p.Kind, p.APIVersion)
		return
	}
	im.objectName("metadata.name", p.Metadata.Name)
	if p.Metadata.Namespace != "" {
		im.objectName("metadata.namespace", p.Metadata.Namespace)
	}
}

// objectName is what Kubernetes accepts (RFC 1123 subdomains). Names become
// parts of files' names and of commands that somebody may type.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func (im *importer) objectName(path, name string) bool {
	ok := len(name) <= 253 && objectName.MatchString(name)
	if !ok {
		im.fail(path, "want a name as Kubernetes accepts it, not %q", name)
	}
	return ok
}

// namespace is where Interlace looks for Secrets: its own, which is that of the
// profiles as well.
func (im *importer) namespace() string {
	if ns := im.profile.Metadata.Namespace; ns != "" {
		return ns
	}
	return "argocd-interlace"
}

// kubectl returns the command that takes a key out of its Secret, to be typed
// in the policy's folder.
func (im *importer) kubectl(secret, file string) string {
	return fmt.Sprintf("mkdir -p keys && kubectl -n %s get secret %s -o jsonpath='{.data.key}' | base64 -d >%s", im.namespace(), secret, file)
}

// isPGP reports whether a key is one of PGP's in armour.
func isPGP(pem string) bool { return strings.Contains(pem, "-----BEGIN PGP PUBLIC KEY BLOCK-----") }

// parsePublic reads a key that a profile holds.
func parsePublic(pem string) (signature.Key, error) {
	key, err := signature.ParseKey([]byte(pem))
	if err != nil {
		return key, fmt.Errorf("%w; take the file that the profile was made from, such as cosign.pub", err)
	}
	return key, nil
}

// rekorURL accepts the address of a log. It is not repeated in the error: it
// may hold a password.
func rekorURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("want an https or http URL, without user, query and fragment")
	}
	return nil
}
