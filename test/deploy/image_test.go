package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dockerfile returns the instructions of the image's Dockerfile, each on a line.
func dockerfile(t *testing.T) []string {
	t.Helper()
	var instructions []string
	more := false
	for line := range strings.Lines(read(t, "deploy/Dockerfile")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, continued := strings.CutSuffix(line, `\`)
		text = strings.TrimSpace(text)
		if more {
			instructions[len(instructions)-1] += " " + text
		} else {
			instructions = append(instructions, text)
		}
		more = continued
	}
	return instructions
}

func TestDockerfile(t *testing.T) {
	all := dockerfile(t)
	var user, froms, args []string
	for _, one := range all {
		verb, rest, _ := strings.Cut(one, " ")
		switch verb {
		case "FROM":
			froms, user = append(froms, rest), nil
		case "USER":
			user = append(user, rest)
		case "ARG":
			args = append(args, rest)
		case "COPY", "RUN", "ENV", "WORKDIR", "ENTRYPOINT":
		default:
			t.Errorf("%s fetches or sets what the build does not fix", one)
		}
		if strings.Contains(one, ":latest") || regexp.MustCompile(`\b(curl|wget)\b`).MatchString(one) {
			t.Errorf("not pinned: %s", one)
		}
	}
	if want := []string{"${GO_IMAGE} AS build", "${BASE_IMAGE}"}; !slices.Equal(froms, want) {
		t.Errorf("FROM %v, want %v: bases that can be given by digest", froms, want)
	}
	if !slices.Equal(user, []string{"999:999"}) {
		t.Errorf("USER %v, want 999:999, whom the cmp-server demands", user)
	}
	for _, name := range []string{"GO_IMAGE=", "BASE_IMAGE=", "SNAPSHOT=", "SOURCE_DATE_EPOCH=", "VERSION="} {
		if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, name) }) {
			t.Errorf("no ARG %s", name)
		}
	}
	packages := strings.Fields(match(t, all, `apt-get install -y --no-install-recommends ([^;]+);`))
	if want := []string{"ca-certificates", "git", "openssh-client"}; !slices.Equal(packages, want) {
		t.Errorf("installs %v, want %v", packages, want)
	}
	// What the pod says of these must be what the image has.
	c := containerOf(t, repoServer(t).Spec.Template.Spec, "trustomize")
	if got, want := match(t, all, `^ENV PATH=(\S+)`), environment(c)["PATH"]; got != want {
		t.Errorf("the image's PATH is %s, the container's %s", got, want)
	}
	if match(t, all, `ln -s (\S+/argocd-cmp-server) /usr/local/bin/argocd`) != c.Command[0] {
		t.Error("argocd is no link to what the container runs")
	}
}

// match returns the one group of an expression that some instruction matches.
func match(t *testing.T, instructions []string, expression string) string {
	t.Helper()
	for _, one := range instructions {
		if found := regexp.MustCompile(expression).FindStringSubmatch(one); found != nil {
			return found[1]
		}
	}
	t.Fatalf("no instruction has %s", expression)
	return ""
}

// TestReproducible runs the Dockerfile's build twice, in folders of different
// names that hold what the image's build would see, and compares the bytes.
func TestReproducible(t *testing.T) {
	all := dockerfile(t)
	build := match(t, all, `^RUN (go build .*)`)
	environment := strings.Fields(match(t, all, `^ENV (GOTOOLCHAIN=.*)`))
	sums := map[string]bool{}
	for _, name := range []string{"src", "another/place"} {
		dir := filepath.Join(t.TempDir(), name)
		copyContext(t, dir)
		out := filepath.Join(t.TempDir(), "trustomize")
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(build, "/out/trustomize", out))
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), environment...), "VERSION=v1.2.3", "GOWORK=off")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums[hex.EncodeToString(sum[:])] = true
		said, err := exec.Command(out, "version").CombinedOutput()
		if err != nil || !strings.Contains(string(said), "v1.2.3") {
			t.Errorf("version: %v: %s", err, said)
		}
		if strings.Contains(string(data), dir) {
			t.Errorf("the program holds the name of the folder that it was built in")
		}
	}
	if len(sums) != 1 {
		t.Errorf("two builds differ: %v", sums)
	}
}

// copyContext copies what .dockerignore lets through.
func copyContext(t *testing.T, dir string) {
	t.Helper()
	var kept []string
	for line := range strings.Lines(read(t, "deploy/Dockerfile.dockerignore")) {
		if pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			kept = append(kept, pattern)
		}
	}
	err := fs.WalkDir(os.DirFS(top), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == ".git" || name == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !slices.ContainsFunc(kept, func(pattern string) bool { return passes(pattern, name) }) {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func passes(pattern, name string) bool {
	if rest, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
		pattern, name = rest, path.Base(name)
	}
	ok, _ := path.Match(pattern, name)
	return ok
}
