package trustomize

import (
	"cmp"
	"context"
	"errors"
	"path"
	"time"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/resolver"
)

// VerifyMaterials checks the list in a directory: a signature by one of the
// signers, and every file of the list's scope. As for [SignMaterials], what a git
// checkout ignores does not count. What does not hold comes as a *[Refused].
func VerifyMaterials(ctx context.Context, req MaterialsRequest, signers []signature.Trust) (*MaterialsResult, error) {
	d, err := openDirectory(req.Dir)
	if err != nil {
		return nil, err
	}
	entries, err := d.tracked(ctx, req)
	if err != nil {
		return nil, err
	}
	if d.tree, err = materials.NewTree(entries); err != nil {
		return nil, err
	}
	result := &MaterialsResult{Dir: d.path}
	data, err := d.signedList(signers, req.Now, result)
	if err != nil {
		return nil, err
	}
	list, err := materials.Parse(data)
	if err != nil {
		return nil, refuseFile(refusal.Malformed, d.path, materials.ListName, err.Error())
	}
	result.Files = len(list.Lines())
	if err := d.holds(list); err != nil {
		return nil, err
	}
	return result, d.checkBinding(list, req.Source, result)
}

func refuseFile(code refusal.Code, source, file, reason string) error {
	return &Refused{Refusals: []*refusal.Refusal{{Code: code, Source: source, File: file, Reason: reason}}}
}

// signedList returns the list's bytes if one of the signers signed them.
func (d *directory) signedList(signers []signature.Trust, now time.Time, result *MaterialsResult) ([]byte, error) {
	list, ok := d.tree.Lookup(materials.ListName)
	if !ok {
		return nil, refuseFile(refusal.Unsigned, d.path, materials.ListName, "there is no list")
	}
	var refusals []*refusal.Refusal
	for _, name := range materials.SignatureNames() {
		file, ok := d.tree.Lookup(name)
		if !ok {
			continue
		}
		sigs, err := policy.Signatures(file.Data)
		if err != nil {
			refusals = append(refusals, &refusal.Refusal{Code: refusal.BadSignature, Source: d.path, File: name, Reason: "the signature " + err.Error()})
		}
		for _, sig := range sigs {
			evidence, err := verifyWith(signers, sig, list.Data, now)
			if err == nil {
				result.Key, result.Name, result.repository = cmp.Or(evidence.Identity, evidence.Fingerprint), name, evidence.Repository
				return list.Data, nil
			}
			refusals = append(refusals, &refusal.Refusal{Code: resolver.CodeOf(reasonOf(err)), Source: d.path, File: name, Reason: "the signature " + err.Error()})
		}
	}
	if len(refusals) == 0 {
		return nil, refuseFile(refusal.Unsigned, d.path, materials.ListName, "the list has no signature beside it")
	}
	return nil, &Refused{Refusals: refusals}
}

func reasonOf(err error) signature.Reason {
	var why *signature.Error
	if errors.As(err, &why) {
		return why.Reason
	}
	return signature.Malformed
}

// verifyWith tries all signers on a signature. The error is the one that tells
// most.
func verifyWith(signers []signature.Trust, sig signature.Signature, message []byte, now time.Time) (signature.Evidence, error) {
	var best *signature.Error
	for _, s := range signers {
		evidence, err := s.Verify(sig, message, signature.When{Now: now})
		if err == nil && !evidence.Expires.IsZero() && !now.Before(evidence.Expires) {
			err = signature.Errorf(signature.Expired, "is by key %s, which expired on %s", evidence.Fingerprint, evidence.Expires.UTC().Format(time.DateOnly))
		}
		if err == nil {
			return evidence, nil
		}
		var why *signature.Error
		if errors.As(err, &why) && (best == nil || why.Reason > best.Reason) {
			best = why
		}
	}
	return signature.Evidence{}, best
}

func (d *directory) holds(list *materials.List) error {
	var refusals []*refusal.Refusal
	for _, p := range list.Check(d.tree, d.scope) {
		reason := p.Detail
		if reason == "" {
			reason = "is " + string(p.Kind)
		}
		refusals = append(refusals, &refusal.Refusal{Code: refusal.Code(p.Kind), Source: d.path, File: p.Path, Reason: reason, Want: p.Want, Got: p.Got})
	}
	if len(refusals) > 0 {
		return &Refused{Refusals: refusals}
	}
	return nil
}

// checkBinding holds the list against the repository that --source names, if
// it does.
func (d *directory) checkBinding(list *materials.List, source string, result *MaterialsResult) error {
	b, bound, err := list.Binding(d.tree, d.scope)
	switch {
	case err != nil:
		return refuseFile(refusal.Malformed, d.path, materials.BindingName, err.Error())
	case bound:
		result.Binding = b.String()
	}
	if source == "" {
		return nil
	}
	id, err := d.identity(source)
	if err != nil {
		return err
	}
	if !bound {
		return refuseFile(refusal.Unbound, d.path, materials.BindingName, "the list does not say which repository it was made for, and --source asks for one")
	}
	if u, err := giturl.ParseRepository(result.repository); result.repository != "" && (err != nil || u.Identity != id) {
		return refuseFile(refusal.WrongSigner, d.path, result.Name, "the signature is by a workflow of repository "+result.repository)
	}
	if want := (materials.Binding{Source: id, Dir: path.Clean(d.rel)}); bound && b != want {
		return &Refused{Refusals: []*refusal.Refusal{{Code: refusal.WrongBinding, Source: d.path, File: materials.BindingName,
			Reason: "the list was made for another place", Want: want.String(), Got: b.String()}}}
	}
	return nil
}

// Change is a difference between a directory and the list that is in it.
type Change struct {
	Status string `json:"status"` // "M" for changed, "D" for removed, "A" for added, "!" for what cannot be listed
	Path   string `json:"path"`
	Detail string `json:"detail,omitempty"`
}

// DiffMaterials tells what changed in a directory since its list was made. It
// asks nobody who signed the list.
func DiffMaterials(ctx context.Context, req MaterialsRequest) ([]Change, error) {
	d, err := openDirectory(req.Dir)
	if err != nil {
		return nil, err
	}
	old, ok := d.tree.Lookup(materials.ListName)
	if !ok {
		return nil, errors.New(d.path + " has no " + materials.ListName + "; make one with: trustomize materials sign")
	}
	list, err := materials.Parse(old.Data)
	if err != nil {
		return nil, errors.New(materials.ListName + ": " + err.Error())
	}
	entries, err := d.tracked(ctx, req)
	if err != nil {
		return nil, err
	}
	if d.tree, err = materials.NewTree(entries); err != nil {
		return nil, err
	}
	status := map[materials.Kind]string{materials.Changed: "M", materials.Missing: "D", materials.Unlisted: "A"}
	changes := []Change{}
	for _, p := range list.Check(d.tree, d.scope) {
		changes = append(changes, Change{cmp.Or(status[p.Kind], "!"), p.Path, p.Detail})
	}
	return changes, nil
}
