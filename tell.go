package trustomize

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
)

// ReportLine is what a build appends to the file that the policy's spec.report
// names: one JSON object on a line of its own.
type ReportLine struct {
	Time        string             `json:"time"`                  // RFC 3339, UTC
	Source      string             `json:"source"`                // identity//path, or what was asked for if that was not found out
	Application string             `json:"application,omitempty"` // as ArgoCD says it
	Dev         bool               `json:"dev,omitempty"`
	Commit      string             `json:"commit,omitempty"`
	Policy      string             `json:"policy"` // digest
	Enforcement policy.Enforcement `json:"enforcement"`
	Verdict     string             `json:"verdict"` // as in [ReportJSON]
	Signed      int                `json:"signed"`  // resources
	Resources   int                `json:"resources"`
	Refusals    []*refusal.Refusal `json:"refusals,omitempty"`   // at most maxTold
	More        int                `json:"more,omitempty"`       // refusals beyond those
	Unverified  []string           `json:"unverified,omitempty"` // identities that pass although nobody vouches for them
	Failure     string             `json:"failure,omitempty"`
}

// maxTold bounds the refusals in a line: files of thousands of lines should stay
// readable, and a line be written at once.
const maxTold = 50

// tell appends a line about a build to the policy's report, if it has one.
func (r *Report) tell(req Request, result *Result, err error) error {
	spec := r.Policy.Spec
	if spec.Report == nil {
		return nil
	}
	line := ReportLine{
		Time: req.Now.UTC().Format(time.RFC3339), Source: cmp.Or(r.Source, giturl.Redact(cmp.Or(req.Source, req.Target))), Dev: req.Dev, Policy: r.Policy.Digest,
		Enforcement: spec.Enforcement, Verdict: verdictOf(err), Refusals: r.Audited(),
	}
	if req.Application != nil {
		line.Application = req.Application.Name
	}
	if r.Graph.Root != nil {
		line.Commit = r.Graph.Root.Source.Commit
	}
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		line.Refusals = refusal.Sort(refused.Refusals)
	case err != nil:
		line.Failure = err.Error()
	case len(line.Refusals) > 0:
		line.Verdict = Audited
	default:
		line.Verdict = Accepted
	}
	if result != nil {
		line.Signed, line.Resources = result.Signed, result.Resources
	}
	if more := len(line.Refusals) - maxTold; more > 0 {
		line.Refusals, line.More = line.Refusals[:maxTold], more
	}
	for _, s := range r.Graph.Unverified() {
		line.Unverified = append(line.Unverified, string(s.Identity))
	}
	if err := appendLine(r.Policy.Path(spec.Report.File), line); err != nil {
		return fmt.Errorf("spec.report: %w", err)
	}
	return nil
}

// appendLine writes a line with one call, so that those of several processes do
// not mix.
func appendLine(file string, line any) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", file) // a pipe could keep a build waiting
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	return errors.Join(err, f.Close())
}
