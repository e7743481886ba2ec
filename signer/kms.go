package signer

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/encoding"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
)

// KMSKey is a signing key in a key management system, reached through a plugin
// of Sigstore's: the key NAME://ID belongs to a program sigstore-kms-NAME that
// the operator installed. It is started once for each call. A client that was
// compiled in takes its place.
type KMSKey struct {
	Public signature.Key

	name    string // of the plugin, or the key's scheme
	backend kmsBackend
}

// Plugins says how KMS plugins are found and run. Sigstore's own client looks
// for them in this process's PATH and gives them its whole environment; ours
// runs them with its protocol (cliplugin/common), and takes both from here.
type Plugins struct {
	Path   string        // directories to look in, as in PATH; relative ones don't count
	Env    []string      // a plugin's environment but for PATH, NAME=value each: what it reaches its KMS with
	Stderr io.Writer     // where plugins' messages go; nil: nowhere
	Limit  time.Duration // of one call; 0: a minute
}

const (
	pluginLimit = time.Minute
	// pluginGrace is how long the output of a plugin that was killed stays open,
	// for children of its own that hold it.
	pluginGrace = 2 * time.Second
	// maxPluginAnswer bounds a plugin's answer, in bytes.
	maxPluginAnswer = 1 << 20
)

// kmsURI is a plugin's name and what it calls the key. The name becomes a
// program's, so it has no separators.
var kmsURI = regexp.MustCompile(`^([a-z0-9][a-z0-9-]*)://(\S+)$`)

// IsKMS reports whether a key's name is a KMS URI, NAME://ID.
func IsKMS(name string) bool { return kmsURI.MatchString(name) }

// OpenKMS asks the plugin of a URI for its public key.
func OpenKMS(ctx context.Context, uri string, plugins Plugins) (*KMSKey, error) {
	parts := kmsURI.FindStringSubmatch(uri)
	if parts == nil {
		return nil, fmt.Errorf("%q is no KMS key; want NAME://ID, where sigstore-kms-NAME is a plugin", uri)
	}
	if plugins.Limit == 0 {
		plugins.Limit = pluginLimit
	}
	k := &KMSKey{name: parts[1], backend: &kmsClient{uri, plugins.Limit}}
	var err error
	if !compiledIn(uri) {
		p := &plugin{Plugins: plugins, name: cliplugin.PluginBinaryPrefix + parts[1], key: parts[2]}
		if p.program, err = plugins.find(p.name); err != nil {
			return nil, err
		}
		k.name, k.backend = p.name, p
	}
	if k.Public, err = k.backend.publicKey(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return k, nil
}

// find returns the absolute path of a program.
func (p Plugins) find(name string) (string, error) {
	for _, dir := range filepath.SplitList(p.Path) {
		if !filepath.IsAbs(dir) {
			continue // the present directory may be anybody's
		}
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("the KMS plugin %s is not installed, or not on the PATH", name)
}

// PublicPEM returns the public key in PEM.
func (k *KMSKey) PublicPEM() ([]byte, error) {
	return cryptoutils.MarshalPublicKeyToPEM(k.Public.Public)
}

// Sign returns the signature over the message, after it verified with the key
// that [OpenKMS] got. Which hash and padding it has is the KMS's choice.
func (k *KMSKey) Sign(ctx context.Context, message []byte) ([]byte, error) {
	return k.SignWith(ctx, message, crypto.SHA256) // as cosign; keys that can't have their own
}

// SignWith is [KMSKey.Sign] with a hash that the KMS is asked to use.
func (k *KMSKey) SignWith(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	sig, err := k.backend.sign(ctx, message, hash)
	if err == nil {
		_, err = k.Public.VerifyBytes(sig, message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: its signature: %w", k.name, err)
	}
	return sig, nil
}

// SignAfresh makes another signature, where the KMS makes another each time.
func (k *KMSKey) SignAfresh(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	return k.SignWith(ctx, message, hash)
}

// PublicKey returns the public half.
func (k *KMSKey) PublicKey() signature.Key { return k.Public }

// SignFile returns the signature in base64, as cosign sign-blob writes it.
func (k *KMSKey) SignFile(ctx context.Context, message []byte) (File, error) {
	sig, err := k.Sign(ctx, message)
	if err != nil {
		return File{}, err
	}
	return File{Data: []byte(base64.StdEncoding.EncodeToString(sig)), Signer: k.Public.Fingerprint}, nil
}

// plugin is one program and the key that it is asked about.
type plugin struct {
	Plugins
	name, program, key string
}

func (p *plugin) publicKey(ctx context.Context) (signature.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	answer, err := p.call(ctx, nil, crypto.SHA256, &common.MethodArgs{
		MethodName: common.PublicKeyMethodName,
		PublicKey: &common.PublicKeyArgs{
			PublicKeyOptions: encoding.PackPublicKeyOptions([]sigstore.PublicKeyOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return signature.Key{}, err
	}
	if answer.PublicKey == nil {
		return signature.Key{}, errors.New("its answer holds no public key")
	}
	return signature.ParseKey(answer.PublicKey.PublicKeyPEM)
}

func (p *plugin) sign(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	answer, err := p.call(ctx, message, hash, &common.MethodArgs{
		MethodName: common.SignMessageMethodName,
		SignMessage: &common.SignMessageArgs{
			SignOptions: encoding.PackSignOptions([]sigstore.SignOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return nil, err
	}
	if answer.SignMessage == nil {
		return nil, errors.New("there is none in its answer")
	}
	return answer.SignMessage.Signature, nil
}

// call runs the program once, as cliplugin's README has it: the protocol's
// version and the arguments on the command line, the message on standard input,
// the answer on standard output. Its exit status means nothing.
func (p *plugin) call(ctx context.Context, message []byte, hash crypto.Hash, method *common.MethodArgs) (*common.PluginResp, error) {
	deadline, _ := ctx.Deadline()
	args, err := json.Marshal(&common.PluginArgs{
		InitOptions: &common.InitOptions{
			CtxDeadline:     &deadline,
			ProtocolVersion: common.ProtocolVersion,
			KeyResourceID:   p.key,
			HashFunc:        hash,
			RPCOptions:      encoding.PackRPCOptions([]sigstore.RPCOption{options.WithContext(ctx)}),
		},
		MethodArgs: method,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdout := &bounded{left: maxPluginAnswer, full: cancel}
	cmd := exec.CommandContext(ctx, p.program, common.ProtocolVersion, string(args))
	cmd.Env = append(p.Env[:len(p.Env):len(p.Env)], "PATH="+p.Path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(message), stdout, p.Stderr
	cmd.WaitDelay = pluginGrace
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case stdout.left < 0:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxPluginAnswer)
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("did not answer: %w", ctx.Err())
	case err != nil && (!errors.As(err, &exit) || !exit.Exited()):
		return nil, err
	}
	return parseAnswer(stdout.data.Bytes(), err)
}

// parseAnswer reads what a plugin that ended, perhaps with an error, printed.
func parseAnswer(data []byte, ended error) (*common.PluginResp, error) {
	answer := &common.PluginResp{}
	if err := json.Unmarshal(data, answer); err != nil {
		if ended != nil {
			return nil, fmt.Errorf("ended without an answer: %w", ended)
		}
		return nil, fmt.Errorf("its answer is malformed: %w", err)
	}
	if answer.ErrorMessage != "" {
		return nil, errors.New(shorten(answer.ErrorMessage))
	}
	return answer, nil
}

// bounded is a buffer that tells when more comes than it has room for.
type bounded struct {
	data bytes.Buffer
	left int // room, in bytes
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.full()
		return 0, io.ErrShortBuffer
	}
	return b.data.Write(p)
}

// maxForeign bounds how much of another program's error text ours repeat, in
// bytes.
const maxForeign = 500

// shorten makes one printable line of another program's text.
func shorten(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxForeign {
		text = text[:maxForeign] + "..."
	}
	return refusal.Printable(text)
}
