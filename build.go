package trustomize

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/verifyfs"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/resolver"
	"github.com/trustomize/trustomize/signer"
)

// Result is a finished build.
type Result struct {
	Report    *Report
	YAML      []byte
	Files     []OutputFile       // the same, one file per resource, as kustomize names them
	Signed    int                // resources that carry a signature
	Resources int                // all resources
	Record    *provenance.Record // nil when nothing was signed
	Image     string             // HOST/PATH@sha256:HEX of the manifest image; "" when none was pushed

	// Unsigned says why nothing was signed; "" when something was. Statement
	// is then the provenance's, without a signature, of an audit that would
	// refuse.
	Unsigned  string
	Statement []byte

	Warnings []string // what went wrong besides, and stops nothing
}

// Build verifies, builds, signs and logs. On an error there is no result: of
// type *[Refused] when the policy does not accept a source. Where the policy
// names a report, a line about the build is appended to it, whatever came of it.
func Build(ctx context.Context, req Request) (*Result, error) {
	report, store, err := verify(ctx, req)
	if report == nil {
		return nil, err
	}
	var result *Result
	if err == nil {
		result, err = build(ctx, req, report, store)
	}
	if told := report.tell(req, result, err); told != nil && err != nil {
		return nil, withFailure(err, told)
	} else if told != nil {
		result.Warnings = append(result.Warnings, told.Error())
	}
	return result, err
}

// Render verifies and builds like [Build], and signs and logs nothing: what comes out
// is for somebody who goes on working with it.
func Render(ctx context.Context, req Request) (*Result, error) {
	report, _, err := verify(ctx, req)
	if report == nil {
		return nil, err
	}
	result := &Result{Report: report, Unsigned: "what is only rendered is not signed"}
	if err == nil {
		var resources resmap.ResMap
		if resources, result.YAML, err = render(ctx, req, report); err == nil {
			result.Resources = resources.Size()
		}
	}
	if told := report.tell(req, result, err); told != nil && err != nil {
		return nil, withFailure(err, told)
	} else if told != nil {
		result.Warnings = append(result.Warnings, told.Error())
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// render builds, and checks what came out; the YAML is that of the resources.
func render(ctx context.Context, req Request, report *Report) (resmap.ResMap, []byte, error) {
	if err := report.Err(); err != nil {
		return nil, nil, err
	}
	resources, err := run(report.Graph, req.Options)
	if err = errors.Join(err, context.Cause(ctx)); err != nil {
		return nil, nil, err
	}
	plain, err := resources.AsYaml()
	if err != nil {
		return nil, nil, err
	}
	if report.Graph.Leaks(plain) {
		return nil, nil, refuse(refusal.Unsupported, "the output holds a kustomization's own text, with its references as a build has them; a kustomization cannot be loaded as data")
	}
	if err := checkLists(report, resources); err != nil {
		return nil, nil, err
	}
	if refusals := report.emitted(resources); len(refusals) > 0 {
		report.own = append(report.own, refusals...)
		if err := report.Err(); err != nil {
			return nil, nil, err
		}
	}
	if req.Dev || report.Policy.Spec.Sign.None {
		return resources, plain, nil
	}
	if err := checkReserved(report, resources); err != nil {
		return nil, nil, err
	}
	if report.Policy.Spec.Sign.Existing == policy.ReplaceExisting {
		plain, err = resources.AsYaml()
	}
	return resources, plain, err
}

// checkLists refuses resources that are lists to whoever applies them: kubectl and
// ArgoCD take any object with items for these items, which nobody looked at here.
func checkLists(report *Report, resources resmap.ResMap) error {
	for _, r := range resources.Resources() {
		if items := r.Field("items"); items != nil && items.Value.YNode().Kind == kyaml.SequenceNode {
			return &Refused{Refusals: []*refusal.Refusal{{
				Code: refusal.Unsupported, Source: report.Source, Reason: "the output's " + signer.Name(&r.RNode) + " has items: kubectl and ArgoCD would apply these in its place",
				Hints: []string{"make resources of their own of them"},
			}}}
		}
	}
	return nil
}

func build(ctx context.Context, req Request, report *Report, store *cache.Cache) (*Result, error) {
	resources, plain, err := render(ctx, req, report)
	if err != nil {
		return nil, err
	}
	result := &Result{Report: report, Resources: resources.Size()}
	key, unsigned := signingKey(req, report)
	if key == nil {
		return result, result.leaveUnsigned(req, unsigned, resources, plain)
	}
	if err := errors.Join(finish(ctx, req, result, key, resources, store), context.Cause(ctx)); err != nil {
		return nil, err
	}
	return result, nil
}

// leaveUnsigned finishes a build without a signature. Of an audit that would
// refuse, the provenance says so.
func (r *Result) leaveUnsigned(req Request, why string, resources resmap.ResMap, plain []byte) error {
	r.Unsigned, r.YAML = why, plain
	var err error
	if len(r.Report.Audited()) > 0 && !req.Dev {
		m, err := describeUnsigned(resources, plain)
		if err != nil {
			return err
		}
		if r.Statement, err = statementOf(r.Report, req, m).Bytes(); err != nil {
			return err
		}
	}
	r.Files, err = outputFiles(resources)
	return err
}

// withFailure adds a failure to what a build failed or was refused with.
func withFailure(err, failure error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return &Refused{refused.Refusals, append(refused.Failures, failure)}
	}
	return errors.Join(err, failure)
}

// building guards kustomize's process-wide state: the OpenAPI schema that one
// build sets would act on the next.
var building sync.Mutex

// run builds from verified bytes alone. It has no network and starts no
// process: all references lead into the snapshots, plugins are off, and
// anything else is an error.
func run(g *resolver.Graph, o Options) (resmap.ResMap, error) {
	mounts, target, err := g.Mounts()
	if err != nil {
		return nil, err
	}
	files := verifyfs.New(mounts)
	building.Lock()
	defer building.Unlock()
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	resources, err := kustomize(g, o, files, target)
	if violation := files.Violation(); violation != nil {
		return nil, violated(g, violation)
	}
	if err != nil {
		return nil, fmt.Errorf("build: %s", oneLine(original(g, err.Error())))
	}
	if resources.Size() == 0 {
		return nil, errors.New("build: the result is empty; ArgoCD would take that for an order to delete everything")
	}
	return resources, nil
}

// oneLine keeps what comes out of a source from looking like a line of ours.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// calm turns a panic of kustomize's, which malformed input can cause, into an error.
func calm(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("kustomize panicked: %v", cause)
	}
}

// kustomize runs a build.
func kustomize(g *resolver.Graph, o Options, files *verifyfs.FS, target string) (resources resmap.ResMap, err error) {
	defer calm(&err)
	if resources, err = krusty.MakeKustomizer(o.krusty()).Run(files, target); err != nil {
		return nil, err
	}
	return resources, describe(g, o, resources)
}

// violated turns an attempt to read what nobody vouches for into a refusal.
func violated(g *resolver.Graph, violation error) error {
	var one *refusal.Refusal
	if errors.As(violation, &one) {
		return &Refused{Refusals: []*refusal.Refusal{one}}
	}
	return refuse(refusal.Unlisted, original(g, violation.Error()))
}

// original puts sources' names in place of the directories that they have
// during a build.
func original(g *resolver.Graph, text string) string {
	for name, source := range g.MountNames() {
		if strings.HasPrefix(name, "source-") {
			text = regexp.MustCompile(`(?:(?:\.\./)+|/)`+regexp.QuoteMeta(name)+`\b`).ReplaceAllLiteralString(text, source)
			continue
		}
		if strings.HasPrefix(name, ".source-") {
			text = strings.ReplaceAll(text, name, source)
			continue
		}
		text = strings.ReplaceAll(text, "'/"+name, "'"+source) // a local root
	}
	return text
}

// finish signs the resources and records how they came about.
func finish(ctx context.Context, req Request, result *Result, ref *policy.SigningKey, resources resmap.ResMap, store *cache.Cache) error {
	spec := &result.Report.Policy.Spec
	key, err := openKey(ctx, req, result.Report, ref)
	if err != nil {
		return err
	}
	publish, err := openPublisher(req, result.Report.Policy, result.Report.origin(req.Application))
	if err != nil {
		return err
	}
	published, err := publish.signatures(ctx, key)
	if err != nil {
		return err
	}
	maker := signer.Keep(key, append([]signer.Store{keptSignatures{store}}, published...)...)
	s := &signer.Signer{
		Maker: maker, Origin: result.Report.origin(req.Application),
		Match: selectors(spec.Sign.Match), EmbedSecrets: spec.Sign.EmbedSecrets,
	}
	manifest, err := sign(ctx, s, resources, publish)
	if err != nil {
		return err
	}
	statement, err := statementOf(result.Report, req, manifest).Bytes()
	if err != nil {
		return err
	}
	recorder := recorderOf(req, result.Report.Policy, key, store)
	record, err := recordOf(ctx, recorder, key, statement, store)
	if err != nil {
		return logged(err)
	}
	if publish != nil {
		if result.Image, err = publish.push(ctx, maker, recorder, record); err != nil {
			return logged(fmt.Errorf("the manifest image, without which spec.sign.image has nothing printed: %w", err))
		}
	}
	result.YAML, result.Signed, result.Record = manifest.yaml, manifest.signed, record
	result.Files, err = outputFiles(resources)
	store.Trim(spec.Limits.CacheBytes)
	return err
}

func recorderOf(req Request, p *policy.Policy, key *privateKey, store *cache.Cache) *provenance.Recorder {
	r := &provenance.Recorder{Signer: key.statements, Public: key.public.Public, Store: store, Client: req.HTTPClient}
	r.Spool = p.Spec.Log.Mode == policy.LogSpool
	if len(p.Spec.Log.Rekor) > 0 {
		log := p.Spec.Log.Rekor[0]
		r.Log = &provenance.Log{URL: log.URL, Version: log.Version, Key: p.LogKeys()[0].Public}
	}
	return r
}

// recordOf signs a statement, and logs it where the policy wants that.
func recordOf(ctx context.Context, recorder *provenance.Recorder, key *privateKey, statement []byte, store *cache.Cache) (*provenance.Record, error) {
	if key.keyless != nil {
		data, err := key.keyless.Statement(ctx, provenance.PayloadType, statement, key.identity, keptSignatures{store})
		return &provenance.Record{Bundle: data, Index: -1}, err
	}
	return recorder.Record(ctx, statement)
}

// logged turns a log's failure into a refusal.
func logged(err error) error {
	var failed *provenance.Error
	if errors.As(err, &failed) {
		return refuse(refusal.Log, failed.Error(), "nothing is printed before the log has answered; spec.log.mode in the policy asks for that")
	}
	return err
}
