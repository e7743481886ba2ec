package trustomize

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/localdir"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/signer"
)

// MaterialsRequest says which directory's list to write or to check.
type MaterialsRequest struct {
	Dir     string
	Source  string // URL of the repository; "" takes the checkout's origin
	Unbound bool   // leave the binding out
	Git     string // git program, absolute path
	GitEnv  []string
	Ignore  []string // the user's own ignore files; a checkout's configuration is not read
}

// MaterialsResult says what was signed or found in order.
type MaterialsResult struct {
	Dir     string
	Files   int
	Binding string // "" for an unbound list
	Key     string // fingerprint
}

// directory is a local directory with its place in a repository.
type directory struct {
	path     string // absolute
	top, rel string // the repository's root, and the directory below it
	tree     *materials.Tree
	scope    materials.Scope
}

var defaultLimits = gitobject.Limits{Files: policy.DefaultFilesPerSource, Bytes: policy.DefaultBytesPerSource}

func openDirectory(dir string) (*directory, error) {
	top, rel, err := localdir.Root(dir)
	if err != nil {
		return nil, err
	}
	d := &directory{path: filepath.Join(top, filepath.FromSlash(rel)), top: top, rel: rel}
	if d.tree, err = localdir.Read(d.path, defaultLimits); err != nil {
		return nil, err
	}
	d.scope = materials.ScopeOf(".", materials.Lists(d.tree))
	return d, nil
}

// identity returns what the directory's repository is called: by the request,
// else by the checkout's origin.
func (d *directory) identity(source string) (identity.Identity, error) {
	if source != "" {
		u, err := parseSource(source)
		if err != nil {
			return "", err
		}
		if u.Path != "" && u.Path != d.rel {
			return "", fmt.Errorf("--source names directory %q of its repository, and this is directory %q", u.Path, d.rel)
		}
		return u.Identity, nil
	}
	u, err := giturl.ParseRepository(localdir.Origin(d.top))
	if err != nil {
		return "", errors.New("which repository is this? The checkout has no origin that says so; give --source URL, or --unbound for a list that could be replayed elsewhere")
	}
	return u.Identity, nil
}

// SignMaterials lists a directory's files, writes the list with the binding,
// and signs it. In a git checkout, the files are those that git tracks or would
// track; directories with lists of their own are left to them. Nothing is
// written before everything is computed.
// The key is opened after git has ended.
func SignMaterials(ctx context.Context, req MaterialsRequest, openKey func() (*signer.Key, error)) (*MaterialsResult, error) {
	d, err := openDirectory(req.Dir)
	if err != nil {
		return nil, err
	}
	entries, err := d.tracked(ctx, req)
	if err != nil {
		return nil, err
	}
	result := &MaterialsResult{Dir: d.path}
	var binding []byte
	entries, binding, err = d.bind(entries, req, result)
	if err != nil {
		return nil, err
	}
	tree, err := materials.NewTree(entries)
	if err != nil {
		return nil, err
	}
	list, err := materials.Compute(tree, materials.ScopeOf(".", materials.Lists(tree)))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be listed: %w", d.path, err)
	}
	key, err := openKey()
	if err != nil {
		return nil, err
	}
	data := list.Bytes()
	sig, err := key.Sign(data)
	if err != nil {
		return nil, err
	}
	result.Files, result.Key = len(list.Lines()), key.Public.Fingerprint
	if binding != nil {
		if err := replaceFile(filepath.Join(d.path, materials.BindingName), binding); err != nil {
			return nil, err
		}
	}
	if err := replaceFile(filepath.Join(d.path, materials.ListName), data); err != nil {
		return nil, err
	}
	encoded := []byte(base64.StdEncoding.EncodeToString(sig))
	return result, replaceFile(filepath.Join(d.path, materials.SignatureNames()[0]), encoded)
}

// tracked returns the entries that belong into the list.
func (d *directory) tracked(ctx context.Context, req MaterialsRequest) ([]materials.Entry, error) {
	if _, err := os.Lstat(filepath.Join(d.top, ".git")); err != nil {
		return d.tree.Entries(), nil
	}
	temp, err := os.MkdirTemp("", "trustomize-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	head, err := localdir.Head(d.top)
	if head.GitDir == "" {
		return nil, err
	}
	checkout := git.Checkout{Top: d.top, GitDir: head.GitDir, Objects: head.Objects, IDLength: max(len(head.ID), 40), Ignore: req.Ignore}
	names, err := (&git.Git{Program: req.Git, Temp: temp, Env: req.GitEnv}).Tracked(ctx, checkout, d.path)
	if err != nil {
		return nil, err
	}
	var entries []materials.Entry
	for _, e := range d.tree.Entries() {
		if names[e.Path] {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// bind puts the binding among the entries, or takes an old one out.
func (d *directory) bind(entries []materials.Entry, req MaterialsRequest, result *MaterialsResult) ([]materials.Entry, []byte, error) {
	if req.Unbound {
		for _, e := range entries {
			if e.Path == materials.BindingName {
				return nil, nil, fmt.Errorf("%s is there; remove it first to sign an unbound list", materials.BindingName)
			}
		}
		return entries, nil, nil
	}
	id, err := d.identity(req.Source)
	if err != nil {
		return nil, nil, err
	}
	b := materials.Binding{Source: id, Dir: path.Clean(d.rel)}
	result.Binding = b.String()
	kept := []materials.Entry{{Path: materials.BindingName, Mode: materials.ModeFile, Data: b.Bytes()}}
	for _, e := range entries {
		if e.Path != materials.BindingName {
			kept = append(kept, e)
		}
	}
	return kept, b.Bytes(), nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".trustomize-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// VerifyMaterials checks the list in a directory: a signature by one of the
// keys, and every file of the list's scope. As for [SignMaterials], what a git
// checkout ignores does not count. What does not hold comes as a *[Refused].
func VerifyMaterials(ctx context.Context, req MaterialsRequest, keys []signature.Key) (*MaterialsResult, error) {
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
	data, err := d.signedList(keys, result)
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

// signedList returns the list's bytes if one of the keys signed them.
func (d *directory) signedList(keys []signature.Key, result *MaterialsResult) ([]byte, error) {
	list, ok := d.tree.Lookup(materials.ListName)
	if !ok {
		return nil, refuseFile(refusal.Unsigned, d.path, materials.ListName, "there is no list")
	}
	var last error
	for _, name := range materials.SignatureNames() {
		sig, ok := d.tree.Lookup(name)
		if !ok {
			continue
		}
		for _, key := range keys {
			evidence, err := signature.Verify(sig.Data, list.Data, key)
			if err == nil {
				result.Key = evidence.Fingerprint
				return list.Data, nil
			}
			last = fmt.Errorf("%s: %w", name, err)
		}
	}
	if last == nil {
		return nil, refuseFile(refusal.Unsigned, d.path, materials.ListName, "the list has no signature beside it")
	}
	return nil, refuseFile(refusal.BadSignature, d.path, materials.ListName, last.Error())
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
	if want := (materials.Binding{Source: id, Dir: path.Clean(d.rel)}); bound && b != want {
		return &Refused{Refusals: []*refusal.Refusal{{Code: refusal.WrongBinding, Source: d.path, File: materials.BindingName,
			Reason: "the list was made for another place", Want: want.String(), Got: b.String()}}}
	}
	return nil
}
