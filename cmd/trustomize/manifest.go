package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/dryrun"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/strict"
)

func (a *app) manifest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Sign and verify resources in their annotations",
		Args:  cobra.NoArgs,
		RunE:  help,
	}
	cmd.AddCommand(a.manifestSign(), a.manifestVerify())
	return cmd
}

// readInput reads a file, or standard input where it is "-" or not named.
func readInput(args []string) ([]byte, error) {
	if len(args) == 0 || args[0] == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(args[0])
}

// placed are flags for where resources come from and belong.
type placed struct{ application, namespace string }

func (p *placed) flags(flags *pflag.FlagSet, verb string) {
	flags.StringVar(&p.application, "application", "", "ArgoCD's Application that resources "+verb)
	flags.StringVar(&p.namespace, "namespace", "", "destination namespace that resources "+verb)
}

// givenEmpty refuses a flag with nothing in it, as an unset variable leaves it: it
// would ask for nothing.
func givenEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" || f.Value.String() == "[]" {
			err = fmt.Errorf("--%s: is given, and empty", f.Name)
		}
	})
	return err
}

func (a *app) manifestSign() *cobra.Command {
	var with signWith
	var at placed
	var replace bool
	cmd := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign resources that were built elsewhere",
		Long: `Sign prints FILE's resources, or those on standard input, with signatures in
their annotations, as kubectl-sigstore and Kyverno read them. The key is that of
the policy's spec.manifestSign, never that of spec.sign, which signs only what
trustomize verified and built itself; or the one that a flag names, whatever it is. Secrets are
signed where spec.manifestSign.match names their kind.

A resource that is signed already gets one more signature over the same message.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := givenEmpty(cmd.Flags()); err != nil {
				return err
			}
			req, err := a.manifestSignRequest(cmd.Context(), with, at)
			if err != nil {
				return err
			}
			req.Replace = replace
			if req.YAML, err = readInput(args); err != nil {
				return err
			}
			result, err := trustomize.SignManifests(cmd.Context(), *req)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: signed %d of %d resources with %s\n", result.Signed, result.Resources, refusal.Printable(result.Signer))
			_, err = a.stdout.Write(result.YAML)
			return err
		},
	}
	with.flags(cmd.Flags())
	at.flags(cmd.Flags(), "are signed for")
	cmd.Flags().BoolVar(&replace, "replace", false, "drop the signatures that are there, and sign anew")
	return cmd
}

func (a *app) manifestSignRequest(ctx context.Context, with signWith, at placed) (*trustomize.SignManifestsRequest, error) {
	dir, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	req := &trustomize.SignManifestsRequest{Request: trustomize.Request{
		PolicyFile: a.policy, CacheDir: dir, Transport: fetchTransport(), LookupEnv: os.LookupEnv, Password: a.password, KMS: a.plugins(), Now: time.Now(),
	}}
	req.Origin = signer.Origin{Application: at.application, Namespace: at.namespace}
	if a.source != "" {
		if req.Origin.Source, err = trustomize.OriginSource(a.source); err != nil {
			return nil, err
		}
	}
	if with == (signWith{}) {
		return req, nil
	}
	if err := with.check(); err != nil {
		return nil, err
	}
	switch {
	case with.ssh != "":
		return nil, errors.New("--ssh-key: resources are not signed with SSH keys; no verifier of resources reads such signatures")
	case with.keyless:
		return nil, errors.New("--keyless: which identity has to come out is the policy's to say; want spec.manifestSign.key.keyless")
	}
	key, err := a.openDetached(ctx, with)
	if err != nil {
		return nil, err
	}
	maker, ok := key.(signer.Maker)
	if !ok {
		return nil, errors.New("--key: resources cannot be signed with it")
	}
	req.Maker, err = trustomize.KeepSignatures(dir, maker)
	return req, err
}

// manifestWith says whose signatures of resources count, and what they should be.
type manifestWith struct {
	verifyWith
	placed
	origin, installation, set string
	server, context, image    string
	beforeApply               bool
}

func (a *app) manifestVerify() *cobra.Command {
	var with manifestWith
	cmd := &cobra.Command{
		Use:   "verify [FILE|-]",
		Short: "Check signed resources, from files or from a cluster, field by field",
		Long: `Verify checks that resources are what was signed: in files, or as a cluster has
them (kubectl get -o yaml | trustomize manifest verify -). Every field counts, empty
ones too. Fields that only an API server or ArgoCD sets do not, and tracking and
namespace only where they are what was signed for; docs/manifests.md lists them, and
the defaults that are known.

Keys are those of the policy's spec.manifestVerify, or those that --key names.
Nothing is asked of a log or a server, unless --server names a kubeconfig: then the
API server's own dry run of what was signed decides what it adds, with its webhooks
and the defaults of custom resources. It stores nothing.

What an API server chooses, such as a Service's addresses, is accepted of an object
that has the uid, version and time of one that is stored. A file can have them too:
before it is applied, ask with --before-apply, and nothing of that kind is accepted.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := givenEmpty(cmd.Flags()); err != nil {
				return err
			}
			req, err := a.manifestVerifyRequest(with)
			if err != nil {
				return err
			}
			if req.YAML, err = readInput(args); err != nil {
				return err
			}
			if with.image != "" {
				if req.Image, err = trustomize.ManifestImage(cmd.Context(), a.policy, with.image, req.Keys, fetchTransport()); err != nil {
					return fmt.Errorf("--image: %w", err)
				}
			}
			report, err := trustomize.VerifyManifests(cmd.Context(), *req)
			if err != nil {
				return err
			}
			if err := a.printVerdicts(report); err != nil {
				return err
			}
			return report.Err()
		},
	}
	with.verifyWith.flags(cmd.Flags())
	with.placed.flags(cmd.Flags(), "must be signed for")
	cmd.Flags().StringVar(&with.origin, "origin", "", "source that resources must come from: HOST/REPOSITORY[//PATH]")
	cmd.Flags().StringVar(&with.installation, "installation-id", "", "of the ArgoCD that tracks the resources, where it has one")
	cmd.Flags().StringVar(&with.image, "image", "", "manifest image, HOST/PATH@sha256:HEX or HOST/PATH:TAG, that has signed what carries no signature")
	cmd.Flags().StringVar(&with.server, "server", "", "kubeconfig file of the cluster that has the resources")
	cmd.Flags().StringVar(&with.context, "context", "", "context in the kubeconfig (default its current one)")
	cmd.Flags().BoolVar(&with.beforeApply, "before-apply", false, "the resources are in no cluster yet: accept nothing as an API server's choice")
	cmd.Flags().StringVar(&with.set, "set", "", "provenance bundle (build --record) of the build that the resources must be, all of it")
	return cmd
}

func (a *app) manifestVerifyRequest(with manifestWith) (*trustomize.ManifestsRequest, error) {
	if a.format != "text" && a.format != "json" {
		return nil, fmt.Errorf("--format: want text or json, not %q", a.format)
	}
	req := &trustomize.ManifestsRequest{Now: time.Now(), Installation: with.installation, BeforeApply: with.beforeApply}
	req.Origin = signer.Origin{Application: with.application, Namespace: with.namespace}
	var err error
	if with.origin != "" {
		if req.Origin.Source, err = trustomize.OriginSource(with.origin); err != nil {
			return nil, fmt.Errorf("--origin: %w", err)
		}
	}
	if with.beforeApply && with.server != "" {
		return nil, errors.New("--before-apply is for resources that no cluster has, and --server names one that has them")
	}
	if with.context != "" && with.server == "" {
		return nil, errors.New("--context is one of the kubeconfig that --server names")
	}
	if with.server != "" {
		server, err := dryrun.Open(with.server, with.context)
		if err != nil {
			return nil, fmt.Errorf("--server: %w", err)
		}
		req.DryRun = server.DryRun
	}
	if with.set != "" {
		if req.Statement, err = os.ReadFile(with.set); err != nil {
			return nil, fmt.Errorf("--set: %w", err)
		}
	}
	if len(with.keys) == 0 && with.identity+with.identityRegExp+with.issuer+with.issuerRegExp == "" && a.policy != "" {
		p, err := trustomize.ReadPolicy(trustomize.Request{PolicyFile: a.policy, Now: req.Now})
		if err != nil {
			return nil, err
		}
		req.Trust, req.Keys, err = trustomize.ManifestTrust(p)
		return req, err
	}
	if req.Trust, err = with.signers(); err != nil {
		return nil, err
	}
	for _, file := range with.keys {
		if data, err := os.ReadFile(file); err == nil {
			if key, err := signature.ParseKey(data); err == nil {
				req.Keys = append(req.Keys, key)
			}
		}
	}
	return req, nil
}

// verdictJSON is a resource's verdict for machines.
type verdictJSON struct {
	Resource  string             `json:"resource"`
	OK        bool               `json:"ok"`
	Signer    string             `json:"signer,omitempty"`
	Origin    *signer.Origin     `json:"origin,omitempty"`
	Digest    string             `json:"digest,omitempty"`
	Refusals  []*refusal.Refusal `json:"refusals"`
	Explained []strict.Explained `json:"explained,omitempty"`
	Failure   string             `json:"failure,omitempty"`
}

func (a *app) printVerdicts(report *trustomize.ManifestsReport) error {
	if a.format == "json" {
		return a.printVerdictsJSON(report)
	}
	s := newStyle(a.stdout)
	for _, v := range report.Verdicts {
		line := s.good("ok ") + v.String()
		if n := len(v.Explained); v.OK() && n > 0 {
			line += fmt.Sprintf(" (%d fields are the cluster's own)", n)
		}
		if !v.OK() {
			line = s.bad("no ") + refusal.Printable(v.Resource)
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printVerdictsJSON(report *trustomize.ManifestsReport) error {
	out := struct {
		Resources []verdictJSON      `json:"resources"`
		Set       []*refusal.Refusal `json:"set,omitempty"`
	}{[]verdictJSON{}, report.Set}
	for _, v := range report.Verdicts {
		one := verdictJSON{v.Resource, v.OK(), v.Signer, v.Origin, v.Digest, append([]*refusal.Refusal{}, v.Refusals...), v.Explained, ""}
		if v.Failure != nil {
			one.Failure = v.Failure.Error()
		}
		out.Resources = append(out.Resources, one)
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
