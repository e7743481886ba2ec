package kyverno

import (
	"strings"
	"testing"
)

func TestClusterPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		options    Options
		want, none []string
	}{
		"everything": {Options{Keys: []string{"A", "B"}},
			[]string{"count: 1", "  A\n", "  B\n", "- apps/*/Deployment", "trustomize.dev/signed: required", "operations: [CREATE, UPDATE]", "replicaset-controller"}, []string{"Secret", "names:"}},
		"some": {Options{Keys: []string{"A"}, Match: []Match{{Kind: "Deployment", Group: "apps"}, {Kind: "Widget", Name: "a-*", Namespace: "web"}, {Kind: "Secret"}}},
			[]string{"- apps/*/Deployment", "'*/*/Widget'", "- a-*", "- web"}, []string{"Secret", "- Service\n"}},
		"a group": {Options{Keys: []string{"A"}, Match: []Match{{Group: "example.com"}}}, []string{"- example.com/*/*"}, []string{"- Service\n", "apps/*/Deployment"}},
	} {
		data, err := ClusterPolicy(test.options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, want := range test.want {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s: no %q in\n%s", name, want, data)
			}
		}
		for _, none := range test.none {
			if strings.Contains(string(data), none) {
				t.Errorf("%s: %q in\n%s", name, none, data)
			}
		}
	}
	for want, options := range map[string]Options{"no public key": {}, "nothing is signed": {Keys: []string{"A"}, Match: []Match{{Kind: "Secret"}}}} {
		if _, err := ClusterPolicy(options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
