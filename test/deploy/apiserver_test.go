package deploy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// Who asks the API server. All may do everything: what is tested is admission,
// and not what RBAC would have refused before it.
const (
	admin      = "admin"
	controller = "system:serviceaccount:kube-system:replicaset-controller"
)

// cluster is a kube-apiserver without controllers: what is stored stays as it
// is.
type cluster struct {
	url     string
	client  *http.Client
	process *exec.Cmd
	ended   chan error // what became of the process
	dir     string
	kinds   sync.Map // apiVersion to map of kind to resource
}

var theCluster = sync.OnceValues(startCluster)

// started is what stopCluster ends.
var started *cluster

func startCluster() (*cluster, error) {
	server, err := goBuild("apiserver", "kube-apiserver", ".")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kube-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, ended: make(chan error, 1)}
	started = c
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := writeCredentials(dir); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	file := func(name string) string { return filepath.Join(dir, name) }
	c.process = exec.Command(server, file("etcd"),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+strconv.Itoa(port), "--cert-dir="+file("certs"),
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--token-auth-file="+file("tokens"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+file("key"), "--service-account-signing-key-file="+file("key"),
		"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none", "--allow-privileged=true")
	c.process.Stdout, c.process.Stderr = log, log
	c.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	go func() { c.ended <- c.process.Wait() }()
	c.url = "https://127.0.0.1:" + strconv.Itoa(port)
	if err := c.wait(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w: %s", err, said[max(0, len(said)-4000):])
	}
	return c, nil
}

func stopCluster() {
	if started == nil {
		return
	}
	if started.process != nil && started.process.Process != nil {
		started.process.Process.Kill() // its store goes with it
		<-started.ended
	}
	os.RemoveAll(started.dir)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// writeCredentials writes the key of service accounts and everybody's token,
// which is their name.
func writeCredentials(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "key"), block, 0o600); err != nil {
		return err
	}
	var tokens strings.Builder
	for _, user := range []string{admin, controller} {
		fmt.Fprintf(&tokens, "%s,%s,%s,system:masters\n", user, user, user)
	}
	return os.WriteFile(filepath.Join(dir, "tokens"), []byte(tokens.String()), 0o600)
}

// wait returns when the server is ready, which wants its own certificate first.
func (c *cluster) wait() error {
	for range 600 {
		select {
		case err := <-c.ended:
			c.ended <- err
			return fmt.Errorf("kube-apiserver ended: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		if c.client == nil && !c.trust() {
			continue
		}
		if status, _, err := c.ask(admin, http.MethodGet, "/readyz", "", nil); err == nil && status == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("kube-apiserver is not ready after a minute")
}

// trust makes the client, once the server has made its certificate.
func (c *cluster) trust() bool {
	data, err := os.ReadFile(filepath.Join(c.dir, "certs", "apiserver.crt"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		return false
	}
	c.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return true
}

func (c *cluster) ask(user, method, path, contentType string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+user)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// resource is how a kind is called in a URL.
type resource struct {
	Name, Kind string
	Namespaced bool
}

// resource asks the server, and asks again where a definition was just made.
func (c *cluster) resource(apiVersion, kind string) (resource, error) {
	base := "/apis/" + apiVersion
	if apiVersion == "v1" {
		base = "/api/v1"
	}
	for range 300 {
		if known, ok := c.kinds.Load(apiVersion + " " + kind); ok {
			return known.(resource), nil
		}
		_, data, err := c.ask(admin, http.MethodGet, base, "", nil)
		if err != nil {
			return resource{}, err
		}
		var list struct{ Resources []resource }
		if json.Unmarshal(data, &list) == nil {
			for _, r := range list.Resources {
				if !strings.Contains(r.Name, "/") {
					c.kinds.LoadOrStore(apiVersion+" "+r.Kind, r)
				}
			}
		}
		if _, ok := c.kinds.Load(apiVersion + " " + kind); !ok {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return resource{}, fmt.Errorf("the server knows no %s of %s", kind, apiVersion)
}

// path is an object's URL, or that of its kind in its namespace.
func (c *cluster) path(o object, named bool) (string, error) {
	r, err := c.resource(o.APIVersion, o.Kind)
	if err != nil {
		return "", err
	}
	path := "/apis/" + o.APIVersion
	if o.APIVersion == "v1" {
		path = "/api/v1"
	}
	if r.Namespaced {
		path += "/namespaces/" + o.Metadata.Namespace
	}
	path += "/" + r.Name
	if named {
		path += "/" + o.Metadata.Name
	}
	return path, nil
}

// refused is what the server said when it did not do what was asked.
type refused struct {
	Code    int
	Message string
}

func (e *refused) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

func (c *cluster) send(user, method, path, contentType string, body []byte) ([]byte, error) {
	status, data, err := c.ask(user, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	if status >= 300 {
		answer := &refused{}
		if err := json.Unmarshal(data, answer); err != nil {
			return nil, fmt.Errorf("%d: %s", status, data)
		}
		return nil, answer
	}
	return data, nil
}

// store has the server keep an object; it refuses fields that it does not know.
func (c *cluster) store(o object) error {
	path, err := c.path(o, true)
	if err != nil {
		return err
	}
	_, err = c.send(admin, http.MethodPatch, path+"?fieldManager=test&force=true&fieldValidation=Strict", "application/apply-patch+yaml", o.yaml)
	if err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	return nil
}

// attempt asks whether an object could be made or put in another's place, and
// changes nothing.
func (c *cluster) attempt(user string, o object, update bool) error {
	path, err := c.path(o, update)
	if err != nil {
		return err
	}
	body, err := yaml.YAMLToJSON(o.yaml)
	if err != nil {
		return err
	}
	method := http.MethodPost
	if update {
		method = http.MethodPut
	}
	_, err = c.send(user, method, path+"?dryRun=All&fieldValidation=Strict", "application/json", body)
	return err
}

// get returns an object as it is stored.
func (c *cluster) get(o object) (map[string]any, error) {
	path, err := c.path(o, true)
	if err != nil {
		return nil, err
	}
	data, err := c.send(admin, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	var stored map[string]any
	return stored, json.Unmarshal(data, &stored)
}

// parse reads one object.
func parse(t *testing.T, text string) object {
	t.Helper()
	o := object{yaml: []byte(text)}
	if err := yaml.Unmarshal(o.yaml, &o); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return o
}
