// Command manifest checks resources with k8s-manifest-sigstore's library, as its
// kubectl plugin does.
//
//	manifest KEY [FIELD...]
//
// KEY is a public key's file. Standard input has YAML documents; for each, a line
// says "verified", or "not verified" and why. FIELDs are ignored, besides those that
// the library ignores by itself. The exit status is 1 if one was not verified.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sigstore/k8s-manifest-sigstore/pkg/k8smanifest"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "want a public key's file")
		os.Exit(2)
	}
	status := 0
	decoder := yaml.NewYAMLOrJSONDecoder(os.Stdin, 4096)
	for {
		var resource unstructured.Unstructured
		err := decoder.Decode(&resource.Object)
		if errors.Is(err, io.EOF) {
			os.Exit(status)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		verdict := verify(resource, os.Args[1], os.Args[2:])
		if verdict != "verified" {
			status = 1
		}
		fmt.Printf("%s %s: %s\n", resource.GetKind(), resource.GetName(), verdict)
	}
}

func verify(resource unstructured.Unstructured, key string, ignored []string) string {
	option := &k8smanifest.VerifyResourceOption{DisableDryRun: true}
	option.KeyPath = key
	option.IgnoreFields = k8smanifest.ObjectFieldBindingList{{Fields: ignored}}
	result, err := k8smanifest.VerifyResource(resource, k8smanifest.AddDefaultConfig(option))
	switch {
	case err != nil:
		return "not verified: " + err.Error()
	case !result.Verified:
		return fmt.Sprintf("not verified: %v", result.Diff)
	}
	return "verified"
}
