package deploy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestKyvernoPolicy: the policy that the program prints is one that Kyverno's own
// definition takes, demands what the one here demands, and ignores the same.
func TestKyvernoPolicy(t *testing.T) {
	c := installed(t)
	dir := write(t, map[string]string{"policy.yaml": kindsPolicy})
	for _, name := range []string{"sources", "manifests"} {
		if _, said, status := trustomize(t, dir, []string{"COSIGN_PASSWORD=x"}, "keys", "generate", "--output-key-prefix", name); status != 0 {
			t.Fatal(said)
		}
	}
	out, said, status := trustomize(t, dir, nil, "policy", "kyverno", "policy.yaml")
	if status != 0 {
		t.Fatal(said)
	}
	if err := c.attempt(admin, merged(t, out, "metadata: {name: another}"), false); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	var printed struct{ Spec struct{ Rules []kyvernoRule } }
	if err := yaml.Unmarshal([]byte(out), &printed); err != nil {
		t.Fatal(err)
	}
	got, want := printed.Spec.Rules[0], verifierRule(t)
	if !reflect.DeepEqual(got.Validate.Manifests.IgnoreFields, want.Validate.Manifests.IgnoreFields) {
		t.Errorf("ignores\n%v, want\n%v", got.Validate.Manifests.IgnoreFields, want.Validate.Manifests.IgnoreFields)
	}
	key, err := os.ReadFile(filepath.Join(dir, "manifests.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if printed := got.Validate.Manifests.Attestors[0].Entries[0].Keys.PublicKeys; strings.TrimSpace(printed) != strings.TrimSpace(string(key)) {
		t.Errorf("the key is %s", printed)
	}
}
