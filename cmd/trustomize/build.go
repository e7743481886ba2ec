package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

// refusedFlags are kustomize's flags that this version refuses, each with the
// reason.
var refusedFlags = map[string]string{
	"enable-alpha-plugins":   "plugins are programs that nothing here verifies",
	"enable-exec":            "executables are programs that nothing here verifies",
	"enable-star":            "scripts are programs that nothing here verifies",
	"enable-helm":            "charts are pulled and rendered by another program",
	"helm-command":           "charts are pulled and rendered by another program",
	"helm-api-versions":      "charts are pulled and rendered by another program",
	"helm-kube-version":      "charts are pulled and rendered by another program",
	"helm-debug":             "charts are pulled and rendered by another program",
	"network":                "a build has no network",
	"network-name":           "a build has no network",
	"mount":                  "a build sees nothing but verified sources",
	"env":                    "a build sees nothing but verified sources",
	"as-current-user":        "a build starts no containers",
	"enable-managedby-label": "the label would name this program's version",
}

func (a *app) build() *cobra.Command {
	var output, record, restrictor, reorder string
	var dev bool
	cmd := &cobra.Command{
		Use:   "build [DIR|URL]",
		Short: "Verify everything, then build, sign and log",
		Long:  "Build prints what kustomize build prints, with signatures added. It prints nothing\nunless every source was vouched for and everything else succeeded.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFlags(cmd, restrictor, reorder); err != nil {
				return err
			}
			req, err := a.request(args)
			if err != nil {
				return err
			}
			if dev && record != "" {
				return fmt.Errorf("--record: a dev build has no provenance")
			}
			req.Dev, req.Options.Reorder = dev, reorder
			progress := newProgress(a.stderr)
			req.Observe = progress.observe
			result, err := trustomize.Build(cmd.Context(), req)
			progress.close()
			if err != nil {
				return err
			}
			return a.emit(result, output, record)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "write to this file instead of standard output")
	flags.StringVar(&record, "record", "", "write the provenance, a Sigstore bundle, to this file")
	flags.BoolVar(&dev, "dev", false, "take DIR as it is; verify its bases, sign and log nothing")
	flags.StringVar(&restrictor, "load-restrictor", "LoadRestrictionsRootOnly", "LoadRestrictionsRootOnly; anything else is refused")
	flags.StringVar(&reorder, "reorder", "", "legacy or none")
	for name := range refusedFlags {
		flags.String(name, "", "refused")
		flags.Lookup(name).NoOptDefVal = "true"
		flags.Lookup(name).Hidden = true
	}
	flags.StringP("refused-e", "e", "", "refused")
	flags.Lookup("refused-e").Hidden = true
	return cmd
}

// checkFlags refuses, by name, flags that would weaken a build.
func checkFlags(cmd *cobra.Command, restrictor, reorder string) error {
	var refusals []*refusal.Refusal
	refuse := func(flag, reason string) {
		refusals = append(refusals, &refusal.Refusal{Code: refusal.Flag, Reason: "--" + flag + ": " + reason})
	}
	for name, reason := range refusedFlags {
		if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() != "false" {
			refuse(name, reason)
		}
	}
	if cmd.Flags().Changed("refused-e") {
		refuse("env", refusedFlags["env"])
	}
	if !slices.Contains([]string{"", "LoadRestrictionsRootOnly", "rootOnly"}, restrictor) {
		refuse("load-restrictor", "a kustomization reads nothing outside of its own directory in this version")
	}
	if len(refusals) > 0 {
		return &trustomize.Refused{Refusals: refusals}
	}
	if !slices.Contains([]string{"", "legacy", "none"}, reorder) {
		return fmt.Errorf("--reorder: want legacy or none, not %q", reorder)
	}
	return nil
}

// emit writes a finished build: its provenance first, so that YAML never
// appears without.
func (a *app) emit(result *trustomize.Result, output, record string) error {
	if record != "" {
		if result.Record == nil {
			return fmt.Errorf("--record: the policy says that nothing is signed, so there is no provenance")
		}
		if err := writeFile(record, result.Record.Bundle); err != nil {
			return fmt.Errorf("--record: %w", err)
		}
	}
	a.summarize(result)
	if output != "" {
		return writeFile(output, result.YAML)
	}
	_, err := a.stdout.Write(result.YAML)
	return err
}

func (a *app) summarize(result *trustomize.Result) {
	a.warn(result.Report.Graph.Warnings)
	switch {
	case result.Report.Dev:
		fmt.Fprintln(a.stderr, "trustomize: dev build: the directory was taken as it is, nothing is signed or logged")
	case result.Record == nil:
		fmt.Fprintln(a.stderr, "trustomize: nothing is signed: the policy says sign: none")
	case isTerminal(a.stderr):
		fmt.Fprintf(a.stderr, "trustomize: %d sources verified, %d of %d resources signed%s\n",
			len(result.Report.Graph.Sources), result.Signed, result.Resources, logged(result))
	}
}

// warn tells of what a rule with closure: reached lets pass.
func (a *app) warn(warnings []*refusal.Refusal) {
	for _, w := range warnings {
		fmt.Fprintln(a.stderr, "trustomize: warning: "+strings.TrimPrefix(w.Error(), "refused "))
	}
}

func logged(result *trustomize.Result) string {
	switch {
	case result.Record.Index < 0:
		return ", not logged"
	case result.Record.Known:
		return fmt.Sprintf(", logged before as entry %d", result.Record.Index)
	}
	return fmt.Sprintf(", logged as entry %d", result.Record.Index)
}

// writeFile writes a file whole or not at all.
func writeFile(file string, data []byte) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return fmt.Errorf("%s is a directory; writing one file per resource is not supported yet", file)
		}
		return os.WriteFile(file, data, 0o644) // a pipe or a device
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".trustomize-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
