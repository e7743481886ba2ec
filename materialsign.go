package trustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/localdir"
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
	Add     bool   // sign the list that is there, beside who signed it already
	Git     string // git program, absolute path
	GitEnv  []string
	Now     time.Time
	Ignore  []string // the user's own ignore files; a checkout's configuration is not read
}

// MaterialsResult says what was signed or found in order.
type MaterialsResult struct {
	Dir     string
	Files   int
	Binding string // "" for an unbound list
	Key     string // fingerprint, or identity
	Name    string // of the signature's file

	repository string // that a CI's certificate names
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
		u, err := parseSource(source, "")
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
// written before everything is computed. The key is opened after git has ended.
func SignMaterials(ctx context.Context, req MaterialsRequest, openKey func(context.Context) (signer.Detached, error)) (*MaterialsResult, error) {
	d, err := openDirectory(req.Dir)
	if err != nil {
		return nil, err
	}
	entries, err := d.tracked(ctx, req)
	if err != nil {
		return nil, err
	}
	result := &MaterialsResult{Dir: d.path}
	entries, binding, err := d.bind(entries, req, result)
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
	old, _ := d.tree.Lookup(materials.ListName)
	same := bytes.Equal(old.Data, list.Bytes())
	if req.Add && !same {
		return nil, errors.New("the list that is there is not what the files are now; see what changed with: trustomize materials diff; then sign without --add")
	}
	key, err := openKey(ctx)
	if err != nil {
		return nil, err
	}
	sig, err := key.SignFile(ctx, list.Bytes())
	if err != nil {
		return nil, err
	}
	name, data, err := d.place(sig, req.Add)
	if err != nil {
		return nil, err
	}
	result.Files, result.Key, result.Name = len(list.Lines()), sig.Signer, name
	return result, d.write(list, binding, name, data, same)
}

// place says which file a signature goes into, and with which content.
func (d *directory) place(sig signer.File, add bool) (name string, data []byte, err error) {
	names := materials.SignatureNames()
	single, bundles := names[0], names[1:]
	if !sig.Bundle {
		old, _ := d.tree.Lookup(single)
		if !add || len(old.Data) == 0 {
			return single, sig.Data, nil
		}
		data, err := appendSignature(old.Data, sig.Data)
		if err != nil {
			return "", nil, fmt.Errorf("nothing can be added to %s: %w", single, err)
		}
		return single, data, nil
	}
	for _, name := range bundles {
		if _, taken := d.tree.Lookup(name); !taken || !add {
			return name, sig.Data, nil
		}
	}
	return "", nil, fmt.Errorf("%s are there already", strings.Join(bundles, " and "))
}

// appendSignature puts a signature behind those that are there, where each can
// still be told from the others.
func appendSignature(old, more []byte) ([]byte, error) {
	before, err := signature.Split(old)
	if err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	all := append(append(bytes.TrimRight(bytes.Clone(old), "\r\n"), '\n'), more...)
	after, err := signature.Split(all)
	whole := err == nil && len(after) == len(before)+1
	for i, sig := range before {
		whole = whole && bytes.Equal(after[i].Data, sig.Data)
	}
	if !whole {
		return nil, fmt.Errorf("a signature of kind %s stands alone in its file; make an armoured one, or sign in another kind", before[0].Kind)
	}
	return all, nil
}

// write writes the binding, the list and the signature. Where the list is
// another than before, signatures of the old one go.
func (d *directory) write(list *materials.List, binding []byte, name string, sig []byte, same bool) error {
	if binding != nil {
		if err := replaceFile(filepath.Join(d.path, materials.BindingName), binding); err != nil {
			return err
		}
	}
	if err := replaceFile(filepath.Join(d.path, materials.ListName), list.Bytes()); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(d.path, name), sig); err != nil {
		return err
	}
	for _, other := range materials.SignatureNames() {
		if same || other == name {
			continue
		}
		if err := os.Remove(filepath.Join(d.path, other)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
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
	checkout := git.Checkout{Top: d.top, GitDir: head.GitDir, CommonDir: head.CommonDir, IDLength: head.IDLength, Ignore: req.Ignore}
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
