package trustomize

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// TestAvenues goes through every way in which a kustomization reaches outside
// of itself, a script each in testdata/avenues. In a script, app is what is
// built, NAME/FILE a file of a repository that git's http-backend serves at
// {NAME}, web/FILE one that is served at {web}, and web/NAME.tar.gz/FILE one in
// an archive there.
//
// For each, a build succeeds; the build stage alone attempts no connection and
// starts no program; and one byte changed in any one of the remote files is
// refused, by the name of that file.
func TestAvenues(t *testing.T) {
	scripts, err := filepath.Glob("testdata/avenues/*.txtar")
	if err != nil || len(scripts) < 20 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := newAvenue(t, file)
			want := a.build(t)
			if again := a.alone(t); again != want {
				t.Errorf("built apart from resolving: got\n%s\nwant\n%s", again, want)
			}
			for _, remote := range a.remotes {
				a.tamper(t, remote)
			}
			if len(a.remotes) == 0 {
				t.Error("nothing remote is behind this avenue")
			}
		})
	}
}

type avenue struct {
	fixture
	host        string // of the server
	connections atomic.Int64
	archive     *txtar.Archive
	remotes     []string // files behind the avenue
	names       []string // repositories
	team        *signer.Key
}

func newAvenue(t *testing.T, file string) *avenue {
	t.Helper()
	a := &avenue{}
	var err error
	if a.git, err = exec.LookPath("git"); err != nil {
		t.Skip("no git")
	}
	if a.archive, err = txtar.ParseFile(file); err != nil {
		t.Fatal(err)
	}
	a.dir = t.TempDir()
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	a.team = a.key(t, "team")
	a.serve(t)
	for _, f := range a.archive.Files {
		owner, _, _ := strings.Cut(f.Name, "/")
		if owner != "app" && owner != "web" && !slices.Contains(a.names, owner) {
			a.names = append(a.names, owner)
		}
		if owner != "app" {
			a.remotes = append(a.remotes, f.Name)
		}
	}
	a.layOut(t, "")
	a.req = Request{Now: time.Now(),
		Target: filepath.Join(a.dir, "app"), Source: "https://github.com/acme/app", PolicyFile: filepath.Join(a.dir, "policy.yaml"),
		CacheDir: filepath.Join(a.dir, "cache"), Git: a.git, Transport: a.transport(),
	}
	return a
}

// transport is a client's that knows nothing of the process's own.
func (a *avenue) transport() http.RoundTripper { return &http.Transport{DisableKeepAlives: true} }

func (a *avenue) serve(t *testing.T) {
	t.Helper()
	execPath, err := exec.Command(a.git, "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + a.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}
	files := http.FileServer(http.Dir(a.dir))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/web/") {
			files.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			a.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	a.host = server.Listener.Addr().String()
}

// layOut writes everything, with one byte changed in one file after the signing,
// and the policy.
func (a *avenue) layOut(t *testing.T, tampered string) {
	t.Helper()
	urls := []string{"{web}", "http://" + a.host + "/web"}
	for _, name := range a.names {
		urls = append(urls, "{"+name+"}", "http://"+a.host+"/"+name+".git")
	}
	for _, name := range append([]string{"app", "web"}, a.names...) {
		os.RemoveAll(filepath.Join(a.dir, name))
	}
	expand := strings.NewReplacer(urls...)
	for _, f := range a.archive.Files {
		a.write(t, f.Name, expand.Replace(string(f.Data)))
	}
	// A submodule is committed before the repository that has it.
	for _, name := range a.names {
		if !a.hasSubmodule(name) {
			a.commit(t, name, tampered)
		}
	}
	for _, name := range a.names {
		if a.hasSubmodule(name) {
			a.commit(t, name, tampered)
		}
	}
	a.signList(t, "app", "https://github.com/acme/app")
	a.web(t, tampered)
}

func (a *avenue) hasSubmodule(name string) bool {
	_, err := os.Stat(filepath.Join(a.dir, name, ".gitmodules"))
	return err == nil
}

// commit makes a repository of a directory, signed before the byte is changed.
// A submodule is base, at vendor/base.
func (a *avenue) commit(t *testing.T, name, tampered string) {
	t.Helper()
	dir := filepath.Join(a.dir, name)
	a.run(t, dir, "init", "-q", "-b", "main")
	if a.hasSubmodule(name) {
		head, err := exec.Command(a.git, "-C", filepath.Join(a.dir, "base"), "rev-parse", "HEAD").Output()
		if err != nil {
			t.Fatal(err)
		}
		// Where a submodule is checked out, "add" leaves its commit alone.
		if err := os.MkdirAll(filepath.Join(dir, "vendor/base"), 0o755); err != nil {
			t.Fatal(err)
		}
		a.run(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+strings.TrimSpace(string(head))+",vendor/base")
	}
	a.signList(t, name, "http://"+a.host+"/"+name+".git")
	if owner, _, _ := strings.Cut(tampered, "/"); owner == name {
		a.flip(t, tampered)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "vendor" && f.Name() != ".git" {
			a.run(t, dir, "add", f.Name())
		}
	}
	a.run(t, dir, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x")
	os.Remove(dir + ".git")
	if err := os.Symlink(name+"/.git", dir+".git"); err != nil {
		t.Fatal(err)
	}
}

func (a *avenue) signList(t *testing.T, name, source string) {
	t.Helper()
	req := MaterialsRequest{Dir: filepath.Join(a.dir, name), Source: source, Git: a.git}
	if _, err := SignMaterials(context.Background(), req, func(context.Context) (signer.Detached, error) { return a.team, nil }); err != nil {
		t.Fatal(err)
	}
}

// web packs archives, pins every file that is served as it is, and writes the
// policy.
func (a *avenue) web(t *testing.T, tampered string) {
	t.Helper()
	var rules strings.Builder
	entries, _ := os.ReadDir(filepath.Join(a.dir, "web"))
	for _, e := range entries {
		name := path.Join("web", e.Name())
		id := "http:" + a.host + "/" + name
		if e.IsDir() {
			a.signList(t, name, "http://"+a.host+"/"+name)
			if strings.HasPrefix(tampered, name+"/") {
				a.flip(t, tampered)
			}
			a.pack(t, name)
			fmt.Fprintf(&rules, "  - {match: %q, signedBy: [team]}\n", id)
			continue
		}
		data, err := os.ReadFile(filepath.Join(a.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(&rules, "  - {match: %q, config: true, pinned: [{digest: \"sha256:%s\"}]}\n", id, hex.EncodeToString(sum[:]))
		if name == tampered {
			a.flip(t, tampered)
		}
	}
	a.write(t, "policy.yaml", strings.NewReplacer("WEB\n", rules.String(), "HOST", a.host).Replace(avenuePolicy))
}

const avenuePolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {team: {publicKey: {file: team.pub}}}
  sources:
WEB
  - {match: github.com/acme/app, signedBy: [team], bound: true}
  - {match: "http:HOST/*", signedBy: [team], bound: true, config: true}
  sign: none
  log: {mode: none}
`

// flip changes one byte.
func (a *avenue) flip(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(a.dir, name)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pack replaces a directory by the archive of its files.
func (a *avenue) pack(t *testing.T, name string) {
	t.Helper()
	dir := filepath.Join(a.dir, name)
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		err = w.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR})
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err := errors.Join(err, w.Close(), zip.Close(), os.RemoveAll(dir), os.WriteFile(dir, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func (a *avenue) build(t *testing.T) string {
	t.Helper()
	result, err := Build(context.Background(), a.req)
	if err != nil {
		t.Fatal(err)
	}
	return string(result.YAML)
}

// alone resolves, and then builds where no connection can be made and no
// program found without being noticed.
func (a *avenue) alone(t *testing.T) string {
	t.Helper()
	report, _, err := verify(context.Background(), a.req)
	if err != nil || report.Err() != nil {
		t.Fatal(err, report.Err())
	}
	before := a.connections.Load()
	if before == 0 {
		t.Error("nothing was ever fetched")
	}
	mark := filepath.Join(a.dir, "mark")
	for _, name := range []string{"git", "helm", "ssh", "sh", "docker"} {
		a.write(t, "path/"+name, "#!/bin/sh\necho $0 >> "+mark+"\nexit 1\n")
		if err := os.Chmod(filepath.Join(a.dir, "path", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	searched := os.Getenv("PATH")
	os.Setenv("PATH", filepath.Join(a.dir, "path"))
	defer os.Setenv("PATH", searched)
	transport := &countingTransport{}
	saved := http.DefaultTransport
	http.DefaultTransport = transport
	defer func() { http.DefaultTransport = saved }()

	resources, err := run(report.Graph, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := transport.n.Load() + a.connections.Load() - before; n > 0 {
		t.Errorf("%d connections were attempted", n)
	}
	if data, err := os.ReadFile(mark); err == nil {
		t.Errorf("programs were started: %s", data)
	}
	out, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// tamper changes one byte of one remote file, which must be refused by its
// name.
func (a *avenue) tamper(t *testing.T, remote string) {
	t.Helper()
	a.layOut(t, remote)
	_, err := Build(context.Background(), a.req)
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Errorf("%s changed: %v", remote, err)
		return
	}
	_, file, _ := strings.Cut(remote, "/")
	for _, one := range refused.Refusals {
		inArchive := strings.HasPrefix(file, path.Base(one.Source)+"/") && strings.HasSuffix(file, one.File)
		if one.Code == refusal.Changed && (one.File == file || inArchive) || one.Code == refusal.WrongPin && path.Base(one.Source) == file {
			return
		}
	}
	t.Errorf("%s changed: refused, but not for it: %v", remote, err)
}
