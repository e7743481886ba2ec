// Package trustomize verifies every source that a kustomization loads, builds
// from exactly the bytes that were verified, signs the result resource by
// resource, and logs how it came about.
//
//	resolve -> verify -> build -> sign -> log
//
// [Verify] does the first two steps and builds nothing. [Build] does all, or
// nothing: it returns no YAML unless every source was vouched for, the build
// ran, every signature was made, and the log answered with a proof where the
// policy asks for one.
//
// This is version 0. Stable are the command line, the policy and the formats;
// this Go interface is not.
package trustomize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/resolver"
	"github.com/trustomize/trustomize/signer"
)

// Request says what to verify or build, and with what. Nothing is taken from
// the environment.
type Request struct {
	Target string // a directory, or a URL as kustomize takes it, or of an archive or artifact
	Source string // for a directory: the URL of the repository that it is a checkout of, perhaps with //path

	// SourcePath is the directory below that repository's root, where Source says
	// none.
	SourcePath string

	PolicyFile string // the operator's policy; without one everything is refused
	CacheDir   string
	Offline    bool // use nothing but the cache
	Dev        bool // take a directory as it is, sign and log nothing

	Options Options

	// Application is set when ArgoCD asks; Target is then a directory, and
	// Source what ArgoCD says that it is.
	Application *Application

	Now time.Time // when the request is made: keys and exceptions end

	Git        string                            // git program, absolute path
	GitEnv     []string                          // what git may see of the environment
	HTTPClient *http.Client                      // for the log
	Transport  http.RoundTripper                 // for files, archives and artifacts; follows no redirects
	LookupEnv  func(string) (string, bool)       // variables that the policy names for credentials
	Password   func() ([]byte, error)            // of the signing key, asked for when it is needed
	KMS        signer.Plugins                    // for keys of the policy's in a KMS
	Observe    func(source string) resolver.Task // told of fetches; may be nil

	locking, relock bool // see [Lock]
}

// Refused is the error for what the policy does not accept. Failures that came
// up besides are told with it.
type Refused struct {
	Refusals []*refusal.Refusal
	Failures []error
}

func (e *Refused) Error() string {
	return joinLines(append([]error{refusal.Join(e.Refusals)}, e.Failures...))
}

// Unwrap returns all refusals and failures.
func (e *Refused) Unwrap() []error {
	errs := make([]error, 0, len(e.Refusals)+len(e.Failures))
	for _, r := range e.Refusals {
		errs = append(errs, r)
	}
	return append(errs, e.Failures...)
}

func joinLines(errs []error) string {
	text := make([]string, len(errs))
	for i, err := range errs {
		text[i] = err.Error()
	}
	return strings.Join(text, "\n")
}

// refuse returns a refusal that concerns the whole request.
func refuse(code refusal.Code, reason string, hints ...string) error {
	return &Refused{Refusals: []*refusal.Refusal{{Code: code, Reason: reason, Hints: hints}}}
}

// Report is what verification found.
type Report struct {
	Policy *policy.Policy
	Graph  *resolver.Graph
	Source string // the root's identity//path
	Ref    string // as written in the root's URL
	Dev    bool
	Audit  bool // the policy reports what it does not accept, and lets it pass

	entry *policy.Application // of the policy, for the request's Application
	own   []*refusal.Refusal  // of the request and of the output, not of a source
}

// refusals returns what the policy does not accept, as far as it is known
// before a build.
func (r *Report) refusals() []*refusal.Refusal {
	if len(r.own) == 0 {
		return r.Graph.Refusals
	}
	return refusal.Sort(slices.Concat(r.Graph.Refusals, r.own))
}

// Err is where a verdict becomes a decision: it returns the error that stops a
// build, of type *[Refused] when a source is not accepted, or nil. An audit is
// stopped only by what no build can go on after.
func (r *Report) Err() error {
	refusals := r.refusals()
	if r.Audit && r.Graph.Complete() && !slices.ContainsFunc(refusals, func(one *refusal.Refusal) bool { return !one.Code.Auditable() }) {
		refusals = nil
	}
	if len(refusals) > 0 {
		return &Refused{refusals, r.Graph.Failures}
	}
	return errors.Join(r.Graph.Failures...)
}

// Audited returns what an audit let pass: what enforcing the policy would
// refuse.
func (r *Report) Audited() []*refusal.Refusal {
	if !r.Audit {
		return nil
	}
	return refusal.Sort(slices.Concat(r.refusals(), r.Graph.Late()))
}

// Verify resolves and verifies everything that the target loads. The error
// tells what kept it from doing so; what the policy does not accept is in the
// report, whose [Report.Err] gives the decision.
func Verify(ctx context.Context, req Request) (*Report, error) {
	report, _, err := verify(ctx, req)
	if err != nil {
		return nil, err
	}
	return report, nil
}

// verify resolves and verifies. With an error, there is a report without a graph
// as soon as the policy was read.
func verify(ctx context.Context, req Request) (*Report, *cache.Cache, error) {
	p, err := ReadPolicy(req)
	if err != nil {
		return nil, nil, err
	}
	report := &Report{Policy: p, Graph: &resolver.Graph{}, Dev: req.Dev}
	if req.Application != nil {
		own, entry, refusals, err := forApplication(req, p)
		if err != nil {
			return report, nil, err
		}
		report.Policy, report.entry, report.own = own, entry, refusals
	}
	report.Audit = report.Policy.Spec.Enforcement == policy.Audit && !req.locking
	cfg, err := config(req, report)
	var refused *Refused
	if errors.As(err, &refused) {
		err = &Refused{slices.Concat(refused.Refusals, report.own), refused.Failures}
	}
	if err != nil {
		return report, nil, err
	}
	root, err := rootOf(req)
	if err != nil {
		return report, nil, err
	}
	graph, err := resolver.Resolve(ctx, cfg, root)
	if err != nil {
		return report, nil, err
	}
	report.Graph = graph
	if graph.Root != nil {
		report.Source = graph.Root.Source.Identity.At(graph.Root.Dir)
		report.Ref = graph.Root.Source.Ref
	}
	return report, cfg.Cache, nil
}

// ReadPolicy reads the policy that the request names.
func ReadPolicy(req Request) (*policy.Policy, error) {
	if req.PolicyFile == "" {
		return nil, refuse(refusal.NoPolicy, "no policy was given", "name one with --policy or TRUSTOMIZE_POLICY", "trustomize policy init writes a first one")
	}
	if req.Now.IsZero() {
		return nil, errors.New("the request does not say what time it is")
	}
	p, err := policy.Load(req.PolicyFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, refuse(refusal.NoPolicy, err.Error(), "name the policy with --policy or TRUSTOMIZE_POLICY")
	}
	return p, err
}

// config checks the options and opens the cache.
func config(req Request, report *Report) (resolver.Config, error) {
	p := report.Policy
	if err := req.Options.check(p); err != nil {
		return resolver.Config{}, err
	}
	store, err := cache.Open(req.CacheDir)
	if err != nil {
		return resolver.Config{}, err
	}
	cfg := resolver.Config{
		Policy:    p,
		Git:       &git.Git{Program: req.Git, Temp: store.Temp(), Env: req.GitEnv},
		Cache:     store,
		Offline:   req.Offline,
		HTTP:      req.transport(),
		LookupEnv: req.lookupEnv(),
		AnyFile:   req.Options.AnyFile,
		Now:       req.Now,
		Audit:     report.Audit,
		Locking:   req.locking,
		Relock:    req.relock,
		Observe:   req.Observe,
	}
	if a := req.Application; a != nil {
		cfg.Askpass = a.Askpass
		if len(report.own) == 0 || report.Audit {
			cfg.EditRoot = a.editRoot() // what was refused is not worth the time
		}
		cfg.Git.SameGroup = true // ArgoCD ends what belongs to its child's group
	}
	return cfg, nil
}

// transport is the request's own, or one that refuses: nothing falls back to
// what a process has by default.
func (req *Request) transport() http.RoundTripper {
	if req.Transport != nil {
		return req.Transport
	}
	return noTransport{}
}

type noTransport struct{}

func (noTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.New("no HTTP transport was given")
}

func (req *Request) lookupEnv() func(string) (string, bool) {
	if req.LookupEnv != nil {
		return req.LookupEnv
	}
	return func(string) (string, bool) { return "", false }
}

// rootOf tells a directory from a URL, as kustomize does: what can be a URL is
// one.
func rootOf(req Request) (resolver.Root, error) {
	u, err := sourceurl.Parse(req.Target, false)
	switch {
	case errors.Is(err, giturl.ErrLocal):
		return localRoot(req)
	case err != nil:
		return resolver.Root{}, err
	case req.Dev:
		return resolver.Root{}, errors.New("a dev build wants a local directory")
	case req.Source != "":
		return resolver.Root{}, errors.New("--source says what a local directory is; a URL says so itself")
	}
	return resolver.Root{URL: u}, nil
}

// IsRemote reports whether kustomize would take a reference for a URL.
func IsRemote(target string) bool {
	_, err := sourceurl.Parse(target, false)
	return !errors.Is(err, giturl.ErrLocal)
}

func localRoot(req Request) (resolver.Root, error) {
	root := resolver.Root{Dir: req.Target, Unverified: req.Dev}
	if req.Source == "" {
		return root, nil
	}
	source, err := parseSource(req.Source, req.SourcePath)
	if err != nil {
		return resolver.Root{}, err
	}
	root.Source = source
	if req.Application != nil {
		root.Revision = req.Application.Revision
		root.Except = []string{path.Join(literal.Replace(source.Path), ".argocd-source*.yaml")}
	}
	return root, nil
}

// literal escapes what has a meaning in a pattern (package path).
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// parseSource reads the URL that names a checkout's repository, and the path
// below its root where the URL has none. An identity as policies have it will do
// as well.
func parseSource(s, dir string) (*sourceurl.URL, error) {
	var source *sourceurl.URL
	if strings.HasPrefix(s, "oci://") {
		u, err := sourceurl.Parse(s, false)
		if err != nil {
			return nil, fmt.Errorf("--source: %w", err)
		}
		source = u
	} else {
		u, err := giturl.ParseRepository(s)
		if err != nil {
			return nil, fmt.Errorf("--source: %w", err)
		}
		if u.Ref != "" {
			return nil, fmt.Errorf("--source: a ref has no meaning here; what is built is what lies on disk")
		}
		u.Submodules = true
		source = sourceurl.FromGit(u, s)
	}
	if dir = path.Clean(dir); dir != "." && source.Path != "" {
		return nil, fmt.Errorf("--source: names a path, and so does who asks")
	} else if dir != "." {
		source.Path = dir
	}
	return source, nil
}
