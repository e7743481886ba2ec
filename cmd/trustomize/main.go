// Command trustomize is kustomize build for sources that somebody vouches for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

// Exit statuses. 2 is what a panic of Go's runtime returns.
const (
	exitDone    = 0
	exitFailed  = 1
	exitRefused = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	a.isolate()
	cmd := a.root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	return a.explain(err)
}

// app is what the verbs share: standard streams, common flags, and what is
// taken from the environment.
type app struct {
	stdout, stderr io.Writer

	policy, cache, source, format string
	offline                       bool

	git    string // absolute path; "" when there is none
	gitEnv []string
	path   string // PATH as it was, for KMS plugins

	askpass  string // ArgoCD's program for git, absolute path; "" when there is none
	inPlugin bool   // errors are read in an Application's status
}

// isolate takes from the environment what is needed and closes the doors
// behind it: from here on, a program is started only by an absolute path, and
// an HTTP request goes out only through a client that was made for it. kustomize
// uses neither; this makes sure of it.
func (a *app) isolate() {
	if p, err := exec.LookPath("git"); err == nil {
		a.git, _ = filepath.Abs(p)
	}
	if name := os.Getenv("GIT_ASKPASS"); name == "argocd" {
		if p, err := exec.LookPath(name); err == nil {
			a.askpass, _ = filepath.Abs(p)
		}
	}
	a.gitEnv = operatorEnv()
	a.path = os.Getenv("PATH")
	os.Setenv("PATH", "")
	http.DefaultTransport = refusing{http.DefaultTransport.(*http.Transport)}
	// Else the S3 client tells of every answer that lacks a checksum of its
	// own; what is fetched is hashed here.
	if _, ok := os.LookupEnv("AWS_RESPONSE_CHECKSUM_VALIDATION"); !ok {
		os.Setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
	}
}

// refusing is the transport for whoever was not given one.
type refusing struct{ own *http.Transport }

// Clone serves libraries that ask for a transport of their own by copying the
// default one, as Google's does for tokens. Who simply uses the default, as
// kustomize would, is refused.
func (r refusing) Clone() *http.Transport { return r.own.Clone() }

func (refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s %s: this program opens no connection here", req.Method, req.URL.Redacted())
}

// operatorEnv is what git may see of the environment: where proxies and
// certificates are, and how ssh is to be called. A caller's GIT_SSH_COMMAND
// stands in place of our own.
func operatorEnv() []string {
	var env []string
	for _, name := range []string{"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
			if name == "SSL_CERT_FILE" {
				env = append(env, "GIT_SSL_CAINFO="+v)
			}
		}
	}
	return env
}

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "trustomize",
		Short:         "Trust, but verify: kustomize build",
		Long:          "Trustomize verifies every source that a kustomization loads, builds from exactly\nthe bytes that were verified, signs the result and logs how it came about.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          help,
	}
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	flags := cmd.PersistentFlags()
	flags.StringVar(&a.policy, "policy", os.Getenv("TRUSTOMIZE_POLICY"), "the operator's policy (TRUSTOMIZE_POLICY)")
	flags.StringVar(&a.cache, "cache", os.Getenv("TRUSTOMIZE_CACHE"), "directory of the cache (TRUSTOMIZE_CACHE; else the user's cache folder)")
	flags.StringVar(&a.source, "source", "", "URL of the repository, perhaps with //path, that a local directory is a checkout of")
	flags.StringVar(&a.format, "format", "text", "text or json")
	flags.BoolVar(&a.offline, "offline", false, "use nothing but the cache")
	cmd.AddCommand(a.build(), a.verify(), a.lock(), a.materials(), a.manifest(), a.policyCmd(), a.plugin(), a.log(), a.fn(), a.keys(), a.version())
	return cmd
}

// help is what a verb does that only groups others. Being there, it makes an
// unknown verb an error.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// request fills in what build and verify share.
func (a *app) request(args []string) (trustomize.Request, error) {
	if len(args) > 1 {
		return trustomize.Request{}, fmt.Errorf("want one directory or URL, not %d", len(args))
	}
	if a.format != "text" && a.format != "json" {
		return trustomize.Request{}, fmt.Errorf("--format: want text or json, not %q", a.format)
	}
	if a.git == "" {
		return trustomize.Request{}, errors.New("git is not installed, or not on the PATH")
	}
	dir, err := a.cacheDir()
	if err != nil {
		return trustomize.Request{}, err
	}
	req := trustomize.Request{
		Target: ".", Source: a.source, PolicyFile: a.policy, CacheDir: dir, Offline: a.offline,
		Git: a.git, GitEnv: a.gitEnv, HTTPClient: logClient(),
		Transport: fetchTransport(), LookupEnv: os.LookupEnv, Password: a.password, KMS: a.plugins(), Now: time.Now(),
	}
	if len(args) == 1 {
		req.Target = args[0]
	}
	return req, nil
}

func (a *app) cacheDir() (string, error) {
	if a.cache != "" {
		return a.cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the cache; name one with --cache: %w", err)
	}
	return filepath.Join(dir, "trustomize"), nil
}

// explain prints an error and returns the exit status that it deserves.
// Refusals come one a line, each with its hints; with --format json, all as one
// object.
func (a *app) explain(err error) int {
	if a.inPlugin {
		return a.explainInPlugin(err)
	}
	var refused *trustomize.Refused
	isRefused := errors.As(err, &refused)
	if errors.Is(err, errDiffers) {
		fmt.Fprintln(a.stderr, "trustomize: "+err.Error())
		return exitRefused
	}
	if a.format == "json" {
		return a.explainJSON(err, refused)
	}
	if !isRefused {
		for _, line := range splitLines(err.Error()) {
			fmt.Fprintln(a.stderr, "trustomize: "+line)
		}
		return exitFailed
	}
	for _, r := range refusal.Sort(refused.Refusals) {
		fmt.Fprintln(a.stderr, "trustomize: "+r.Error())
		for _, hint := range r.Hints {
			fmt.Fprintln(a.stderr, "  hint: "+refusal.Printable(hint))
		}
	}
	for _, failure := range refused.Failures {
		for _, line := range splitLines(failure.Error()) {
			fmt.Fprintln(a.stderr, "trustomize: "+line)
		}
	}
	return exitRefused
}

// explainJSON prints {"refusals": [...], "failures": [...]} on one line.
func (a *app) explainJSON(err error, refused *trustomize.Refused) int {
	out := struct {
		Refusals []*refusal.Refusal `json:"refusals"`
		Failures []string           `json:"failures"`
	}{[]*refusal.Refusal{}, []string{}}
	status := exitFailed
	failures := []error{err}
	if refused != nil {
		out.Refusals, failures, status = refusal.Sort(refused.Refusals), refused.Failures, exitRefused
	}
	for _, failure := range failures {
		out.Failures = append(out.Failures, splitLines(failure.Error())...)
	}
	enc := json.NewEncoder(a.stderr)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return exitFailed
	}
	return status
}
