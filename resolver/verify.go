package resolver

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// Voucher is the evidence that somebody vouches for files of a source.
type Voucher struct {
	Rule      string `json:"rule"` // the rule's match
	Kind      string `json:"kind"` // "signature", "pin", "lock", or "nobody" for a root taken as it is
	Signer    string `json:"signer,omitempty"`
	Key       string `json:"key,omitempty"`       // fingerprint
	Signature string `json:"signature,omitempty"` // path of the signature
	Format    string `json:"format,omitempty"`    // of the signature
	List      string `json:"list,omitempty"`      // path of the list it covers; of a lock, identity//path
	Digest    string `json:"digest,omitempty"`    // of the list, or of a pinned or locked tree
	Commit    string `json:"commit,omitempty"`    // pinned or locked
	Bound     bool   `json:"bound,omitempty"`     // the list names its repository
}

// verification decides path by path whether a source's files are vouched for.
// Every verdict is reached once.
type verification struct {
	source     *Source
	policy     *policy.Policy
	unverified bool
	locking    bool     // what is to be locked need not be so yet
	dirs       []string // that hold a list

	mu       sync.Mutex
	verdicts map[string][]*refusal.Refusal
	lists    map[string]*signedList
	accepted map[acceptKey]acceptance
	vouchers map[Voucher]bool
	lenient  map[*signedList]bool // that need hold only for what is reached
	data     map[string]bool      // files that are loaded as such, not as kustomizations
}

func newVerification(s *Source, cfg Config, unverified bool) *verification {
	return &verification{
		source: s, policy: cfg.Policy, unverified: unverified, locking: cfg.Locking,
		dirs:     materials.Lists(s.Tree),
		verdicts: map[string][]*refusal.Refusal{},
		lists:    map[string]*signedList{},
		accepted: map[acceptKey]acceptance{},
		vouchers: map[Voucher]bool{},
		data:     map[string]bool{},
		lenient:  map[*signedList]bool{},
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
		if len(refusals) == 0 {
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
	verdict := v.judge(p)
	v.verdicts[p] = verdict
	return verdict
}

func (v *verification) refusal(code refusal.Code, file, reason string) *refusal.Refusal {
	return &refusal.Refusal{Code: code, Source: string(v.source.Identity), Commit: v.source.Commit, File: file, Reason: reason}
}

// judge holds a path against the rule that its own name selects.
func (v *verification) judge(p string) []*refusal.Refusal {
	if slices.Contains(v.dirs, path.Dir(p)) && materials.Excepted(path.Base(p)) {
		return []*refusal.Refusal{v.refusal(refusal.Unlisted, p, "a list and its signatures are no part of a build")}
	}
	if v.unverified {
		v.vouchers[Voucher{Kind: "nobody"}] = true
		return nil
	}
	rule, ok := v.rule(p)
	if !ok {
		one := v.refusal(refusal.NoRule, p, "no rule of the policy matches this file")
		one.Hints = []string{"the rules that name this source are for other //paths; add one for this file's directory"}
		return []*refusal.Refusal{one}
	}
	var refusals []*refusal.Refusal
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
