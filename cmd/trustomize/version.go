package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of what decides its output",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			versions := trustomize.Versions()
			versions["go"] = runtime.Version()
			if a.format == "json" {
				return json.NewEncoder(a.stdout).Encode(versions)
			}
			fmt.Fprintln(a.stdout, "trustomize "+versions["trustomize"])
			delete(versions, "trustomize")
			for _, name := range slices.Sorted(maps.Keys(versions)) {
				fmt.Fprintln(a.stdout, "  "+name+" "+versions[name])
			}
			return nil
		},
	}
}
