package kustedit

import (
	"regexp"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/trustomize/trustomize/internal/kustfile"
)

// plain is text that, as a regular expression, matches nothing but itself: the
// fields of a patch's target are such expressions.
var plain = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// patched returns KIND/NAME of what a patch changes, "" where that may be more
// than one thing, or where the patch may turn it into another.
func patched(p *types.Patch) string {
	if p.Options != nil {
		return "" // all that there are allow another name or kind
	}
	if t := p.Target; t != nil {
		if !plain.MatchString(t.Kind) || !plain.MatchString(t.Name) {
			return ""
		}
		return t.Kind + "/" + t.Name
	}
	// Without a target, it is what the patch says of itself, as kustomize reads
	// it. A file's patch is not known here.
	if p.Patch == "" || p.Path != "" || kustfile.CheckAliases([]byte(p.Patch)) != nil {
		return ""
	}
	found, err := provider.NewDefaultDepProvider().GetResourceFactory().SliceFromBytes([]byte(p.Patch))
	if err != nil || len(found) != 1 || found[0].GetKind() == "" || found[0].GetName() == "" {
		return ""
	}
	return found[0].GetKind() + "/" + found[0].GetName()
}
