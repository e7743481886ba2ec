package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
)

func (a *app) policyExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain URL[//PATH]",
		Short: "Print which rule decides about a source or a file, and what it would require",
		Long: `Explain reads the policy alone: nothing is fetched. With a PATH below the source's
root, the rule for that file; without, every rule for some file of the source. An
identity as policies have it, such as github.com/acme/app, will do as a URL.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if a.policy == "" {
				return errors.New("which policy? Name it with --policy or TRUSTOMIZE_POLICY")
			}
			p, err := policy.Load(a.policy)
			if err != nil {
				return err
			}
			u, err := sourceurl.ParseName(args[0])
			if err != nil {
				return err
			}
			e := p.Explain(u.Identity, u.Path)
			if a.format == "json" {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				return enc.Encode(e)
			}
			a.printExplanation(e)
			return nil
		},
	}
}

func (a *app) printExplanation(e policy.Explanation) {
	s := newStyle(a.stdout)
	name := e.Source
	if e.Path != "" {
		name += "//" + e.Path
	}
	fmt.Fprintln(a.stdout, refusal.Printable(name))
	for _, why := range e.Passed {
		fmt.Fprintln(a.stdout, s.dim("  passed over: "+why))
	}
	for _, r := range e.Rules {
		fmt.Fprintf(a.stdout, "  rule %d, line %d: %s\n", r.Number, r.Line, r.Match)
		for _, text := range r.Requires {
			fmt.Fprintln(a.stdout, "    - "+refusal.Printable(text))
		}
	}
	if len(e.Rules) == 0 {
		fmt.Fprintln(a.stdout, s.bad("  no rule matches: it would be refused"))
	}
	if e.From != "" {
		fmt.Fprintln(a.stdout, "  fetched from "+e.From)
	}
	if e.Credential != "" {
		fmt.Fprintln(a.stdout, "  with the credential for "+e.Credential)
	}
}
