// Verifies one object as Kyverno's validate.manifests does: with
// k8s-manifest-sigstore, its default list of ignored fields, a list of one's own,
// and a dry run against the cluster that KUBECONFIG names.
//
//	verifier KEY.pub IGNORED.json NAMESPACE < object.json
//
// It prints "verified", or what differs, and fails.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sigstore/k8s-manifest-sigstore/pkg/k8smanifest"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := verify(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

func verify(args []string) error {
	if len(args) != 3 {
		return errors.New("want a key, a file of ignored fields and a namespace")
	}
	ignored, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	options := k8smanifest.AddDefaultConfig(&k8smanifest.VerifyResourceOption{})
	var own k8smanifest.ObjectFieldBindingList
	if err := json.Unmarshal(ignored, &own); err != nil {
		return err
	}
	options.IgnoreFields = append(options.IgnoreFields, own...)
	options.KeyPath, options.DryRunNamespace = args[0], args[2]
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(data); err != nil {
		return err
	}
	result, err := k8smanifest.VerifyResource(object, options)
	if err != nil {
		return err
	}
	if !result.Verified {
		return fmt.Errorf("not verified: %s", result.Diff)
	}
	return nil
}
