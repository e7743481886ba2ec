package argocd

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rekor starts a Rekor v2 and returns the policy's word for it.
func (w *world) rekor(mode string) string {
	w.t.Helper()
	w.run(w.dir, "rekorkey")
	var ports []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		l.Close()
	}
	if err := os.Mkdir(w.file("rekor"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "rekor-server"), "serve", "--storage-dir="+w.file("rekor"), "--signer-filepath="+w.file("rekor.pem"), "--hostname=localhost",
		"--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--http-port="+ports[0], "--grpc-port="+ports[1], "--http-metrics-port="+ports[2],
		"--checkpoint-interval=200ms", "--batch-max-age=50ms")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stop(cmd) })
	url := "http://localhost:" + ports[0]
	for range 100 {
		if resp, err := http.Get(url + "/healthz"); err == nil {
			resp.Body.Close()
			return fmt.Sprintf("{mode: %s, rekor: [{url: %q, version: 2, publicKey: {file: rekor.pub}}]}", mode, url)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("rekor did not start")
	return ""
}

// entries is the number of entries in the log: the second line of its checkpoint
// (C2SP tlog-checkpoint).
func (w *world) entries() string {
	data, err := os.ReadFile(w.file("rekor/checkpoint"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(string(data), "\n")[1]
}

// settles waits until the log's checkpoint has as many entries as there are, and
// for one more interval.
func (w *world) settles(want string) {
	for range 50 {
		if w.entries() == want {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	if got := w.entries(); got != want {
		w.t.Errorf("%s entries in the log, want %s", got, want)
	}
}

// TestReplicas renders one revision by cmp-servers with caches of their own, and
// by such that share one.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	w.policy(w.rekor("required"))
	one, two, shared := w.cmpServer("one", "cache-one"), w.cmpServer("two", "cache-two"), w.cmpServer("three", "cache-one")
	first := text(t, w.rendered(t, one))
	for _, sockets := range []string{one, shared} {
		if again := text(t, w.rendered(t, sockets)); again != first {
			t.Errorf("%s\nand\n%s", first, again)
		}
	}
	w.settles("1")
	if other := text(t, w.rendered(t, two)); other != first {
		t.Errorf("%s\nand\n%s", first, other)
	}
}

// TestSpool renders while the log is down, and delivers when it is back.
func TestSpool(t *testing.T) {
	w := newWorld(t)
	log := w.rekor("spool")
	w.policy(strings.Replace(log, "localhost:", "localhost:1", 1)) // nobody listens there
	sockets := w.cmpServer("one", "cache")
	if objects := w.rendered(t, sockets); len(objects) != 4 {
		t.Errorf("%d objects", len(objects))
	}
}

// rendered is generate for what must not fail.
func (w *world) rendered(t *testing.T, sockets string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := w.generate(t, sockets, application(nil))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// many makes a repository of n Applications over one base.
func (w *world) many(n int) {
	for i := range n {
		write(w.t, w.file(fmt.Sprintf("git/acme/many/%d/kustomization.yaml", i)), fmt.Sprintf("resources: [\"https://github.com/acme/base?ref=main\"]\nnameSuffix: \"-%d\"\n", i))
	}
	w.sign("many")
}

// oneOf is the request for one of them.
func oneOf(i int) *apiclient.ManifestRequest {
	return application(func(q *apiclient.ManifestRequest) {
		q.Repo = &v1alpha1.Repository{Repo: "https://github.com/acme/many.git"}
		q.AppName, q.ApplicationSource.Path = fmt.Sprintf("web-%d", i), strconv.Itoa(i)
	})
}

// TestMany renders many Applications at once through one cmp-server.
func TestMany(t *testing.T) {
	const n = 50
	w := newWorld(t)
	w.many(n)
	sockets := w.cmpServer("one", "cache")
	t.Setenv("ARGOCD_PLUGINSOCKFILEPATH", sockets)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			objects, err := w.render(t, oneOf(i))
			if err != nil {
				t.Errorf("Application %d: %v", i, err)
				return
			}
			if want := fmt.Sprintf("base-web-%d", i); !named(objects, want) || len(objects) != 3 {
				data, _ := json.Marshal(objects)
				t.Errorf("Application %d: no %s in %s", i, want, data)
			}
		})
	}
	wait.Wait()
}

func named(objects []*unstructured.Unstructured, name string) bool {
	for _, one := range objects {
		if one.GetName() == name && one.GetAnnotations()["cosign.sigstore.dev/signature"] != "" {
			return true
		}
	}
	return false
}
