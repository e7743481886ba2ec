package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
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
			return report.Err()
		},
	}
}
