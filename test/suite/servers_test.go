package suite

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startRekor runs a Rekor v2 with an empty log until the script ends, writes
// its key to rekor.pub, and sets REKOR_URL.
func startRekor(ts *testscript.TestScript, _ bool, _ []string) {
	r, err := serveRekor(ts.MkAbs("rekor"), ts.MkAbs("rekor.pem"))
	ts.Check(err)
	ts.Defer(func() { stop(r.cmd) })
	der, err := x509.MarshalPKIXPublicKey(r.key)
	ts.Check(err)
	ts.Check(writePEM(ts.MkAbs("rekor.pub"), "PUBLIC KEY", der, 0o644))
	ts.Setenv("REKOR_URL", r.url)
	ts.Setenv("REKOR_PID", strconv.Itoa(r.cmd.Process.Pid))
}

type rekorServer struct {
	url string
	key ed25519.PublicKey
	cmd *exec.Cmd
}

// serveRekor runs a Rekor v2 with a new key and an empty log. Its origin is
// localhost.
func serveRekor(dir, keyFile string) (*rekorServer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	ports, err := ports(3)
	if err := errors.Join(err, os.MkdirAll(dir, 0o755), writePEM(keyFile, "PRIVATE KEY", der, 0o600)); err != nil {
		return nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "rekor-server"), "serve",
		"--storage-dir="+dir, "--signer-filepath="+keyFile, "--hostname=localhost",
		"--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
		"--http-port="+ports[0], "--grpc-port="+ports[1], "--http-metrics-port="+ports[2],
		"--checkpoint-interval=200ms", "--batch-max-age=50ms")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	url := "http://localhost:" + ports[0]
	if !answers(url + "/healthz") {
		stop(cmd)
		return nil, fmt.Errorf("rekor did not start: %s", output.String())
	}
	return &rekorServer{url, public, cmd}, nil
}

// writePEM writes one PEM block.
func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func freePorts(ts *testscript.TestScript, n int) []string {
	free, err := ports(n)
	ts.Check(err)
	return free
}

// ports returns some that nobody listens on.
func ports(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		free = append(free, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return free, nil
}

func answers(url string) bool {
	for range 100 {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

// startGitHTTP serves the repositories in a directory over https, through
// git's own http-backend. GIT_HOST is host and port, SSL_CERT_FILE the
// authority to trust; "requests" in the directory counts fetches. With "plain" it
// does so over http; with "auth" it wants user joe with password hunter2, and
// sends what is asked below /redirect to a second server, which notes in
// "redirected" whether credentials came along.
func startGitHTTP(ts *testscript.TestScript, _ bool, args []string) {
	root := ts.MkAbs(args[0])
	backend, err := gitBackend(root, ts.Getenv("GIT_CONFIG_GLOBAL"))
	ts.Check(err)
	var fetches atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			// One POST is a listing or a fetch; protocol 2 sends both there.
			n := fetches.Add(1)
			_ = os.WriteFile(filepath.Join(root, "requests"), fmt.Appendf(nil, "%d\n", n), 0o644)
		}
		backend.ServeHTTP(w, r)
	})
	var server *httptest.Server
	if len(args) > 1 && args[1] == "auth" {
		handler = locked(ts, root, handler)
	}
	if len(args) > 1 && args[1] == "plain" {
		server = httptest.NewServer(handler)
	} else {
		server = httptest.NewTLSServer(handler)
		ca := ts.MkAbs("ca.pem")
		ts.Check(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
		ts.Setenv("SSL_CERT_FILE", ca)
	}
	ts.Defer(server.Close)
	ts.Setenv("GIT_HOST", server.Listener.Addr().String())
}

// locked lets in only who knows the password.
func locked(ts *testscript.TestScript, root string, next http.HandlerFunc) http.HandlerFunc {
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			_ = os.WriteFile(filepath.Join(root, "redirected"), []byte(r.Header.Get("Authorization")), 0o644)
		}
		next(w, r)
	}))
	ts.Defer(other.Close)
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "joe" || password != "hunter2" {
			w.Header().Set("WWW-Authenticate", "Basic realm=git")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, "/redirect"); ok {
			http.Redirect(w, r, other.URL+rest+"?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		next(w, r)
	}
}

// gitBackend serves the repositories below a directory over http, through git's
// own http-backend.
func gitBackend(root, gitConfig string) (http.Handler, error) {
	execPath, err := exec.Command("git", "--exec-path").Output()
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + gitConfig},
		// git's protocol version travels in a header.
		InheritEnv: []string{"PATH"},
	}, err
}

// startGitSSH runs an sshd for the present user on loopback and sets SSH_HOST
// and GIT_SSH_COMMAND.
func startGitSSH(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("ssh")
	host, command, stop, err := serveSSH(dir)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("SSH_HOST", host)
	ts.Setenv("SSH_DIR", dir)
	ts.Setenv("GIT_SSH_COMMAND", command)
}

// serveSSH runs an sshd with its keys in a directory: user, host, known_hosts.
func serveSSH(dir string) (host, command string, end func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", nil, err
	}
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			return "", "", nil, fmt.Errorf("ssh-keygen: %s", out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", nil, err
	}
	host = l.Addr().String()
	l.Close()
	config := strings.Join([]string{
		"ListenAddress " + host, "HostKey " + filepath.Join(dir, "host"), "PidFile none",
		"AuthorizedKeysFile " + filepath.Join(dir, "user.pub"), "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin yes", "MaxStartups 100",
	}, "\n") + "\n"
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	known := fmt.Sprintf("[127.0.0.1]:%s %s", host[strings.LastIndex(host, ":")+1:], hostKey)
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600)); err != nil {
		return "", "", nil, err
	}
	_ = os.MkdirAll("/run/sshd", 0o755) // where the distribution's init would make it
	var output bytes.Buffer
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "config"))
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return "", "", nil, err
	}
	if !accepts(host) {
		stop(cmd)
		return "", "", nil, fmt.Errorf("sshd did not start: %s", output.String())
	}
	command = fmt.Sprintf("ssh -F none -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes",
		filepath.Join(dir, "user"), filepath.Join(dir, "known_hosts"))
	return host, command, func() { stop(cmd) }, nil
}

func accepts(host string) bool {
	for range 50 {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// countEntries holds the number of entries in the log against what the script
// expects, by the log's own checkpoint.
func countEntries(ts *testscript.TestScript, neg bool, args []string) {
	want := args[0]
	var got string
	for range 50 { // the checkpoint is published after the fact
		data, err := os.ReadFile(filepath.Join(ts.MkAbs("rekor"), "checkpoint"))
		if err == nil {
			if lines := strings.Split(string(data), "\n"); len(lines) > 1 {
				got = lines[1]
			}
		}
		if got == want {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if (got == want) == neg {
		ts.Fatalf("the log has %s entries, want %s", got, want)
	}
}

// status runs a program and holds its exit status against the first argument.
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// unannotate copies a manifest without the annotations that signing adds.
func unannotate(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var kept []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "cosign.sigstore.dev/") || strings.Contains(line, "trustomize.dev/origin") {
			continue
		}
		kept = append(kept, line)
	}
	for i := 0; i+1 < len(kept); i++ {
		if kept[i] == "  annotations:\n" && !strings.HasPrefix(kept[i+1], "    ") {
			kept = append(kept[:i], kept[i+1:]...)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(kept, "")), 0o644))
}
