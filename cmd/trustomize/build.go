package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

func (a *app) build() *cobra.Command {
	var output, record string
	var dev bool
	var options func() (trustomize.Options, error)
	cmd := &cobra.Command{
		Use:   "build [DIR|URL]",
		Short: "Verify everything, then build, sign and log",
		Long:  "Build prints what kustomize build prints, with signatures added. It prints nothing\nunless every source was vouched for and everything else succeeded.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := a.request(args)
			if err != nil {
				return err
			}
			if dev && record != "" {
				return fmt.Errorf("--record: a dev build has no provenance")
			}
			req.Dev = dev
			if req.Options, err = options(); err != nil {
				return err
			}
			req.Options.ManagedBy = req.Options.ManagedBy || os.Getenv(konfig.EnableManagedbyLabelEnv) == "on"
			progress := newProgress(a.stderr)
			req.Observe = progress.observe
			result, err := trustomize.Build(cmd.Context(), req)
			progress.close()
			if err != nil {
				return err
			}
			if err := a.emit(result, output, record); err != nil {
				return err
			}
			a.flushAfter(cmd.Context(), req, result)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "write to this file, or one file per resource to this directory, instead of standard output")
	flags.StringVar(&record, "record", "", "write the provenance, a Sigstore bundle, to this file")
	flags.BoolVar(&dev, "dev", false, "take DIR as it is; verify its bases, sign and log nothing")
	options = trustomize.AddFlags(flags)
	return cmd
}

// emit writes a finished build: its provenance first, so that YAML never
// appears without.
func (a *app) emit(result *trustomize.Result, output, record string) error {
	if record != "" {
		if err := writeRecord(record, result); err != nil {
			return fmt.Errorf("--record: %w", err)
		}
	}
	a.summarize(result)
	if info, err := os.Stat(output); output != "" && err == nil && info.IsDir() {
		return writeFiles(output, result.Files)
	}
	if output != "" {
		return writeFile(output, result.YAML)
	}
	_, err := a.stdout.Write(result.YAML)
	return err
}

// writeRecord writes the provenance: a signed bundle, or of an audit that would
// refuse, the statement alone.
func writeRecord(file string, result *trustomize.Result) error {
	switch {
	case result.Record != nil:
		return writeFile(file, result.Record.Bundle)
	case result.Statement != nil:
		return writeFile(file, result.Statement)
	}
	return fmt.Errorf("nothing is signed, so there is no provenance: %s", result.Unsigned)
}

func (a *app) summarize(result *trustomize.Result) {
	a.warn(result.Report.Graph.Warnings)
	a.loudly(result.Report)
	for _, w := range result.Warnings {
		fmt.Fprintln(a.stderr, "trustomize: warning: "+refusal.Printable(w))
	}
	switch {
	case result.Unsigned != "":
		fmt.Fprintln(a.stderr, "trustomize: nothing is signed or logged: "+result.Unsigned)
	case result.Image != "":
		fmt.Fprintf(a.stderr, "trustomize: %d of %d resources signed, manifest image %s\n", result.Signed, result.Resources, result.Image)
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
	case result.Record.Spooled:
		return ", spooled for the log"
	case result.Record.Index < 0:
		return ", not logged"
	case result.Record.Known:
		return fmt.Sprintf(", logged before as entry %d", result.Record.Index)
	}
	return fmt.Sprintf(", logged as entry %d", result.Record.Index)
}

// writeFiles writes one file per resource. All are written beside their places
// before the first is moved there.
func writeFiles(dir string, files []trustomize.OutputFile) error {
	if err := trustomize.CheckFiles(files); err != nil {
		return fmt.Errorf("--output %s: %w", dir, err)
	}
	staged, err := os.MkdirTemp(dir, ".trustomize-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(staged, f.Name), f.Data, 0o644); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := os.Rename(filepath.Join(staged, f.Name), filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(file string, data []byte) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
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
