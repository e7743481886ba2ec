package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

func (a *app) materials() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "materials",
		Short: "Sign and check the list of a source's files",
		Args:  cobra.NoArgs,
		RunE:  help,
	}
	cmd.AddCommand(a.materialsSign(), a.materialsVerify(), a.materialsDiff())
	return cmd
}

func (a *app) materialsRequest(ctx context.Context, args []string) trustomize.MaterialsRequest {
	req := trustomize.MaterialsRequest{Dir: ".", Source: a.source, Git: a.git, GitEnv: a.gitEnv, Now: time.Now(), Ignore: a.userIgnores(ctx)}
	if len(args) == 1 {
		req.Dir = args[0]
	}
	return req
}

func (a *app) materialsSign() *cobra.Command {
	var with signWith
	var unbound, add bool
	cmd := &cobra.Command{
		Use:   "sign [DIR]",
		Short: "List DIR's files in source-materials and sign the list",
		Long: `Sign writes three files into DIR: trustomize.source, which says which repository
and directory the list is for (by --source, else by the checkout's origin);
source-materials, as sha256sum prints it; and the signature beside it:
source-materials.sig by a key, as cosign sign-blob or ssh-keygen -Y sign writes
it, or source-materials.sigstore.json with --keyless. Commit all three.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := with.check(); err != nil {
				return err
			}
			req := a.materialsRequest(cmd.Context(), args)
			req.Unbound, req.Add = unbound, add
			result, err := trustomize.SignMaterials(cmd.Context(), req, func(ctx context.Context) (signer.Detached, error) {
				return a.openDetached(ctx, with)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: signed %d files of %s with %s into %s, %s\n", result.Files, result.Dir, result.Key, result.Name, boundTo(result))
			return nil
		},
	}
	with.flags(cmd.Flags())
	cmd.Flags().BoolVar(&unbound, "unbound", false, "do not say which repository the list is for")
	cmd.Flags().BoolVar(&add, "add", false, "add a signature to those of the list that is there; it must be what the files are")
	return cmd
}

func boundTo(r *trustomize.MaterialsResult) string {
	if r.Binding == "" {
		return "unbound"
	}
	return "bound to " + r.Binding
}

func (a *app) materialsVerify() *cobra.Command {
	var with verifyWith
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check DIR's source-materials and its signature",
		Long: `Verify checks that one of the keys or identities signed the list in DIR and that
every file is what the list says. It does not ask a policy; trustomize verify
does.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			signers, err := with.signers()
			if err != nil {
				return err
			}
			result, err := trustomize.VerifyMaterials(cmd.Context(), a.materialsRequest(cmd.Context(), args), signers)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: %d files of %s are as %s signed them, %s\n", result.Files, result.Dir, result.Key, boundTo(result))
			return nil
		},
	}
	with.flags(cmd.Flags())
	return cmd
}

func (a *app) materialsDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [DIR]",
		Short: "Print what changed in DIR since its source-materials was made",
		Long: `Diff prints a line for each file: M for changed, D for removed, A for added, !
for what cannot be listed. The exit status is 3 when there is any. Who signed the
list is not asked; materials verify does that.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := trustomize.DiffMaterials(cmd.Context(), a.materialsRequest(cmd.Context(), args))
			if err != nil {
				return err
			}
			if err := a.printChanges(changes); err != nil || len(changes) == 0 {
				return err
			}
			return errDiffers
		},
	}
}

// errDiffers ends a comparison that found differences and printed them.
var errDiffers = errors.New("the files are not those that the list names; if this is meant, sign again: trustomize materials sign")

func (a *app) printChanges(changes []trustomize.Change) error {
	if a.format == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(changes)
	}
	s := newStyle(a.stdout)
	for _, c := range changes {
		line := c.Status + " " + refusal.Printable(c.Path)
		if c.Detail != "" {
			line += "  (" + refusal.Printable(strings.TrimSpace(c.Detail)) + ")"
		}
		if _, err := fmt.Fprintln(a.stdout, s.bad(line)); err != nil {
			return err
		}
	}
	return nil
}
