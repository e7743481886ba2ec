package resolver

import (
	"fmt"
	"path"
	"slices"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// signed holds a path against the lists at or above it: the nearest governs,
// and those above it must not contradict.
func (v *verification) signed(rule *policy.CompiledRule, p string) []*refusal.Refusal {
	above := materials.Above(v.dirs, p)
	if len(above) == 0 {
		if _, exists := v.source.Tree.Lookup(p); !exists {
			return nil // nothing is there, and nobody says that something should be
		}
		one := v.refusal(refusal.Unsigned, p, "no source-materials at or above this file")
		one.Hints = []string{"sign the source with: trustomize materials sign", "or vouch for its present state with a pin in the policy: commit " + v.source.Commit + ", digest " + v.source.Digest}
		return []*refusal.Refusal{one}
	}
	refusals := v.governed(rule, above[0], p)
	for i, dir := range above[1:] {
		refusals = append(refusals, v.outer(rule, dir, p, above[:i+1])...)
	}
	return refusals
}

// governed holds a path against the list that governs it.
func (v *verification) governed(rule *policy.CompiledRule, dir, p string) []*refusal.Refusal {
	a := v.accept(rule, dir)
	if len(a.refusals) > 0 {
		return a.refusals
	}
	here := v.problems(a.list.list.CheckFile(v.source.Tree, a.list.scope, p))
	if rule.Closure == policy.ClosureReached {
		v.lenient[a.list] = true
		return here
	}
	return append(here, a.list.refused(v)...)
}

// outer holds a path against a list above the one that governs it. What such a
// list names must hold there too; what it does not name is not its business. A
// list that nobody has validly signed is refused, not passed over. It may name
// the lists below it and their signatures, which then cannot be put back to an
// older state.
func (v *verification) outer(rule *policy.CompiledRule, dir, p string, inner []string) []*refusal.Refusal {
	a := v.accept(rule, dir)
	if len(a.refusals) > 0 {
		own, ok := v.policy.Rule(v.source.Identity, path.Join(dir, materials.ListName))
		if !ok || len(own.SignedBy) == 0 {
			return a.refusals
		}
		if a = v.accept(own, dir); len(a.refusals) > 0 {
			return a.refusals
		}
	}
	if rule.Closure == policy.ClosureTree {
		return a.list.refused(v)
	}
	paths := []string{p}
	for _, below := range inner {
		for _, name := range append(materials.SignatureNames(), materials.ListName) {
			paths = append(paths, path.Join(below, name))
		}
	}
	var refusals []*refusal.Refusal
	for _, named := range paths {
		if a.list.list.Names(materials.Rel(dir, named)) {
			refusals = append(refusals, v.problems(a.list.list.CheckFile(v.source.Tree, a.list.scope, named))...)
		}
	}
	return refusals
}

// problems turns differences into refusals.
func (v *verification) problems(problems []materials.Problem) []*refusal.Refusal {
	var refusals []*refusal.Refusal
	for _, p := range problems {
		one := v.refusal(refusal.Code(p.Kind), p.Path, reasons[p.Kind])
		if p.Detail != "" {
			one.Reason = p.Detail
		} else {
			one.Want, one.Got = p.Want, p.Got
		}
		one.Hints = []string{"if the change is meant, review it and sign the list again: trustomize materials sign"}
		refusals = append(refusals, one)
	}
	return refusals
}

var reasons = map[materials.Kind]string{
	materials.Changed:  "its bytes are not those that were signed",
	materials.Missing:  "it is listed and not there",
	materials.Unlisted: "it is there and not listed",
	materials.NotFile:  "it is listed as a file and is none",
}

// signedList is a list with its signatures, read once. The list is parsed only
// after a signature over it was accepted.
type signedList struct {
	dir        string
	name       string // of a single file that is signed as one; "" for a list
	scope      materials.Scope
	data       []byte
	signatures []signatureFile

	tried, known bool // whether one of the policy's signers made it

	parsed   bool
	list     *materials.List
	parseErr error
	full     []*refusal.Refusal // every difference in the list's scope
	held     bool
	refusal  *refusal.Refusal // the differences, as the refusal of a path
}

// file is the path of what is signed.
func (l *signedList) file() string {
	if l.name != "" {
		return l.name
	}
	return path.Join(l.dir, materials.ListName)
}

type signatureFile struct {
	path string
	data []byte
}

func (v *verification) open(dir string) *signedList {
	if l, ok := v.lists[dir]; ok {
		return l
	}
	l := &signedList{dir: dir, scope: materials.ScopeOf(dir, v.dirs)}
	l.scope.Except = v.except
	if e, ok := v.source.Tree.Lookup(path.Join(dir, materials.ListName)); ok && isFile(e) {
		l.data = e.Data
	}
	for _, name := range materials.SignatureNames() {
		if e, ok := v.source.Tree.Lookup(path.Join(dir, name)); ok && isFile(e) {
			l.signatures = append(l.signatures, signatureFile{e.Path, e.Data})
		}
	}
	v.lists[dir] = l
	return l
}

func isFile(e materials.Entry) bool {
	return e.Mode == materials.ModeFile || e.Mode == materials.ModeExecutable
}

// maxDifferences is how many differences between a list and its scope are told
// of; whoever adds a hundred thousand files should not fill the log with them.
const maxDifferences = 100

// all returns the differences between the list and its scope.
func (l *signedList) all(v *verification) []*refusal.Refusal {
	if l.held {
		return l.full
	}
	l.held = true
	problems := l.list.Check(v.source.Tree, l.scope)
	more := len(problems) - maxDifferences
	if more > 0 {
		problems = problems[:maxDifferences]
	}
	l.full = v.problems(problems)
	if more > 0 {
		l.full = append(l.full, v.refusal(l.full[0].Code, path.Join(l.dir, materials.ListName), fmt.Sprintf("%d more files are not as this list has them", more)))
	}
	return l.full
}

// refused returns the differences as a path's refusals: the first, and the rest
// with it, so that hundreds of paths do not carry hundreds each.
func (l *signedList) refused(v *verification) []*refusal.Refusal {
	all := l.all(v)
	if len(all) == 0 {
		return nil
	}
	if l.refusal == nil {
		one := *all[0]
		one.Rest = all[1:]
		l.refusal = &one
	}
	return []*refusal.Refusal{l.refusal}
}

// differences returns what lists say that need hold only for what is reached.
func (v *verification) differences() []*refusal.Refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []*refusal.Refusal
	for l := range v.lenient {
		all = append(all, l.all(v)...)
	}
	return all
}

type acceptKey struct {
	dir  string
	rule *policy.CompiledRule
}

// acceptance is whether a rule accepts a list: refusals, or the list.
type acceptance struct {
	list     *signedList
	refusals []*refusal.Refusal
}

// accept checks a list's signatures against a rule, then what the list says of
// itself.
func (v *verification) accept(rule *policy.CompiledRule, dir string) acceptance {
	key := acceptKey{dir, rule}
	if a, ok := v.accepted[key]; ok {
		return a
	}
	l := v.open(dir)
	a := acceptance{list: l}
	vouchers, refusals := v.signers(rule, l)
	if len(refusals) == 0 {
		refusals = v.parse(l)
	}
	if len(refusals) == 0 {
		bound, unfit := v.bound(rule, l)
		refusals = unfit
		for _, one := range vouchers {
			one.Bound = bound
			v.vouchers[one] = true
		}
	}
	a.refusals = refusals
	v.accepted[key] = a
	return a
}

// parse reads a list whose signature was accepted.
func (v *verification) parse(l *signedList) []*refusal.Refusal {
	if !l.parsed {
		l.parsed = true
		l.list, l.parseErr = materials.Parse(l.data)
	}
	if l.parseErr != nil {
		return []*refusal.Refusal{v.refusal(refusal.Malformed, path.Join(l.dir, materials.ListName), l.parseErr.Error())}
	}
	return nil
}

// bound holds a list against the repository and directory that it says it was
// made for.
func (v *verification) bound(rule *policy.CompiledRule, l *signedList) (bool, []*refusal.Refusal) {
	file := path.Join(l.dir, materials.BindingName)
	b, isBound, err := l.list.Binding(v.source.Tree, l.scope)
	switch {
	case !isBound && rule.Bound:
		one := v.refusal(refusal.Unbound, file, "the list does not say which repository it was made for, and the rule demands it")
		one.Hints = []string{"sign with: trustomize materials sign --source " + string(v.source.Identity)}
		return false, []*refusal.Refusal{one}
	case !isBound:
		return false, nil
	case err != nil:
		return false, []*refusal.Refusal{v.refusal(refusal.Malformed, file, err.Error())}
	}
	if changed := v.problems(l.list.CheckFile(v.source.Tree, l.scope, file)); len(changed) > 0 {
		return false, changed
	}
	here := materials.Binding{Source: v.source.Identity, Dir: l.dir}
	if b != here {
		one := v.refusal(refusal.WrongBinding, file, "the list was made for another place")
		one.Want, one.Got = here.String(), b.String()
		if v.source.Identity.IsFile() {
			one.Hints = []string{"say which repository this directory is with --source"}
		}
		return false, []*refusal.Refusal{one}
	}
	return true, nil
}

// signersOf returns the signers of the policy who signed a file as it is: their
// signatures verify over the list that governs it, and the list names it, with
// these bytes, for this place. Every link on the way counts as well.
func (v *verification) signersOf(p string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	real, links, err := v.source.Tree.Resolve(p)
	if err != nil {
		return nil
	}
	names := v.signersOver(real)
	for _, link := range links {
		over := v.signersOver(link)
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(over, name) })
	}
	return names
}

// signersOver is signersOf for one path.
func (v *verification) signersOver(p string) []string {
	above := materials.Above(v.dirs, p)
	var names []string
	if len(above) == 0 {
		return nil
	}
	l := v.open(above[0])
	for _, found := range v.tryAll(v.policy.Signers(), l).good {
		if !slices.Contains(names, found.signer) {
			names = append(names, found.signer)
		}
	}
	if len(names) == 0 || len(v.parse(l)) > 0 || !l.list.Names(materials.Rel(l.dir, p)) || len(l.list.CheckFile(v.source.Tree, l.scope, p)) > 0 {
		return nil
	}
	if _, refusals := v.bound(&policy.CompiledRule{}, l); len(refusals) > 0 {
		return nil
	}
	return names
}

// admitDir admits a directory's name where some list has a file in its place:
// else whoever puts a directory there would have the file forgotten.
func (v *verification) admitDir(p string) []*refusal.Refusal {
	if v.listed(p) {
		return v.admit(p)
	}
	return nil
}

// listed reports whether a list at or above a path names it. Lists that none of
// the policy's signers made do not count, and are not even parsed: they vouch for
// nothing.
func (v *verification) listed(p string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, dir := range materials.Above(v.dirs, p) {
		if dir == p {
			continue
		}
		l := v.open(dir)
		if !l.tried {
			l.tried = true
			l.known = len(v.tryAll(v.policy.Signers(), l).good) > 0
		}
		if l.known && len(v.parse(l)) == 0 && l.list.Names(materials.Rel(dir, p)) {
			return true
		}
	}
	return false
}
