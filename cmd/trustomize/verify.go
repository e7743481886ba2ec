package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [DIR|URL]",
		Short: "Verify everything that a build would load, and print the tree of sources",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := a.request(args)
			if err != nil {
				return err
			}
			progress := newProgress(a.stderr)
			req.Observe = progress.observe
			report, err := trustomize.Verify(cmd.Context(), req)
			progress.close()
			if err != nil {
				return err
			}
			if a.format == "json" {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(report.JSON()); err != nil {
					return err
				}
			} else {
				tree := treePrinter{w: a.stdout, style: newStyle(a.stdout)}
				tree.print(report)
			}
			a.warn(report.Graph.Warnings)
			a.loudly(report)
			return report.Err()
		},
	}
}

// loudly tells of what passes though nobody vouches for it, and of what an audit
// lets pass.
func (a *app) loudly(report *trustomize.Report) {
	for _, s := range report.Graph.Unverified() {
		for _, v := range s.Vouchers() {
			if v.Until != "" {
				fmt.Fprintf(a.stderr, "trustomize: UNVERIFIED %s: nobody vouches for it; the policy lets it pass until %s: %s\n", refusal.Printable(s.Identity.At(".")), v.Until, refusal.Printable(v.Reason))
			}
		}
	}
	audited := report.Audited()
	if len(audited) == 0 || report.Err() != nil {
		return
	}
	if a.format == "json" {
		a.auditJSON(audited)
		return
	}
	for _, r := range audited {
		fmt.Fprintln(a.stderr, "trustomize: audit: would be "+r.Error())
		for _, hint := range r.Hints {
			fmt.Fprintln(a.stderr, "  hint: "+refusal.Printable(hint))
		}
	}
	fmt.Fprintf(a.stderr, "trustomize: audit: %d refusals; with enforcement: enforce in the policy this would not be built\n", len(audited))
}

// auditJSON prints what an audit lets pass on one line, as refusals are printed.
func (a *app) auditJSON(audited []*refusal.Refusal) {
	enc := json.NewEncoder(a.stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct {
		Audited []*refusal.Refusal `json:"audited"`
	}{audited})
}
