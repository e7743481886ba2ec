// Package fn is trustomize as a KRM function: it reads a ResourceList, does what
// the functionConfig asks for, and writes a ResourceList.
//
//	VerifiedBase    generates the resources of remote bases, each source verified
//	ManifestSigner  signs the items with the policy's manifestSign.key
//	SignatureCheck  verifies the items' signatures, strictly
//
// The interchange format is that of the Configuration Functions Specification
// (config.kubernetes.io/v1, and the v1beta1 and v1alpha1 before it). Whoever writes
// the functionConfig picks the program, its arguments, mounts and variables as well:
// nothing here protects against that person. The policy alone says who is trusted,
// and each Result carries its digest.
package fn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
)

// maxInput bounds a ResourceList, in bytes.
const maxInput = 256 << 20

// Run reads a ResourceList and writes the function's. With an error, that holds no
// items and the error as Results; the error is of type *[trustomize.Refused] where
// something was not accepted. Of the request, the policy and what opens its keys and
// fetches its sources count.
func Run(ctx context.Context, req trustomize.Request, in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return err
	}
	f := &function{ctx: ctx, req: req}
	if len(data) > maxInput {
		return f.unread(out, fmt.Errorf("the ResourceList has more than %d bytes", maxInput))
	}
	list := &kio.ByteReadWriter{Reader: bytes.NewReader(data), KeepReaderAnnotations: true}
	var written bytes.Buffer
	list.Writer = &written
	err = framework.Execute(framework.ResourceListProcessorFunc(func(rl *framework.ResourceList) error {
		if list.WrappingKind != kio.ResourceListKind {
			list.WrappingKind, list.WrappingAPIVersion = kio.ResourceListKind, kio.ResourceListAPIVersion
			rl.Items = nil
			return f.fail(rl, errors.New("standard input is no ResourceList: want one document of kind ResourceList, with items and functionConfig"))
		}
		return f.process(rl, list.WrappingAPIVersion)
	}), list)
	if err != nil && !f.failed { // before or after the function: what was written may be half a list
		return f.unread(out, err)
	}
	if _, writeErr := out.Write(written.Bytes()); err == nil {
		err = writeErr
	}
	return err
}

// versions are those of the interchange format, which kyaml reads alike.
var versions = map[string]bool{"config.kubernetes.io/v1": true, "config.kubernetes.io/v1beta1": true, "config.kubernetes.io/v1alpha1": true}

// function is one run.
type function struct {
	ctx    context.Context
	req    trustomize.Request
	policy *policy.Policy // nil until it was read
	failed bool           // the list says why
}

func (f *function) process(rl *framework.ResourceList, version string) error {
	err := f.do(rl, version)
	if err == nil {
		err = context.Cause(f.ctx)
	}
	if err != nil {
		return f.fail(rl, err)
	}
	return nil
}

func (f *function) do(rl *framework.ResourceList, version string) error {
	if !versions[version] {
		return fmt.Errorf("ResourceLists of %s are not known; want config.kubernetes.io/v1", refusal.Printable(version))
	}
	cfg, err := readConfig(rl.FunctionConfig)
	if err != nil {
		return err
	}
	if err := f.readPolicy(); err != nil {
		return err
	}
	items, err := readItems(rl.Items)
	if err != nil {
		return err
	}
	switch c := cfg.(type) {
	case *VerifiedBase:
		return f.generate(rl, items, c)
	case *ManifestSigner:
		return f.sign(rl, items, c)
	case *SignatureCheck:
		return f.check(rl, items, c)
	}
	return errors.New("no kind of function")
}

// readPolicy reads the policy, whose place nobody can name but who built this
// program.
func (f *function) readPolicy() error {
	p, err := trustomize.ReadPolicy(f.req)
	if _, missing := os.Stat(f.req.PolicyFile); err != nil && errors.Is(missing, os.ErrNotExist) {
		return &trustomize.Refused{Refusals: []*refusal.Refusal{{
			Code: refusal.NoPolicy, Reason: "there is no policy at " + f.req.PolicyFile,
			Hints: []string{"a function reads its policy from there alone: put the operator's policy into the image or onto the machine"},
		}}}
	}
	f.policy = p
	return err
}

// Fail writes the list of a function that could not start, and returns why.
func Fail(out io.Writer, err error) error { return new(function).none(out, err) }

// unread writes a list for input that could not be read.
func (f *function) unread(out io.Writer, err error) error {
	return f.none(out, fmt.Errorf("the ResourceList is malformed: %s", oneLine(err.Error())))
}

// none writes a list that holds nothing but an error.
func (f *function) none(out io.Writer, err error) error {
	rl := &framework.ResourceList{}
	err = f.fail(rl, err)
	results, marshalErr := yaml.Marshal(rl.Results)
	if marshalErr != nil {
		return marshalErr
	}
	node, parseErr := yaml.Parse(string(results))
	if parseErr != nil {
		return parseErr
	}
	w := kio.ByteWriter{Writer: out, WrappingKind: kio.ResourceListKind, WrappingAPIVersion: kio.ResourceListAPIVersion, Results: node}
	if writeErr := w.Write(nil); writeErr != nil {
		return writeErr
	}
	return err
}
