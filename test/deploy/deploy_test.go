package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// top is the project's top directory.
const top = "../.."

// What deploy/ is held against, by the checksum that go.sum would have.
var (
	argoCD  = module{"github.com/argoproj/argo-cd/v3@v3.2.12", "h1:XbOyqcoPIjMhiP+y05Zi2U+HfG3b2TNfGJgVuK5Y8g0="}
	kyverno = module{"github.com/kyverno/kyverno@v1.19.1", "h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU="}
)

type module struct{ at, sum string }

// dir returns the directory in which the go command unpacked the module.
func (m module) dir() (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", m.at)
	cmd.Dir = os.TempDir() // in no module: its go.sum would have to name it
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", m.at, err, out)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		return "", fmt.Errorf("%s: %w", m.at, err)
	}
	if got.Sum != m.sum {
		return "", fmt.Errorf("%s: want the checksum %s, got %s", m.at, m.sum, got.Sum)
	}
	return got.Dir, nil
}

// installation returns a copy of deploy/ with ArgoCD's manifests where its
// example wants them, and a folder plain beside it with nothing else.
var installation = sync.OnceValues(func() (string, error) {
	argo, err := argoCD.dir()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "deploy-")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(top, "deploy"))); err != nil {
		return "", err
	}
	manifests, err := os.ReadFile(filepath.Join(argo, "manifests", "install.yaml"))
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "plain"), 0o755); err != nil {
		return "", err
	}
	for name, data := range map[string][]byte{
		"example/install.yaml":     manifests,
		"plain/install.yaml":       manifests,
		"plain/kustomization.yaml": []byte("namespace: argocd\nresources: [install.yaml]\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// object is a document of a build.
type object struct {
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
	yaml             []byte
}

func (o object) String() string { return o.Kind + " " + o.Metadata.Name }

// built remembers builds: ArgoCD's definitions of its kinds are a megabyte.
var built = map[string][]object{}

// build builds one kustomization below deploy/.
func build(t *testing.T, path string) []object {
	t.Helper()
	if all, ok := built[path]; ok {
		return all
	}
	dir, err := installation()
	if err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var all []object
	for _, r := range resources.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o := object{yaml: data}
		if err := yaml.Unmarshal(data, &o); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, o)
	}
	if len(all) == 0 {
		t.Fatalf("%s builds nothing", path)
	}
	built[path] = all
	return all
}

// find returns the one object of that kind and name.
func find(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	for _, o := range objects {
		if o.Kind == kind && o.Metadata.Name == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return object{}
}

// program returns the project's own, built as a user would.
var program = sync.OnceValues(func() (string, error) {
	return goBuild(top, "deploy-trustomize", "./cmd/trustomize")
})

// goBuild builds a program into the project's bin/, where the go command finds
// it the next time.
func goBuild(dir, name, what string) (string, error) {
	path, err := filepath.Abs(filepath.Join(top, "bin", name))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", path, what)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", what, err, bytes.TrimSpace(out))
	}
	return path, nil
}

func TestMain(m *testing.M) {
	status := m.Run()
	stopCluster()
	if dir, err := installation(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}
