package signer

import (
	"slices"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Selector chooses resources. Empty fields match everything, "*" any text,
// also as a part of one.
type Selector struct {
	Group, Version, Kind, Namespace, Name string
}

// Selects reports whether the resource is one to sign.
func (s *Signer) Selects(r *kyaml.RNode) bool {
	if len(s.Match) == 0 {
		return !IsSecret(r)
	}
	return slices.ContainsFunc(s.Match, func(m Selector) bool { return m.matches(r) })
}

const kindSecret = "Secret"

// IsSecret reports whether the resource is a Secret of Kubernetes, in whatever
// group: its values are shown nowhere.
func IsSecret(r *kyaml.RNode) bool { return r.GetKind() == kindSecret }

// matches reports whether the resource is one to sign: what signs Secrets says so by
// their kind's own name.
func (m Selector) matches(r *kyaml.RNode) bool {
	return (!IsSecret(r) || m.Kind == kindSecret) && m.Covers(r.GetApiVersion(), r.GetKind(), r.GetNamespace(), r.GetName())
}

// Covers reports whether the pattern holds of a resource, Secret or not.
func (m Selector) Covers(apiVersion, kind, namespace, name string) bool {
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group, version = "", group
	}
	for _, pair := range [][2]string{{m.Group, group}, {m.Version, version}, {m.Kind, kind}, {m.Namespace, namespace}, {m.Name, name}} {
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
