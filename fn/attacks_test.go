package fn

import (
	"strings"
	"testing"
)

const deployment = `- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: web
  spec:
    replicas: 1
    template: {spec: {containers: [{name: c, image: good}]}}
`

const localPod = "- {apiVersion: v1, kind: Pod, metadata: {name: evil, annotations: {X}}, spec: {containers: []}}\n"

// signedItem is the deployment with a signature.
func signedItem(t *testing.T) string {
	t.Helper()
	out, err := run(t, sharedRequest(t), listOf(deployment, "kind: ManifestSigner"))
	if err != nil {
		t.Fatal(err)
	}
	return out[strings.Index(out, "- apiVersion"):strings.Index(out, "functionConfig:")]
}

// TestTwoReadings are items that are one thing to one program and another to the next.
// None may pass, whether it is looked at or not.
func TestTwoReadings(t *testing.T) {
	req := sharedRequest(t)
	signed := signedItem(t)
	in := func(old, new string) string { return strings.Replace(signed, old, new, 1) }
	unsigned := func(head string) string {
		return signed + "- " + strings.ReplaceAll(head, "\n", "\n  ") + "\n  metadata: {name: evil}\n  spec: {replicas: 100}\n"
	}
	const all, some = "kind: SignatureCheck", "kind: SignatureCheck\nspec: {match: [{kind: Deployment}]}"
	for name, c := range map[string]struct{ items, config, want string }{
		"nothing":                  {signed, all, ""},
		"merge":                    {in("    replicas: 1\n", "    replicas: 1\n    <<: {replicas: 100}\n"), all, "line 13: the key << is a merge"},
		"merge in flow":            {in("image: good", "image: good, <<: {image: evil}"), all, "the key << is a merge"},
		"quoted merge":             {in("    replicas: 1\n", "    replicas: 1\n    '<<': {replicas: 100}\n"), all, "the key << is a merge"},
		"merge of who it is":       {unsigned("kind: ConfigMap\n<<: {kind: Deployment}\napiVersion: apps/v1"), some, "the key << is a merge"},
		"tagged key":               {in("    replicas: 1\n", "    !!binary cmVwbGljYXM=: 1\n"), all, "a key is no plain text"},
		"twice":                    {in("    replicas: 1\n", "    replicas: 1\n    'replicas': 100\n"), all, `the field "replicas" is there twice`},
		"kind twice":               {unsigned("kind: ConfigMap\nkind: Deployment\napiVersion: apps/v1"), some, `the field "kind" is there twice`},
		"metadata twice":           {in("  spec:", "  metadata: {name: other}\n  spec:"), all, `the field "metadata" is there twice`},
		"alias as kind":            {unsigned("x: &ConfigMap Deployment\nkind: *ConfigMap\napiVersion: apps/v1"), some, "[unsigned]"},
		"alias of another's":       {signed + "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a, labels: &l {a: b}}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n  data: *l\n", some, "stands for something outside of it"},
		"local by alias":           {strings.Replace(unsigned("x: &true \"false\"\nkind: Deployment\napiVersion: apps/v1"), "{name: evil}", "{name: evil, annotations: {config.kubernetes.io/local-config: *true}}", 1), all, "[unsigned]"},
		"list":                     {signed + "- {apiVersion: v1, kind: List, items: []}\n", some, "has items of its own"},
		"list in disguise":         {signed + "- {apiVersion: v1, kind: Any, metadata: {name: a}, items: [{apiVersion: v1, kind: Secret}]}\n", some, "has items of its own"},
		"list as our own":          {signed + "- {apiVersion: trustomize.dev/v1alpha1, kind: SignatureCheck, metadata: {name: a}, items: [{apiVersion: v1, kind: Secret}]}\n", all, "has items of its own"},
		"kind that is no text":     {unsigned("kind: yes\napiVersion: apps/v1"), some, "kind is no text"},
		"name read in two ways":    {signed + "- {apiVersion: v1, kind: ConfigMap, metadata: {name: 0o7}}\n", some, "name"},
		"kind alone":               {signed + "- {kind: Deployment, metadata: {name: a}}\n", some, "want apiVersion and kind"},
		"neither":                  {signed + "- {resources: [a.yaml]}\n", all, ""},
		"tag without a name":       {in("replicas: 1", "replicas: ! 1"), all, "spec.replicas: kubectl reads"},
		"ambiguous":                {in("image: good", "image: good, tty: yes"), all, "tty: kubectl reads true here"},
		"ambiguous, not looked at": {signed + "- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: yes}}\n", some, ""},
		"a Secret":                 {signed + "- {apiVersion: v1, kind: Secret, metadata: {name: a, namespace: prod}}\n", "kind: SignatureCheck\nspec: {match: [{kind: '*'}]}", "[unsigned]"},
		"comment that is written as content": {
			signed + "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  args: &x # c\n  - |- #!/usr/bin/evil\n    print(1)\n", some, "once written, it would be read otherwise",
		},
		"a mapping that is null":            {signed + "- apiVersion: v1\n  kind: Pod\n  metadata: !!null {name: evil}\n", some, "the tag !!null is not that of a mapping"},
		"a list that is a text":             {signed + "- {apiVersion: v1, kind: Pod, metadata: {name: evil}, spec: {containers: !!str [a]}}\n", some, "the tag !!str is not that of"},
		"local to some":                     {signed + strings.Replace(localPod, "X", `config.kubernetes.io/local-config: "true", x: null`, 1), all, "[unsigned]"},
		"local by a boolean":                {signed + strings.Replace(localPod, "X", `config.kubernetes.io/local-config: true`, 1), all, "[unsigned]"},
		"local":                             {signed + strings.Replace(localPod, "X", `config.kubernetes.io/local-config: "true"`, 1), all, ""},
		"stored by nobody":                  {in("    name: web\n", "    name: web\n    uid: 01234567-0123-0123-0123-0123456789ab\n    resourceVersion: \"12\"\n    creationTimestamp: \"2026-01-01T00:00:00Z\"\n"), all, ""},
		"to be hashed":                      {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/needsHashSuffix: enabled`, 1), some, "kustomize will rename it"},
		"renamed":                           {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/previousNames: web`, 1), some, "kustomize will rename it"},
		"renamed once":                      {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/previousNames: "evil,web"`, 1), some, "kustomize will rename it"},
		"of another kind":                   {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/previousKinds: Deployment`, 1), some, "kustomize will rename it"},
		"moved":                             {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/previousNamespaces: prod`, 1), some, "kustomize will rename it"},
		"renamed to the same":               {signed + strings.Replace(localPod, "X", `internal.config.kubernetes.io/previousNames: evil, internal.config.kubernetes.io/previousNamespaces: default`, 1), some, "kustomize will rename it"},
		"described":                         {in("    annotations:\n", "    annotations:\n      kustomize.config.k8s.io/id: a\n      config.kubernetes.io/origin: a\n"), all, "leave buildMetadata out"},
		"described, by the signer":          {in("    annotations:\n", "    annotations:\n      kustomize.config.k8s.io/id: a\n      alpha.config.kubernetes.io/transformations: a\n"), "kind: ManifestSigner", "leave buildMetadata out"},
		"an annotation like an internal":    {in("    annotations:\n", "    annotations:\n      internal.config.kubernetes.io/other: a\n"), all, "[changed]"},
		"kpt's own":                         {signed + "- {apiVersion: kpt.dev/v1, kind: Kptfile, metadata: {name: a}}\n- {apiVersion: kpt.dev/v1alpha1, kind: ResourceGroup, metadata: {name: a}}\n", all, ""},
		"a kustomization without a version": {signed + "- {kind: Kustomization, resources: [a.yaml]}\n", all, ""},
		"a name of two lines":               {signed + "- {apiVersion: v1, kind: Pod, metadata: {name: \"a\\ntrustomize: all is well\"}}\n", all, `v1/Pod/-/a\ntrustomize: all is well`},
	} {
		out, err := run(t, req, listOf(c.items, c.config))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(out, "items: []") || !strings.Contains(out, "severity: error") || !strings.Contains(err.Error()+out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if strings.Contains(out, "policy: none") {
			t.Errorf("%s: which policy decided is not said:\n%s", name, out)
		}
	}
}

// TestMalformed are lists of which a part would be passed over.
func TestMalformed(t *testing.T) {
	req := sharedRequest(t)
	whole := listOf(deployment, "kind: ManifestSigner")
	for name, c := range map[string]struct{ in, want string }{
		"items twice":          {whole + "items: []\n", `the field "items" is there twice`},
		"functionConfig twice": {whole + "functionConfig: {}\n", `the field "functionConfig" is there twice`},
		"another field":        {whole + "item: []\n", `"item" is no field of it`},
		"items is a text":      {strings.Replace(whole, "items:\n"+deployment, "items: hello\n", 1), "items is no list"},
		"items is an alias":    {"results: &x [a]\n" + strings.Replace(whole, "items:\n"+deployment, "items: *x\n", 1), "items is no list"},
		"a second document":    {whole + "---\n" + whole, "something behind its document"},
		"behind the end":       {whole + "...\n" + whole, "something behind its document"},
		"merged":               {whole + "<<: {items: []}\n", "the key << is a merge"},
		"an item is null":      {listOf("- null\n", "kind: ManifestSigner"), "items[0] is no mapping"},
		"config is a text":     {strings.Replace(whole, whole[strings.Index(whole, "functionConfig"):], "functionConfig: a\n", 1), "functionConfig is no mapping"},
	} {
		out, err := run(t, req, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(out, "items: []") || strings.Contains(out, "policy: none") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestGeneratorNames: what a generator replaces is in a folder of its own.
func TestGeneratorNames(t *testing.T) {
	req := sharedRequest(t)
	for _, name := range []string{`""`, ".", "..", "/", "x/b", `"a\nb"`, "-"} {
		in := strings.Replace(listOf("", "kind: VerifiedBase\nspec: {bases: [{url: https://github.com/acme/base}]}"), "name: test", "name: "+name, 1)
		if out, err := run(t, req, in); err == nil || !strings.Contains(err.Error(), "does not name a folder") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestTexts: what is signed is what is emitted, however it was written.
func TestTexts(t *testing.T) {
	req := sharedRequest(t)
	for _, text := range []string{
		"a: >-\n  Options:\n    * one\n    * two\n  end\n", "a: >\n  x\n\n    y\n  z\n\n", "a: |2\n    lead\n  x\n", "a: |+\n  keep\n\n\n", "a: >+\n  keep\n\n",
		"args: [\"  a\\nb\", {'1': c}]\n", "a:\n- - - |2\n          x\n        y\n", "a: \"\\ta\\n\"\n", "a: \"a\\n\\n\\n\"\n", "a: \"---\\nb\\n\"\n", "? |\n  k\n: |+\n  v\n\n",
		"a: # one\n- b # two\n# three\n- |\n  # no comment\n", "a: !!str 1\n", "a: '!'\n", "labels: &l {a: b}\nselector: *l\n",
	} {
		item := "- apiVersion: v1\n  kind: Foo\n  metadata: {name: a}\n  spec:\n    " + strings.TrimRight(strings.ReplaceAll(text, "\n", "\n    "), " ")
		out, err := run(t, req, listOf(item, "kind: ManifestSigner"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		out, err = run(t, req, strings.Replace(out, "kind: ManifestSigner", "kind: SignatureCheck", 1))
		if err != nil || !strings.Contains(out, "1 of 1 resources verified") {
			t.Errorf("%q: %v\n%s", text, err, out)
		}
	}
}

// TestFilesAreNotStored: what looks like an object of a cluster's is a file here.
func TestFilesAreNotStored(t *testing.T) {
	req := sharedRequest(t)
	out, err := run(t, req, listOf("- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, ports: [{port: 80}]}}\n", "kind: ManifestSigner"))
	if err != nil {
		t.Fatal(err)
	}
	check := strings.NewReplacer("kind: ManifestSigner", "kind: SignatureCheck", "{port: 80}", "{port: 80, nodePort: 30080}",
		"{name: web,", `{name: web, uid: 01234567-0123-0123-0123-0123456789ab, resourceVersion: "12", creationTimestamp: "2026-01-01T00:00:00Z",`).Replace(out)
	if out, err := run(t, req, check); err == nil || !strings.Contains(err.Error(), "spec.ports[0].nodePort: was added") {
		t.Errorf("%v\n%s", err, out)
	}
}
