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
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/kustomize/kyaml/kio"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
)

// Run reads a ResourceList and writes the function's. With an error, that holds no
// items and the error as Results; the error is of type *[trustomize.Refused] where
// something was not accepted. Of the request, the policy and what opens its keys and
// fetches its sources count.
func Run(ctx context.Context, req trustomize.Request, in io.Reader, out io.Writer) error {
	f := &function{ctx: ctx, req: req}
	l := &list{apiVersion: kio.ResourceListAPIVersion}
	err := f.do(l, in)
	if err == nil {
		err = context.Cause(ctx)
	}
	var text []byte
	if err == nil {
		text, err = l.write()
	}
	if err != nil {
		return f.failed(l, out, err)
	}
	_, err = out.Write(text)
	return err
}

// Fail writes the list of a function that could not start, and returns why.
func Fail(out io.Writer, err error) error {
	return new(function).failed(&list{apiVersion: kio.ResourceListAPIVersion}, out, err)
}

// failed writes a list without items that says why.
func (f *function) failed(l *list, out io.Writer, err error) error {
	err = f.fail(l, err)
	text, writeErr := l.write()
	if writeErr != nil {
		l.config = nil
		if text, writeErr = l.write(); writeErr != nil {
			return errors.Join(err, writeErr)
		}
	}
	if _, writeErr := out.Write(text); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	return err
}

// function is one run.
type function struct {
	ctx    context.Context
	req    trustomize.Request
	policy *policy.Policy // nil until it was read
}

func (f *function) do(l *list, in io.Reader) error {
	policyErr := f.readPolicy() // first: each Result carries its digest
	data, err := io.ReadAll(io.LimitReader(in, MaxInput+1))
	if err != nil {
		return err
	}
	if len(data) > MaxInput {
		return fmt.Errorf("the ResourceList has more than %d bytes", MaxInput)
	}
	if err := l.read(data); err != nil {
		return err
	}
	cfg, err := readConfig(l.config)
	if err != nil {
		return err
	}
	if policyErr != nil {
		return policyErr
	}
	switch c := cfg.(type) {
	case *VerifiedBase:
		return f.generate(l, c)
	case *ManifestSigner:
		return f.sign(l, c)
	case *SignatureCheck:
		return f.check(l, c)
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
