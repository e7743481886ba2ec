// Command manifest checks resources with k8s-manifest-sigstore's library, as its
// kubectl plugin does.
//
//	manifest [-i IMAGE] KEY [FIELD...]
//
// KEY is a public key's file. With -i, what was signed is looked up in an image, in
// a registry that may speak plain http. Standard input has YAML documents; for each, a line
// says "verified", or "not verified" and why. FIELDs are ignored, besides those that
// the library ignores by itself. The exit status is 1 if one was not verified.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sigstore/k8s-manifest-sigstore/pkg/k8smanifest"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigs "sigs.k8s.io/yaml"
)

func main() {
	image := flag.String("i", "", "manifest image")
	flag.Parse()
	if flag.NArg() < 1 {
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
		verdict := verify(resource, *image, flag.Arg(0), flag.Args()[1:])
		if verdict != "verified" {
			status = 1
		}
		fmt.Printf("%s %s: %s\n", resource.GetKind(), resource.GetName(), verdict)
	}
}

// verify asks for the resource as a manifest, and as one that lies in a cluster.
func verify(resource unstructured.Unstructured, image, key string, ignored []string) string {
	fields := k8smanifest.ObjectFieldBindingList{{Fields: ignored}}
	option := &k8smanifest.VerifyResourceOption{DisableDryRun: true}
	option.KeyPath, option.ResourceBundleRef, option.AllowInsecure, option.IgnoreFields = key, image, image != "", fields
	result, err := k8smanifest.VerifyResource(resource, k8smanifest.AddDefaultConfig(option))
	switch {
	case err != nil:
		return "not verified: " + oneLine(err.Error())
	case !result.Verified:
		return oneLine(fmt.Sprintf("not verified: %v", result.Diff))
	}
	text, err := sigs.Marshal(resource.Object)
	if err != nil {
		return "not verified: " + oneLine(err.Error())
	}
	manifest := &k8smanifest.VerifyManifestOption{}
	manifest.KeyPath, manifest.ResourceBundleRef, manifest.AllowInsecure, manifest.IgnoreFields = key, image, image != "", fields
	verified, err := k8smanifest.VerifyManifest(text, manifest)
	switch {
	case err != nil:
		return "not verified as a manifest: " + oneLine(err.Error())
	case !verified.Verified:
		return oneLine(fmt.Sprintf("not verified as a manifest: %v", verified.Diff))
	}
	return "verified"
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
