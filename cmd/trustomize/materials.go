package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

func (a *app) materials() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "materials",
		Short: "Sign and check the list of a source's files",
		Args:  cobra.NoArgs,
		RunE:  help,
	}
	cmd.AddCommand(a.materialsSign(), a.materialsVerify())
	return cmd
}

func (a *app) materialsRequest(ctx context.Context, args []string) trustomize.MaterialsRequest {
	req := trustomize.MaterialsRequest{Dir: ".", Source: a.source, Git: a.git, GitEnv: a.gitEnv, Ignore: a.userIgnores(ctx)}
	if len(args) == 1 {
		req.Dir = args[0]
	}
	return req
}

func (a *app) materialsSign() *cobra.Command {
	var keyFile string
	var unbound bool
	cmd := &cobra.Command{
		Use:   "sign [DIR]",
		Short: "List DIR's files in source-materials and sign the list",
		Long: `Sign writes three files into DIR: trustomize.source, which says which repository
and directory the list is for (by --source, else by the checkout's origin);
source-materials, as sha256sum prints it; and source-materials.sig, as
cosign sign-blob writes it. Commit all three.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyFile == "" {
				return errors.New("--key: name the private key to sign with")
			}
			req := a.materialsRequest(cmd.Context(), args)
			req.Unbound = unbound
			result, err := trustomize.SignMaterials(cmd.Context(), req, func() (*signer.Key, error) {
				return a.openKey(keyFile)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: signed %d files of %s with %s, %s\n", result.Files, result.Dir, result.Key, boundTo(result))
			return nil
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "private key: cosign's, or PKCS #8 in PEM")
	cmd.Flags().BoolVar(&unbound, "unbound", false, "do not say which repository the list is for")
	return cmd
}

func (a *app) openKey(file string) (*signer.Key, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	key, err := signer.OpenKey(data, a.password)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", file, err)
	}
	return key, nil
}

func boundTo(r *trustomize.MaterialsResult) string {
	if r.Binding == "" {
		return "unbound"
	}
	return "bound to " + r.Binding
}

func (a *app) materialsVerify() *cobra.Command {
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check DIR's source-materials and its signature",
		Long: `Verify checks that one of the keys signed the list in DIR and that every file
is what the list says. It does not ask a policy; trustomize verify does.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keyFiles) == 0 {
				return errors.New("--key: name the public key to verify with")
			}
			var keys []signature.Key
			for _, file := range keyFiles {
				data, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("--key: %w", err)
				}
				key, err := signature.ParseKey(data)
				if err != nil {
					return fmt.Errorf("--key %s: %w", file, err)
				}
				keys = append(keys, key)
			}
			result, err := trustomize.VerifyMaterials(cmd.Context(), a.materialsRequest(cmd.Context(), args), keys)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: %d files of %s are as %s signed them, %s\n", result.Files, result.Dir, result.Key, boundTo(result))
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "public key in PEM; may be given several times")
	return cmd
}
