package trustomize

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/trustomize/trustomize/policy"
)

// AddFlags adds the flags of kustomize build that are [Options], and those that
// the policy has to allow. What they were set to is known when the returned
// function is called.
func AddFlags(flags *pflag.FlagSet) func() (Options, error) {
	restrictor := flags.String("load-restrictor", types.LoadRestrictionsRootOnly.String(), "LoadRestrictionsNone lets a local DIR load files of its source from outside of its own directories")
	reorder := flags.String("reorder", "", "legacy or none")
	managedBy := flags.Bool("enable-managedby-label", false, "label resources as managed by kustomize "+KustomizeVersion)
	addAllowable(flags)
	return func() (Options, error) {
		o := Options{Reorder: *reorder, ManagedBy: *managedBy, Flags: allowable(flags)}
		switch *restrictor {
		case types.LoadRestrictionsNone.String():
			o.AnyFile = true
		case types.LoadRestrictionsRootOnly.String(), "":
		default:
			return o, fmt.Errorf("--load-restrictor: want %s or %s, not %q", types.LoadRestrictionsRootOnly, types.LoadRestrictionsNone, *restrictor)
		}
		if !slices.Contains([]string{"", "legacy", "none"}, *reorder) {
			return o, fmt.Errorf("--reorder: want legacy or none, not %q", *reorder)
		}
		return o, nil
	}
}

// addAllowable adds kustomize's flags that the policy has to allow, of
// kustomize's own types (kustomize/v5/commands/build, v5.8.2), so that what
// follows one on a command line is read the same way.
func addAllowable(flags *pflag.FlagSet) {
	for name := range policy.Flags() {
		const usage = "refused, unless the policy allows it"
		switch name {
		case "network-name", "helm-command", "helm-kube-version":
			flags.String(name, "", usage)
		case "mount", "helm-api-versions":
			flags.StringArray(name, nil, usage)
		case "env":
			flags.StringArrayP(name, "e", nil, usage)
		default:
			flags.Bool(name, false, usage)
		}
		flags.Lookup(name).Hidden = true
	}
}

// allowable returns those of them that were given.
func allowable(flags *pflag.FlagSet) []string {
	var given []string
	for name := range policy.Flags() {
		if flags.Changed(name) && flags.Lookup(name).Value.String() != "false" {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	return given
}
