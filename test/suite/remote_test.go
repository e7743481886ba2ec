package suite

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestRemoteParity builds cases that refer to other repositories, served by
// git's http-backend, by an sshd, and from files, with kustomize and with
// trustomize, whose bytes must be the same.
//
// In a case, NAME/FILE is a file of repository NAME, and NAME@2/FILE one of its
// second commit; the first is tagged v1. overlay is what is built. web/FILE is
// served over http. {NAME} stands for a repository's URL, {WEB} for the URL of
// web.
func TestRemoteParity(t *testing.T) {
	cases, err := filepath.Glob("remote/*.txtar")
	if err != nil || len(cases) < 5 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	servers := startRemotes(t)
	for i, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, transport := range transports(name, i) {
			t.Run(name+"/"+transport, func(t *testing.T) {
				t.Parallel()
				if transport == "ssh" && servers.ssh == "" {
					t.Skip("no sshd on this machine")
				}
				servers.compare(t, name, transport, txtar.Parse(data))
			})
		}
	}
}

// everywhere are the cases that go through all transports; the others take
// turns, since what a case is about is rarely the transport.
var everywhere = []string{"components", "origins", "origins-plugins", "refs", "web-files", "query"}

func transports(name string, i int) []string {
	all := []string{"http", "ssh", "file"}
	if slices.Contains(everywhere, name) || os.Getenv("TRUSTOMIZE_EVERYWHERE") != "" {
		return all
	}
	return all[i%3 : i%3+1]
}

// remotes are servers of everything below root.
type remotes struct {
	root, key  string
	http, ssh  string // host:port
	env        []string
	sshCommand string
}

func startRemotes(t *testing.T) *remotes {
	t.Helper()
	s := &remotes{root: t.TempDir(), env: []string{"GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=x"}}
	backend, err := gitBackend(s.root, "/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(s.root))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/web/") {
			files.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.http = server.Listener.Addr().(*net.TCPAddr).String()
	if _, err := os.Stat("/usr/sbin/sshd"); err == nil {
		host, command, stop, err := serveSSH(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		s.ssh, s.sshCommand = host, command
	}
	s.key = filepath.Join(s.root, "team")
	cmd := exec.Command(filepath.Join(bin, plain), "keys", "generate", "--output-key-prefix", s.key)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

// compare lays a case out in a directory of its own and builds it.
func (s *remotes) compare(t *testing.T, name, transport string, archive *txtar.Archive) {
	top := name + "-" + transport
	dir := filepath.Join(s.root, top)
	urls, names := s.urls(transport, top, archive)
	write := func(commit string) {
		t.Helper()
		for _, f := range archive.Files {
			owner, rest, _ := strings.Cut(f.Name, "/")
			repository, of, second := strings.Cut(owner, "@")
			if second != (commit == "2") || second && of != "2" {
				continue
			}
			file := filepath.Join(dir, repository, filepath.FromSlash(rest))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(urls.Replace(string(f.Data))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("")
	for _, repository := range names {
		git(t, filepath.Join(dir, repository), "init", "-q", "-b", "main")
		s.commit(t, dir, repository)
		git(t, filepath.Join(dir, repository), "tag", "v1")
	}
	write("2")
	for _, repository := range names {
		s.commit(t, dir, repository)
		git(t, dir, "clone", "-q", "--bare", repository, repository+".git")
	}
	if err := os.MkdirAll(filepath.Join(dir, "overlay/.git"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(slices.Clone(s.env), "GIT_SSH_COMMAND="+s.sshCommand)
	own := []string{"--policy", s.policy(t, dir, top), "--cache", t.TempDir()}
	compare(t, name, []string{filepath.Join(dir, "overlay")}, own, env)
}

// urls returns what stands for a case's placeholders, and its repositories.
func (s *remotes) urls(transport, top string, archive *txtar.Archive) (*strings.Replacer, []string) {
	var pairs, names []string
	for _, f := range archive.Files {
		owner, _, _ := strings.Cut(f.Name, "/")
		if strings.Contains(owner, "@") || owner == "overlay" || owner == "web" || slices.Contains(names, owner) {
			continue
		}
		names = append(names, owner)
		at := map[string]string{
			"http": "http://" + s.http + "/" + top,
			"ssh":  "ssh://root@" + s.ssh + s.root + "/" + top,
			"file": "file://" + s.root + "/" + top,
		}[transport]
		pairs = append(pairs, "{"+owner+"}", at+"/"+owner+".git")
	}
	pairs = append(pairs, "{WEB}", "http://"+s.http+"/"+top+"/web")
	return strings.NewReplacer(pairs...), names
}

func (s *remotes) commit(t *testing.T, dir, repository string) {
	t.Helper()
	work := filepath.Join(dir, repository)
	cmd := exec.Command(filepath.Join(bin, plain), "materials", "sign", work, "--key", s.key+".key", "--unbound")
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	git(t, work, "add", "-A")
	git(t, work, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x")
}

// policy trusts what the team signed, and the files of web as they are.
func (s *remotes) policy(t *testing.T, dir, top string) string {
	t.Helper()
	var rules strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "web", "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rules, "  - {match: %q, config: true, pinned: [{digest: sha256:%x}]}\n", "http:"+s.http+"/"+top+"/web/"+filepath.Base(file), sha256.Sum256(data))
	}
	text := strings.NewReplacer("KEY", s.key+".pub", "WEB\n", rules.String(), "HTTP", s.http, "SSH", s.ssh, "ROOT", s.root).Replace(remotePolicy)
	if s.ssh == "" {
		text = strings.ReplaceAll(text, "/**\", config: true, signedBy: [team]} # ssh", "none/x\", pinned: []}")
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const remotePolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {team: {publicKey: {file: "KEY"}}}
  sources:
WEB
  - {match: "http:HTTP/**", config: true, signedBy: [team]}
  - {match: "file:ROOT/**", config: true, signedBy: [team]}
  - {match: "SSH/**", config: true, signedBy: [team]} # ssh
  allow: {fileURLs: true}
  sign: none
  log: {mode: none}
`
