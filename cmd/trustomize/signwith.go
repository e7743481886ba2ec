package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/spf13/pflag"

	"github.com/trustomize/trustomize/signer"
)

// signWith says what a list is signed with: exactly one of its ways.
type signWith struct {
	key     string
	ssh     string
	keyless bool

	signingConfig, trustedRoot, token string
}

func (w *signWith) flags(flags *pflag.FlagSet) {
	flags.StringVar(&w.key, "key", "", "private key: cosign's, or PKCS #8 in PEM; or a KMS URI such as awskms:///alias/NAME")
	flags.StringVar(&w.ssh, "ssh-key", "", "private SSH key; or a public one, whose private half is in the agent at SSH_AUTH_SOCK")
	flags.BoolVar(&w.keyless, "keyless", false, "sign with a certificate for the identity of the CI job that this runs in")
	flags.StringVar(&w.signingConfig, "signing-config", "", "keyless: signing_config.json: which authority, log and timestamp authority to ask")
	flags.StringVar(&w.trustedRoot, "trusted-root", "", "keyless: trusted_root.json that the result must verify with")
	flags.StringVar(&w.token, "identity-token", "", "keyless: file with the OIDC token, instead of the CI's own")
}

func (w *signWith) check() error {
	n := 0
	for _, set := range []bool{w.key != "", w.ssh != "", w.keyless} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		return errors.New("--key: name the private key to sign with, or say --ssh-key or --keyless")
	case n > 1:
		return errors.New("want one of --key, --ssh-key, --keyless")
	case w.keyless && (w.signingConfig == "" || w.trustedRoot == ""):
		return errors.New("--keyless wants --signing-config and --trusted-root: what is logged in a public log is public for ever, so none is asked by default")
	case !w.keyless && w.signingConfig+w.trustedRoot+w.token != "":
		return errors.New("--signing-config, --trusted-root and --identity-token go with --keyless")
	}
	return nil
}

func (a *app) openDetached(ctx context.Context, w signWith) (signer.Detached, error) {
	switch {
	case w.ssh != "":
		return a.openSSH(w.ssh)
	case w.keyless:
		return a.openKeyless(w)
	case signer.IsKMS(w.key):
		key, err := a.openKMS(ctx, w.key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return key, nil
	}
	return a.openKey(w.key)
}

func (a *app) openKey(file string) (signer.Detached, error) {
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

// agentTimeout is how long the SSH agent may take, a touch of a security key
// included.
const agentTimeout = time.Minute

// openSSH opens a private SSH key, or finds the private half of a public one in
// the agent.
func (a *app) openSSH(file string) (signer.Detached, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ssh-key: %w", err)
	}
	if bytes.Contains(data, []byte("PRIVATE KEY")) {
		key, err := signer.OpenSSHKey(data, a.password)
		if err != nil {
			return nil, fmt.Errorf("--ssh-key %s: %w", file, err)
		}
		return key, nil
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, fmt.Errorf("--ssh-key %s: is a public key, and SSH_AUTH_SOCK names no agent that could have its private half", file)
	}
	conn, err := net.DialTimeout("unix", socket, agentTimeout)
	if err != nil {
		return nil, fmt.Errorf("the SSH agent: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(agentTimeout)); err != nil {
		return nil, err
	}
	key, err := signer.AgentKey(conn, data)
	if err != nil {
		return nil, fmt.Errorf("--ssh-key %s: %w", file, err)
	}
	return key, nil
}

// openKMS asks a KMS plugin for its key.
func (a *app) openKMS(ctx context.Context, uri string) (*signer.KMSKey, error) {
	return signer.OpenKMS(ctx, uri, a.plugins())
}

// plugins are the operator's, with the operator's environment: what they reach
// their KMS with is there. What an Application's owner can set in it is not
// theirs to see.
func (a *app) plugins() signer.Plugins {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PATH=") || strings.HasPrefix(v, "ARGOCD_") || strings.HasPrefix(v, "PARAM_")
	})
	return signer.Plugins{Path: a.path, Env: env, Stderr: a.stderr}
}

// openKeyless reads whom to ask, and by whom what they give is checked.
func (a *app) openKeyless(w signWith) (signer.Detached, error) {
	config, err := os.ReadFile(w.signingConfig)
	if err != nil {
		return nil, fmt.Errorf("--signing-config: %w", err)
	}
	services, err := signer.ParseSigningConfig(config, time.Now())
	if err != nil {
		return nil, fmt.Errorf("--signing-config %s: %w", w.signingConfig, err)
	}
	trusted, err := root.NewTrustedRootFromPath(w.trustedRoot)
	if err != nil {
		return nil, fmt.Errorf("--trusted-root %s: %w", w.trustedRoot, err)
	}
	transport := fetchTransport()
	return signer.OpenKeyless(signer.KeylessConfig{
		Services: services, Root: trusted, Transport: transport,
		Token: func(ctx context.Context) (string, error) {
			if w.token == "" {
				return signer.AmbientToken(ctx, transport)
			}
			token, err := os.ReadFile(w.token)
			return string(token), err
		},
	})
}
