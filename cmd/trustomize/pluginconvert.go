package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/plugin"
)

// maxApplication bounds an Application's file in bytes; etcd holds no larger
// object than 1.5 MiB.
const maxApplication = 4 << 20

func (a *app) pluginConvert() *cobra.Command {
	return &cobra.Command{
		Use:   "convert APPLICATION.yaml",
		Short: "Have an Application use the plugin in place of ArgoCD's own kustomize",
		Long:  "Convert prints the Application with its kustomize settings as the plugin's\nparameters. On standard error it prints what the policy must allow for that, and\nwhat has no counterpart. - reads standard input.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := readBounded(args[0])
			if err != nil {
				return err
			}
			c, err := plugin.Convert(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintf(a.stderr, "# The policy needs, under spec:\n%s", c.Policy)
			for _, what := range c.Unmapped {
				fmt.Fprintln(a.stderr, "trustomize: not converted: "+refusal.Printable(what))
			}
			_, err = a.stdout.Write(c.Application)
			return err
		},
	}
}

func readBounded(file string) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxApplication+1))
	if err == nil && len(data) > maxApplication {
		err = fmt.Errorf("%s has more than %d bytes", file, maxApplication)
	}
	return data, err
}
