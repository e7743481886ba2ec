package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// selectors says what becomes of the choice of Applications: names can be
// written down for later, labels cannot be known.
func (im *importer) selectors(text *policyText) {
	if len(im.profile.Spec.ApplicationSelector) == 0 {
		im.remark("spec.applicationSelector", "names none, which for Interlace is every Application; here one takes part by naming the plugin trustomize", "name it in each of them", "")
	}
	for i, s := range im.profile.Spec.ApplicationSelector {
		path := fmt.Sprintf("spec.applicationSelector[%d]", i)
		if s.Name != "" {
			text.applications = append(text.applications, s.Name)
			im.remark(path+".name", "the policy does not say it: an Application takes part by naming the plugin trustomize, and the others do not",
				"select Applications by project, name, destination namespace or repository, with spec.applications of a policy", "")
		}
		labels := maps.Clone(s.MatchLabels)
		if labels == nil {
			labels = labelMap{}
		}
		maps.Copy(labels, s.Label.MatchLabels)
		if len(labels) > 0 || len(s.Label.MatchExpressions) > 0 {
			im.remark(path, "a plugin of ArgoCD never sees an Application's labels, so that nothing can depend on them"+listLabels(labels),
				"name the plugin trustomize in the Applications that have them; select by project, name, destination namespace or repository instead", "")
		} else if s.Name == "" {
			im.remark(path, "has neither a name nor labels: Interlace takes it for every Application", "name the plugin trustomize in each of them", "")
		}
	}
}

func listLabels(labels labelMap) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, key+"="+labels[key])
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// verifyKey makes the profile's key a signer.
func (im *importer) verifyKey(text *policyText) {
	const path = "spec.verifyConfig.key"
	key := im.profile.Spec.VerifyConfig.Key
	if key.PEM != "" && key.Secret != "" {
		im.remark(path+".secret", "stands beside a PEM, which is what Interlace used: the Secret is not", "", "")
	}
	switch {
	case strings.Contains(key.PEM, "PRIVATE KEY"):
		im.fail(path+".PEM", "this is a private key, where sources are verified with a public one")
	case isPGP(key.PEM):
		text.signer.file = "keys/" + text.name + ".asc"
		text.signer.pgp = true
		im.remark(path+".PEM", "a PGP key is read from a file", "copy the block from the profile into "+text.signer.file, "")
	case key.PEM != "":
		parsed, err := parsePublic(key.PEM)
		if err != nil {
			im.fail(path+".PEM", "%v", err)
			return
		}
		pem, err := cryptoutils.MarshalPublicKeyToPEM(parsed.Public)
		if err != nil {
			im.fail(path+".PEM", "%v", err)
			return
		}
		text.signer.pem, text.signer.fingerprint = string(pem), parsed.Fingerprint
	case key.Secret != "":
		if im.objectName(path+".secret", key.Secret) {
			text.signer.file = "keys/" + key.Secret + ".pub"
			im.remark(path+".secret", "the policy reads no Secrets: the public key is named as a file", "put it there; where it is a PGP key ring, write pgp in place of publicKey", im.kubectl(key.Secret, text.signer.file))
		}
	default:
		text.signer.file = "keys/sources.pub"
		im.remark(path, "names no key: Interlace verified nothing and signed what it was given; here somebody must vouch for every source",
			"sign the sources with a key of your own, and put its public half there", "trustomize keys generate --output-key-prefix keys/sources")
	}
}

// sources makes a rule for each pattern.
func (im *importer) sources(text *policyText, matches []string) {
	text.matches = matches
	if len(matches) == 0 {
		text.matches = []string{matchPlaceholder}
		im.remarks = append(im.remarks, Remark{Path: "sources", Why: "a profile does not say which repositories its key is for: the policy has " + matchPlaceholder + " in that place, which trustomize policy check refuses",
			Do: "write it there, or import again with --match, once for each, such as --match 'github.com/acme/**'"})
	}
	im.remarks = append(im.remarks, Remark{Path: "bases", Why: "Interlace verified the repository that an Application names, and none that it loads; here every source needs a rule",
		Do: "sign, pin or lock the bases; trustomize verify prints which there are"})
}

// signKey names the private key as a file. A key in the profile itself is not
// copied.
func (im *importer) signKey(text *policyText) {
	const path = "spec.signConfig.key"
	key := im.profile.Spec.SignConfig.Key
	if key.PEM != "" && key.Secret != "" {
		im.remark(path+".secret", "stands beside a PEM, which is what Interlace used: the Secret is not", "", "")
	}
	switch {
	case key.PEM != "":
		text.signKey = "keys/" + text.name + "-sign.key"
		im.remark(path+".PEM", "the profile holds a private key in the clear: whoever could read the profile has it, and it is not copied",
			"make a new key, and have what verifies the manifests trust that one", "trustomize keys generate --output-key-prefix "+strings.TrimSuffix(text.signKey, ".key"))
	case key.Secret != "":
		if im.objectName(path+".secret", key.Secret) {
			text.signKey = "keys/" + key.Secret + ".key"
			im.remark(path+".secret", "the policy reads no Secrets: the private key is named as a file", "mount the Secret, or put the key there, where nobody else may read it", "(umask 077 && "+im.kubectl(key.Secret, text.signKey)+")")
		}
	default:
		text.signKey = "keys/manifests.key"
		im.remark(path, "names no key, and output is left unsigned only where a policy says so", "make a key, or write sign: none", "trustomize keys generate --output-key-prefix keys/manifests")
	}
	registry := im.profile.Spec.SignConfig.Registry
	if registry != (interlaceRegistry{}) {
		why := "no image of the manifest is pushed: each resource carries its own signature in annotations"
		if registry.Insecure {
			why += "; there is nothing that turns TLS off"
		}
		im.remark("spec.signConfig.registry", why, "verify resources by their annotations, with the public half of the signing key", "")
	}
}

// signMatch takes the patterns as they are, and says where they mean something
// else here: Interlace knows a star only at the end, sees resources as ArgoCD
// prints them, and signs Secrets too.
func (im *importer) signMatch(text *policyText) {
	const path = "spec.signConfig.match"
	match := im.profile.Spec.SignConfig.Match
	text.signMatch = match
	secrets := len(match) == 0
	for i, m := range match {
		at := fmt.Sprintf("%s[%d]", path, i)
		for _, field := range resourceFields(m) {
			if n := strings.Count(field.value, "*"); n > 1 || n == 1 && !strings.HasSuffix(field.value, "*") {
				im.remark(at+"."+field.name, "a star is any text wherever it stands; for Interlace it is one at the end only", "check that it selects what you mean", "")
			}
		}
		if m.Namespace != "" {
			im.remark(at+".namespace", "is compared with the namespace in what kustomize prints, which may lack the one that ArgoCD fills in", "set the namespace in the kustomization, or leave this out", "")
		}
		if m.Kind == "Secret" {
			im.remark(at, "Secrets are not signed: their values would stand in annotations; a build that has one fails", "take this entry out", "")
		}
		prefix, wild := strings.CutSuffix(m.Kind, "*")
		secrets = secrets || m.Kind == "" || wild && strings.HasPrefix("Secret", prefix)
	}
	if secrets {
		im.remark(path, "selected Secrets as well, which stay unsigned here: their values would stand in annotations", "", "")
	}
}

// resourceField is a field of a resource's match.
type resourceField struct{ name, value string }

// resourceFields returns the fields that are set.
func resourceFields(m ResourceMatch) []resourceField {
	all := []resourceField{{"group", m.Group}, {"version", m.Version}, {"kind", m.Kind}, {"namespace", m.Namespace}, {"name", m.Name}}
	return slices.DeleteFunc(all, func(f resourceField) bool { return f.value == "" })
}

// log keeps a log that the profile names, with a file for its key that has to
// be provided.
func (im *importer) log(text *policyText) {
	const path = "spec.provenanceConfig"
	if key := im.profile.Spec.ProvenanceConfig.Key; key != (interlaceKey{}) {
		im.remark(path+".key", "provenance is signed with the key that signs the output, sign.key", "", "")
	}
	if text.rekor = im.profile.Spec.ProvenanceConfig.RekorURL; text.rekor == "" {
		im.remarks = append(im.remarks, Remark{Path: "provenance", Why: "the profile names no log; whether Interlace logged, and where, stood in its Deployment (UPLOAD_TLOG, REKOR_SERVER). The policy logs nothing",
			Do: "to log, set log.mode to required and name a log and its key"})
		return
	}
	if err := rekorURL(text.rekor); err != nil {
		im.fail(path+".rekorURL", "%v", err)
		return
	}
	im.remark(path+".rekorURL", "the log is kept, but a proof from it counts only with its public key, which a profile does not have; trustomize policy check refuses the policy until "+rekorKeyFile+" is there",
		"get the key from whoever runs the log; the log's own word for it is no proof", "")
}

// rekorKeyFile is where the log's key is expected.
const rekorKeyFile = "keys/rekor.pub"

// outside says what a user of Interlace has set elsewhere.
func (im *importer) outside() {
	im.remarks = append(im.remarks, Remark{Path: "annotations of Applications", Why: "interlace.argocd.dev/manifestImage is not read, and MANIFEST_STORAGE_TYPE of Interlace's Deployment neither: signatures are in the resources' annotations",
		Do: "remove them once nothing verifies by the image any more"})
}
