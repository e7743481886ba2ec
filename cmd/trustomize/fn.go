package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/fn"
	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/signer"
)

// A function's own places. Whoever writes a functionConfig also sets the arguments
// and the environment, so that neither can say where the policy is; who builds the
// program can (go build -ldflags "-X main.functionPolicy=FILE").
var (
	functionPolicy = "/etc/trustomize/policy.yaml"
	functionCache  = "/var/cache/trustomize" // where it can be written; else a folder for one run
	functionPath   = "/usr/local/bin:/usr/bin:/bin"
)

func (a *app) fn() *cobra.Command {
	return &cobra.Command{
		Use:   "fn",
		Short: "Run as a KRM function, for kustomize and kpt",
		Long: `Fn reads a ResourceList on standard input and writes one. The functionConfig's
kind says what it does: VerifiedBase, ManifestSigner or SignatureCheck, of
trustomize.dev/v1alpha1; docs/functions.md describes them.

The policy is ` + functionPolicy + `. No flag and no variable of the
environment counts, since they come with the functionConfig.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var set string
			cmd.Flags().Visit(func(f *pflag.Flag) { set = f.Name })
			if set != "" {
				return fn.Fail(a.stdout, fmt.Errorf("--%s: a function takes no flags; its policy is %s", set, functionPolicy))
			}
			req, remove, err := functionRequest(a)
			if err != nil {
				return fn.Fail(a.stdout, err)
			}
			defer remove()
			return fn.Run(cmd.Context(), req, os.Stdin, a.stdout)
		},
	}
}

// functionRequest is the request of which a functionConfig's author has no say. The
// environment is gone afterwards.
func functionRequest(a *app) (req trustomize.Request, remove func(), err error) {
	os.Clearenv()
	dir, remove, err := functionCacheDir()
	if err != nil {
		return req, nil, err
	}
	a.format = "text"
	return trustomize.Request{
		PolicyFile: functionPolicy, CacheDir: dir, Git: functionProgram("git"), HTTPClient: logClient(), Transport: fetchTransport(),
		KMS: signer.Plugins{Path: functionPath, Stderr: a.stderr}, Now: time.Now(),
	}, remove, nil
}

// functionCacheDir returns the cache's folder, and what ends its use.
func functionCacheDir() (string, func(), error) {
	if info, err := os.Stat(functionCache); err == nil && info.IsDir() {
		if _, err := cache.Open(functionCache); err == nil && writable(functionCache) {
			return functionCache, func() {}, nil
		}
	}
	dir, err := os.MkdirTemp("", "trustomize-fn-")
	return dir, func() { os.RemoveAll(dir) }, err
}

func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return false
	}
	f.Close()
	return os.Remove(f.Name()) == nil
}

// functionProgram finds a program in the function's path; "" when there is none.
func functionProgram(name string) string {
	for _, dir := range filepath.SplitList(functionPath) {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return file
		}
	}
	return ""
}
