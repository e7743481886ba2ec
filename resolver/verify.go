package resolver

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// Voucher is the evidence that somebody vouches for files of a source.
type Voucher struct {
	Rule      string `json:"rule"` // the rule's match
	Kind      string `json:"kind"` // "signature" over a list, "commit", "pin", "lock", or "nobody"
	Signer    string `json:"signer,omitempty"`
	Key       string `json:"key,omitempty"`       // fingerprint, see signature.Evidence
	Identity  string `json:"identity,omitempty"`  // in whose hands the key was: certificate subject, PGP user, SSH principal
	Issuer    string `json:"issuer,omitempty"`    // who vouches for a keyless identity
	Made      string `json:"made,omitempty"`      // when the signature was made, RFC 3339
	MadeBy    string `json:"madeBy,omitempty"`    // by whose word: "proof", of a log or timestamp authority, or "signer"
	Signature string `json:"signature,omitempty"` // path of the signature's file; a tag's ref, or "commit"
	Format    string `json:"format,omitempty"`    // of the signature
	List      string `json:"list,omitempty"`      // path of the list it covers; of a lock, identity//path
	Digest    string `json:"digest,omitempty"`    // of the signed bytes, or of a pinned or locked tree
	Commit    string `json:"commit,omitempty"`    // signed, pinned or locked
	Bound     bool   `json:"bound,omitempty"`     // the list names its repository
	Reason    string `json:"reason,omitempty"`    // why the policy lets pass what nobody vouches for
	Until     string `json:"until,omitempty"`     // the last day on which it does
}

// The words for [Voucher.MadeBy].
const (
	byProof  = "proof"
	bySigner = "signer"
)

// voucherOf turns a signature's evidence into a voucher.
func voucherOf(kind string, rule *policy.CompiledRule, signer string, e signature.Evidence) Voucher {
	one := Voucher{
		Rule: rule.Match, Kind: kind, Signer: signer, Key: e.Fingerprint, Identity: e.Identity, Issuer: e.Issuer,
		Format: string(e.Kind), Digest: e.Digest,
	}
	switch {
	case !e.Proven.IsZero():
		one.Made, one.MadeBy = e.Proven.UTC().Format(time.RFC3339), byProof
	case !e.Claimed.IsZero():
		one.Made, one.MadeBy = e.Claimed.UTC().Format(time.RFC3339), bySigner
	}
	return one
}

// verification decides path by path whether a source's files are vouched for.
// Every verdict is reached once.
type verification struct {
	ctx        context.Context // of the run
	source     *Source
	policy     *policy.Policy
	unverified bool
	locking    bool // what is to be locked need not be so yet
	audit      bool // go on after refusals that only say that nobody vouches
	now        time.Time
	standing   []*refusal.Refusal // of the source as a whole
	dirs       []string           // that hold a list
	except     []string           // patterns of files that no list speaks of

	mu       sync.Mutex
	verdicts map[string][]*refusal.Refusal
	lists    map[string]*signedList
	accepted map[acceptKey]acceptance
	vouchers map[Voucher]bool
	commits  map[*policy.CompiledRule][]*refusal.Refusal
	late     []*refusal.Refusal   // of an audit, that came up during the build
	lenient  map[*signedList]bool // that need hold only for what is reached
	data     map[string]bool      // files that are loaded as such, not as kustomizations
}

func newVerification(s *Source, cfg Config, unverified bool) *verification {
	return &verification{
		ctx: cfg.ctx, source: s, policy: cfg.Policy, unverified: unverified, locking: cfg.Locking, audit: cfg.Audit, now: cfg.Now,
		dirs:     materials.Lists(s.Tree),
		verdicts: map[string][]*refusal.Refusal{},
		lists:    map[string]*signedList{},
		accepted: map[acceptKey]acceptance{},
		vouchers: map[Voucher]bool{},
		data:     map[string]bool{},
		lenient:  map[*signedList]bool{},
		commits:  map[*policy.CompiledRule][]*refusal.Refusal{},
	}
}

// Vouchers returns who vouches for what was reached of the source.
func (v *verification) Vouchers() []Voucher {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.SortedFunc(maps.Keys(v.vouchers), func(a, b Voucher) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// Checked returns the paths that were admitted.
func (v *verification) Checked() map[string]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	checked := make(map[string]bool, len(v.verdicts))
	for p, refusals := range v.verdicts {
		if !v.stops(refusals) {
			checked[p] = true
		}
	}
	return checked
}

// addData notes that a file is loaded as data; isData tells.
func (v *verification) addData(p string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.data[p] = true
}

func (v *verification) isData(p string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.data[p]
}

// admit decides about one path, which may be absent. Links are not followed:
// a link's target is a path of its own.
func (v *verification) admit(p string) []*refusal.Refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	if verdict, ok := v.verdicts[p]; ok {
		return verdict
	}
	verdict := append(slices.Clone(v.standing), v.judge(p)...)
	v.verdicts[p] = verdict
	return verdict
}

// stops reports whether refusals end the way here: all do, but those that an
// audit only reports.
func (v *verification) stops(refusals []*refusal.Refusal) bool { return stops(v.audit, refusals) }

func (r *run) stops(refusals []*refusal.Refusal) bool { return stops(r.cfg.Audit, refusals) }

func stops(audit bool, refusals []*refusal.Refusal) bool {
	return slices.ContainsFunc(refusals, func(one *refusal.Refusal) bool { return !audit || !one.Code.Auditable() })
}

func (v *verification) refusal(code refusal.Code, file, reason string) *refusal.Refusal {
	return &refusal.Refusal{Code: code, Source: string(v.source.Identity), Commit: v.source.Commit, File: file, Reason: reason}
}

// judge holds a path against the rule that its own name selects.
func (v *verification) judge(p string) []*refusal.Refusal {
	if slices.Contains(v.dirs, path.Dir(p)) && materials.Excepted(path.Base(p)) {
		return []*refusal.Refusal{v.refusal(refusal.Unlisted, p, "a list and its signatures are no part of a build")}
	}
	if slices.ContainsFunc(v.except, func(pattern string) bool { ok, _ := path.Match(pattern, p); return ok }) {
		return []*refusal.Refusal{v.refusal(refusal.Unlisted, p, "what ArgoCD merges into the Application is no part of a build")}
	}
	if v.unverified {
		v.vouchers[Voucher{Kind: "nobody"}] = true
		return nil
	}
	rule, ok := v.rule(p)
	if !ok && len(v.standing) > 0 {
		return nil // no rule knows the source at all
	}
	if !ok {
		one := v.refusal(refusal.NoRule, p, "no rule of the policy matches this file")
		one.Hints = []string{"the rules that name this source are for other //paths; add one for this file's directory"}
		return []*refusal.Refusal{one}
	}
	var refusals []*refusal.Refusal
	if rule.Unverified != nil {
		refusals = append(refusals, v.excepted(rule)...)
	}
	if len(rule.CommitSigners) > 0 {
		refusals = append(refusals, v.commitSigned(rule)...)
	}
	if len(rule.Pinned) > 0 {
		refusals = append(refusals, v.pinned(rule)...)
	}
	if rule.Locked {
		refusals = append(refusals, v.lockHolds(rule)...)
	}
	if len(rule.Refs) > 0 {
		refusals = append(refusals, v.refsHold(rule)...)
	}
	switch {
	case len(rule.SignedBy) == 0:
	case v.source.Kind == sourceurl.File:
		refusals = append(refusals, v.fileSigned(rule, p)...)
	default:
		refusals = append(refusals, v.signed(rule, p)...)
	}
	return refusals
}

// rule returns the rule for a path. A source that is one file is named as a
// whole.
func (v *verification) rule(p string) (*policy.CompiledRule, bool) {
	if v.source.Kind == sourceurl.File {
		p = "."
	}
	return v.policy.Rule(v.source.Identity, p)
}

// excepted lets pass what nobody vouches for, until its day.
func (v *verification) excepted(rule *policy.CompiledRule) []*refusal.Refusal {
	u := rule.Unverified
	if v.now.Before(u.Until.End()) {
		v.vouchers[Voucher{Rule: rule.Match, Kind: "nobody", Reason: u.Reason, Until: u.Until.String()}] = true
		return nil
	}
	one := v.refusal(refusal.Expired, "", "the policy let this source pass unverified until "+u.Until.String()+" ("+u.Reason+")")
	one.Hints = []string{"have it signed, pin it or lock it, or give the exception in rule " + rule.Match + " a later day"}
	return []*refusal.Refusal{one}
}

// fileSigned holds a single file against the detached signatures beside it. They
// name no source, so that a valid one can be replayed for another file that the
// same rule covers.
func (v *verification) fileSigned(rule *policy.CompiledRule, p string) []*refusal.Refusal {
	e, _ := v.source.Tree.Lookup(p)
	if len(v.source.signatures) == 0 {
		one := v.refusal(refusal.Unsigned, p, "no signature lies beside this file")
		one.Hints = []string{"sign it and put the signature beside it, as " + p + ".sig", "or vouch for its present state with a pin in the policy: digest " + v.source.Digest}
		return []*refusal.Refusal{one}
	}
	if rule.Bound {
		one := v.refusal(refusal.Unbound, p, "a single file's signature does not say where the file belongs, and the rule demands it")
		return []*refusal.Refusal{one}
	}
	vouchers, refusals := v.signers(rule, &signedList{dir: ".", name: p, data: e.Data, signatures: v.source.signatures})
	for _, one := range vouchers {
		if len(refusals) == 0 {
			v.vouchers[one] = true
		}
	}
	return refusals
}

// pinned holds the source against the rule's pins; one must hold whole.
func (v *verification) pinned(rule *policy.CompiledRule) []*refusal.Refusal {
	var want []string
	for _, pin := range rule.Pinned {
		commit := pin.Commit == "" || pin.Commit == v.source.Commit
		digest := pin.Digest == "" || pin.Digest == v.source.Digest
		if commit && digest {
			v.vouchers[Voucher{Rule: rule.Match, Kind: "pin", Commit: pin.Commit, Digest: pin.Digest}] = true
			return nil
		}
		want = append(want, strings.TrimSpace(prefixed("commit ", pin.Commit)+" "+pin.Digest))
	}
	one := v.refusal(refusal.WrongPin, "", "the rule pins another state of this source")
	one.Want = strings.Join(want, " or ")
	one.Got = strings.TrimSpace(prefixed("commit ", v.source.Commit) + " " + v.source.Digest)
	one.Hints = []string{"review what changed, then pin what was found in rule " + rule.Match}
	return []*refusal.Refusal{one}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
