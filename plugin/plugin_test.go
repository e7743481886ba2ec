package plugin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/kustedit"
)

// TestCMP holds the file that every sidecar mounts to what every Application
// relies on.
func TestCMP(t *testing.T) {
	data, err := os.ReadFile("../cmp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             map[string]any
	}
	if err := yaml.UnmarshalStrict(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.APIVersion != "argoproj.io/v1alpha1" || got.Kind != "ConfigManagementPlugin" || got.Metadata.Name != "trustomize" {
		t.Errorf("%+v", got)
	}
	if _, ok := got.Spec["version"]; ok {
		t.Error("with a version, every Application would have to name it")
	}
	if _, ok := got.Spec["discover"]; ok {
		t.Error("a discovery fails open")
	}
	if got.Spec["preserveFileMode"] != true {
		t.Error("without modes, no commit is that of what was sent")
	}
}

func TestReadSettings(t *testing.T) {
	for name, c := range map[string]struct {
		env  Environment
		want settings
		fail string
	}{
		"nothing": {env: Environment{}},
		"empty":   {env: Environment{varParameters: `[{"name":"images"},{"name":"namePrefix","string":""},{"name":"replicas","map":{}},{"name":"components","array":[]}]`}},
		"text":    {env: Environment{varParameters: `[{"name":"namePrefix","string":"$ARGOCD_APP_NAME-"}]`, varName: "web"}, want: settings{edits: kustedit.Edits{NamePrefix: "$ARGOCD_APP_NAME-"}}},
		"images": {
			env:  Environment{varParameters: `[{"name":"images","array":["a:$ARGOCD_APP_REVISION","b:$$x$HOME"]}]`, varRevision: "1", "HOME": "/root", "ARGOCD_ENV_IMAGE_B": "c:2", "ARGOCD_ENV_IMAGE_A": "d:3"},
			want: settings{edits: kustedit.Edits{Images: []string{"a:1", "b:$x", "d:3", "c:2"}}},
		},
		"labels":            {env: Environment{varParameters: `[{"name":"commonLabels","map":{"a":"${ARGOCD_APP_NAME}"}}]`, varName: "web"}, want: settings{edits: kustedit.Edits{CommonLabels: map[string]string{"a": "web"}}}},
		"annotations":       {env: Environment{varParameters: `[{"name":"commonAnnotations","map":{"a":"$ARGOCD_APP_NAME"}}]`, varName: "web"}, want: settings{edits: kustedit.Edits{CommonAnnotations: map[string]string{"a": "$ARGOCD_APP_NAME"}}}},
		"expanded":          {env: Environment{varParameters: `[{"name":"commonAnnotations","map":{"a":"$ARGOCD_APP_NAME"}},{"name":"commonAnnotationsEnvsubst","string":"true"}]`, varName: "web"}, want: settings{annotationEnv: true, edits: kustedit.Edits{CommonAnnotations: map[string]string{"a": "web"}}}},
		"build options":     {env: Environment{varParameters: `[{"name":"buildOptions","string":" --reorder=none  --load-restrictor LoadRestrictionsNone --enable-helm "}]`}, want: settings{options: trustomize.Options{Reorder: "none", AnyFile: true, Flags: []string{"enable-helm"}}}},
		"PARAM is not read": {env: Environment{"PARAM_NAMEPREFIX": "x"}},
		"twice":             {env: Environment{varParameters: `[{"name":"namePrefix","string":"a"},{"name":"namePrefix","string":"b"}]`}, fail: "is set twice"},
		"another kind":      {env: Environment{varParameters: `[{"name":"namePrefix","array":["a"]}]`}, fail: "want string"},
		"a map for text":    {env: Environment{varParameters: `[{"name":"images","map":{"a":"b"}}]`}, fail: "want array"},
		"text for a map":    {env: Environment{varParameters: `[{"name":"commonLabels","string":"a=b"}]`}, fail: "want map"},
		"not JSON":          {env: Environment{varParameters: `x`}, fail: varParameters},
		"more":              {env: Environment{varParameters: `[][]`}, fail: "something follows"},
		"unknown field":     {env: Environment{varParameters: `[{"name":"images","file":"x"}]`}, fail: "unknown field"},
		"a flag's value":    {env: Environment{varParameters: `[{"name":"buildOptions","string":"--output x"}]`}, fail: "unknown flag: --output"},
		"a word":            {env: Environment{varParameters: `[{"name":"buildOptions","string":"x"}]`}, fail: `"x" is not a flag`},
		"templates alone":   {env: Environment{varParameters: `[{"name":"labelIncludeTemplates","string":"true"},{"name":"commonLabels","map":{"a":"b"}}]`}, fail: "only with labelWithoutSelector"},
		"an unknown patch":  {env: Environment{varParameters: `[{"name":"patches","array":["{patch: x, helm: y}"]}]`}, fail: "unknown field"},
		"negative":          {env: Environment{varParameters: `[{"name":"replicas","map":{"a":"-1"}}]`}, fail: "want a number of replicas"},
		"an empty image":    {env: Environment{"ARGOCD_ENV_IMAGE_A": ""}, fail: `plugin.env "IMAGE_A" is empty`},
		"plugin.env":        {env: Environment{"ARGOCD_ENV_PATH": "/evil"}, fail: `plugin.env "PATH" is not known`},
	} {
		got, err := readSettings(c.env)
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: %v, want %q", name, err, c.fail)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !reflect.DeepEqual(*got, c.want):
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}

// TestRepositoryRoot holds that a directory is found by where the cmp-server put
// it, not by what lies in it.
func TestRepositoryRoot(t *testing.T) {
	parent := t.TempDir()
	top := filepath.Join(parent, workDirName, "call")
	for _, dir := range []string{"deploy", "other/deploy", "deploy/deploy"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("other/deploy", filepath.Join(top, "linked")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, dir string
		ok        bool
	}{
		{"", ".", true},
		{".", ".", true},
		{"deploy", "deploy", true},
		{"deploy/deploy", "deploy/deploy", true},
		{"linked", "linked", true},
		{"linked", "other/deploy", true}, // where the system says that it is
		{"deploy", "deploy/deploy", false},
		{"deploy", "other/deploy", false},
		{"deploy", ".", false},
		{"missing", "deploy", false},
		{"../call/deploy", "deploy", false},
		{"/deploy", "deploy", false},
		{"deploy", "..", false},
		{"deploy", "../..", false},
	} {
		got, err := repositoryRoot(Environment{varWorkDir: parent, varPath: c.path}, filepath.Join(top, c.dir))
		if (err == nil) != c.ok || c.ok && got != top {
			t.Errorf("path %q in %q: %q, %v", c.path, c.dir, got, err)
		}
	}
}

func TestMessage(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	got := Message("trustomize: open /tmp/_cmp_server/0a1b/deploy/x: no\n" + long + "\n" + strings.Repeat("line\n", 50) + "git in /var/cache/tmp/git-12345/objects\n")
	lines := strings.Split(got, "\n")
	if lines[0] != "trustomize: open deploy/x: no" || len(lines[1]) != maxLine+3 || len(lines) != maxLines+3 || !strings.Contains(got, "more lines follow") {
		t.Errorf("%d lines: %.300s", len(lines), got)
	}
	a, b := Message("in /var/cache/tmp/git-1/x and /work/_cmp_server/aa"), Message("in /var/cache/tmp/git-22/x and /work/_cmp_server/bb")
	if a != b || !strings.Contains(a, "hard refresh") {
		t.Errorf("%q, %q", a, b)
	}
}

func TestAnnounce(t *testing.T) {
	data, err := Announce()
	if err != nil {
		t.Fatal(err)
	}
	var all []announcement
	if err := json.Unmarshal(data, &all); err != nil || len(all) != len(parameters()) {
		t.Fatalf("%d, %v", len(all), err)
	}
	for _, one := range all {
		if one.Title == "" || one.Tooltip == "" || one.ItemType == "" || one.CollectionType == "" {
			t.Errorf("%+v", one)
		}
	}
}

// FuzzSettings holds that parameters of whatever content give settings or an
// error, and that an owner's text never becomes anything but overrides.
func FuzzSettings(f *testing.F) {
	f.Add(`[{"name":"images","array":["a:1"]},{"name":"replicas","map":{"a":"1"}}]`, "a=b:1")
	f.Add(`[{"name":"patches","array":["patch: x\ntarget: {kind: A, name: b}"]},{"name":"buildOptions","string":"--reorder=legacy"}]`, "")
	f.Fuzz(func(t *testing.T, parameters, image string) {
		s, err := readSettings(Environment{varParameters: parameters, imagePrefix + "X": image})
		if err == nil && !strings.Contains(strings.Join(s.edits.Images, "\n"), Environment{}.expand(image)) {
			t.Errorf("%q is lost", image)
		}
	})
}

// FuzzConvert holds that no document makes a conversion panic.
func FuzzConvert(f *testing.F) {
	f.Add("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {source: {repoURL: x, kustomize: {images: [a]}}}")
	f.Add("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {sources: [{kustomize: {patches: [{patch: x}], replicas: [{name: a, count: \"1\"}]}}]}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Convert([]byte(text))
		if err == nil && len(c.Application) == 0 {
			t.Error("nothing came out")
		}
	})
}
