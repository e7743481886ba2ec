package argocd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/git"
	"github.com/argoproj/argo-cd/v3/util/kustomize"
)

// BenchmarkMany renders 50 Applications at once: by the plugin through one
// cmp-server, with a cache that is warm, with a plain and with an encrypted key;
// and by ArgoCD's built-in kustomize on the same content. It reports the 95th
// percentile of the renders, and the most memory that the programs that were
// started for them had together: the highest sum of their proportional sets, as
// seen ten times a second. The built-in kustomize has its bases in the
// repository: it would clone them anew for every render.
func BenchmarkMany(b *testing.B) {
	const n = 50
	w := newWorld(b)
	w.many(n)
	os.Setenv("ARGOCD_PLUGINSOCKFILEPATH", w.cmpServer("one", "cache"))
	b.Cleanup(func() { os.Unsetenv("ARGOCD_PLUGINSOCKFILEPATH") })
	w.vendored(n)
	if _, err := w.render(b, oneOf(0)); err != nil {
		b.Fatal(err)
	}
	encrypted, err := os.ReadFile(w.file("manifests.key"))
	if err != nil {
		b.Fatal(err)
	}
	w.run(w.dir, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "plain.key")
	plain, err := os.ReadFile(w.file("plain.key"))
	if err != nil {
		b.Fatal(err)
	}
	plugin := func(i int) error { _, err := w.render(b, oneOf(i)); return err }
	ways := map[string]func(int) error{
		"plugin":                plugin,
		"plugin, encrypted key": plugin,
		"built-in": func(i int) error {
			checkout, err := os.MkdirTemp(w.dir, "checkout-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(checkout)
			w.run(w.dir, "cp", "-a", w.file("vendored")+"/.", checkout)
			own := kustomize.NewKustomizeApp(checkout, filepath.Join(checkout, strconv.Itoa(i)), git.NopCreds{}, "", filepath.Join(bin, "kustomize"), "", "")
			_, _, _, err = own.Build(&v1alpha1.ApplicationSourceKustomize{}, nil, &v1alpha1.Env{}, nil)
			return err
		},
	}
	for _, name := range []string{"plugin", "plugin, encrypted key", "built-in"} {
		key := plain
		if name != "plugin" {
			key = encrypted
		}
		write(b, w.file("manifests.key"), string(key))
		b.Run(name, func(b *testing.B) {
			var all []time.Duration
			var peak int64
			for range b.N {
				times, most := atOnce(b, n, ways[name])
				all, peak = append(all, times...), max(peak, most)
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)*95/100].Seconds(), "p95-s")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
		})
	}
}

// vendored is the same content without remote bases.
func (w *world) vendored(n int) {
	for name, text := range repositories() {
		if strings.HasPrefix(name, "app/") {
			continue
		}
		text = strings.ReplaceAll(text, `"https://github.com/acme/root//k8s?ref=main"`, "../root/k8s")
		write(w.t, w.file("vendored/"+name), text)
	}
	for i := range n {
		write(w.t, w.file(fmt.Sprintf("vendored/%d/kustomization.yaml", i)), fmt.Sprintf("resources: [../base]\nnameSuffix: \"-%d\"\n", i))
	}
}

// atOnce runs n renders at once, and returns how long each took and how many
// bytes their programs had in memory at most.
func atOnce(b *testing.B, n int, render func(int) error) ([]time.Duration, int64) {
	b.Helper()
	var peak atomic.Int64
	done := make(chan struct{})
	var watch, wait sync.WaitGroup
	watch.Go(func() {
		for {
			peak.Store(max(peak.Load(), resident("trustomize", "kustomize", "git")))
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	times := make([]time.Duration, n)
	for i := range n {
		wait.Go(func() {
			start := time.Now()
			if err := render(i); err != nil {
				b.Error(err)
			}
			times[i] = time.Since(start)
		})
	}
	wait.Wait()
	close(done)
	watch.Wait()
	return times, peak.Load()
}

// resident adds up the memory of processes with these names in bytes; what
// several share counts once (proc's manual, /proc/PID/smaps_rollup).
func resident(names ...string) int64 {
	var sum int64
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		name, err := os.ReadFile(dir + "/comm")
		if err != nil || !slices.Contains(names, strings.TrimSpace(string(name))) {
			continue
		}
		data, err := os.ReadFile(dir + "/smaps_rollup")
		if err != nil {
			continue
		}
		_, rest, ok := bytes.Cut(data, []byte("\nPss:"))
		if !ok {
			continue
		}
		if kib, err := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64); err == nil {
			sum += kib << 10
		}
	}
	return sum
}
