package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
)

func (a *app) policyKyverno() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use:   "kyverno [FILE]",
		Short: "Print the ClusterPolicy with which Kyverno enforces a policy's signatures",
		Long: `Kyverno prints a ClusterPolicy. In namespaces with the label
trustomize.dev/signed=required it denies resources of the kinds in spec.sign.match
that carry no signature by one of the keys in spec.manifestVerify, or were changed
since, and lets through what Kubernetes' own controllers make of them: Pods,
ReplicaSets, Jobs and the like from their service accounts. Secrets are left out:
Kyverno finds what was signed in an annotation, which they have not.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := a.policy
			if len(args) == 1 {
				file = args[0]
			}
			if file == "" {
				return errors.New("which policy? Name it, or set TRUSTOMIZE_POLICY")
			}
			var pems []string
			for _, key := range keys {
				data, err := os.ReadFile(key)
				if err != nil {
					return fmt.Errorf("--key: %w", err)
				}
				pems = append(pems, string(data))
			}
			data, err := trustomize.KyvernoPolicy(file, pems)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(data)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key, PEM, in place of those of spec.manifestVerify; may be repeated")
	return cmd
}
