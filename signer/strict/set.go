package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Built is one resource of a build, as its statement has it.
type Built struct {
	Name     string // as [Name] has it, of the resource as it was built
	Digest   string // SHA-256 of its message, hexadecimal; of a Secret, that of its [signer.SecretOutline]
	Unsigned bool   // it carries no signature
}

// CheckSet holds verified resources against all that one build made: what is of
// another build or older, and what is missing. A resource that the build left
// unsigned may be missing; where it is there, byte for byte as it was built, the
// statement vouches for it in place of a signature. Of a Secret it cannot: it does
// not know the values, which may be those of another build.
func CheckSet(built []Built, verdicts []*Verdict) []*refusal.Refusal {
	var refusals []*refusal.Refusal
	matched := make([]bool, len(built))
	for _, v := range verdicts {
		i := find(built, v)
		switch {
		case i >= 0 && v.Digest == "":
			v.Refusals = slices.DeleteFunc(v.Refusals, func(r *refusal.Refusal) bool { return r.Code == refusal.Unsigned })
			v.Digest = v.plain
			v.Explained = append(v.Explained, Explained{"", "not signed; it is what the statement says that was built"})
		case i < 0 && (v.Digest != "" || v.OK()):
			refusals = append(refusals, stranger(built, v))
		}
		if i < 0 {
			i = byName(built, v.Resource) // told of already, whatever is wrong with it
		}
		if i >= 0 {
			matched[i] = true
		}
	}
	for i, b := range built {
		if !matched[i] && !b.Unsigned {
			refusals = append(refusals, &refusal.Refusal{Code: refusal.Missing, Source: b.Name, Reason: "is part of the build, and not among the resources that were given"})
		}
	}
	return refusals
}

// stranger refuses a signed resource that is not of the build.
func stranger(built []Built, v *Verdict) *refusal.Refusal {
	r := &refusal.Refusal{Code: refusal.NotInBuild, Source: v.Resource, Reason: "is not of the build that the statement is about"}
	if i := byName(built, v.Resource); i >= 0 {
		r.Reason = "is of another build than the statement"
		r.Want, r.Got = "message sha256:"+built[i].Digest, "sha256:"+cmp.Or(v.Digest, v.plain)
		if v.outline != "" {
			r.Want, r.Got = "sha256:"+built[i].Digest+", without its values", "sha256:"+v.outline
		}
	}
	return r
}

// find returns what a resource was in the build, or -1.
func find(built []Built, v *Verdict) int {
	for i, b := range built {
		if !isName(b.Name, v.Resource) {
			continue
		}
		switch {
		case v.Digest == "": // no signature is there, or none counts
			if b.Unsigned && v.plain != "" && b.Digest == v.plain {
				return i
			}
		case v.outline != "":
			if !b.Unsigned && b.Digest == v.outline {
				return i
			}
		case b.Digest == v.Digest:
			return i
		}
	}
	return -1
}

func byName(built []Built, name string) int {
	for i, b := range built {
		if isName(b.Name, name) {
			return i
		}
	}
	return -1
}

// isName reports whether a live resource can be one of a build by its name: it may
// have got a namespace since, and a name that begins as it was to.
func isName(built, live string) bool {
	b, l := splitName(built), splitName(live)
	if b == nil || l == nil || b[0] != l[0] || b[1] != l[1] || b[2] != "-" && b[2] != l[2] {
		return false
	}
	prefix, generated := strings.CutSuffix(b[3], "*")
	return b[3] == l[3] || generated && strings.HasPrefix(l[3], prefix)
}

// splitName returns apiVersion, kind, namespace and name.
func splitName(name string) []string {
	parts := strings.Split(name, "/")
	if n := len(parts); n >= 4 {
		return []string{strings.Join(parts[:n-3], "/"), parts[n-3], parts[n-2], parts[n-1]}
	}
	return nil
}

// String tells a verdict in one line.
func (v *Verdict) String() string {
	s := fmt.Sprintf("%s signed by %s", v.Resource, v.Signer)
	if o := v.Origin; o != nil && o.Source != "" {
		s += " from " + o.Source
	}
	return refusal.Printable(s)
}
