// Package dryrun asks a Kubernetes API server what it would make of a signed
// object. Nothing is ever stored: every request that could has dryRun=All, as
// described in Kubernetes' API concepts.
package dryrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Server is an API server, and who asks it.
type Server struct {
	base   *url.URL
	client *http.Client
	kinds  map[string][]resource // by apiVersion
}

// timeout bounds one request, and maxAnswer one answer in bytes: an object of a
// cluster has at most 1.5 MiB, and a group's list of kinds less.
const (
	timeout   = 30 * time.Second
	maxAnswer = 8 << 20
)

// Open reads a kubeconfig file, with its certificates, tokens and plugins for
// credentials; context names one of its contexts, "" the current one. It asks
// nobody yet.
func Open(kubeconfig, context string) (*Server, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: %s", kubeconfig, oneLine(err.Error()))
	}
	config.UserAgent = "trustomize"
	config.WarningHandler = rest.NoWarnings{}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", kubeconfig, oneLine(err.Error()))
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", kubeconfig, oneLine(err.Error()))
	}
	client.Timeout = timeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the server sends elsewhere") }
	return &Server{base: base, client: client, kinds: map[string][]resource{}}, nil
}

func oneLine(text string) string { return refusal.Printable(strings.Join(strings.Fields(text), " ")) }

// resource is how a kind is called in a URL.
type resource struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Namespaced bool   `json:"namespaced"`
}

// Error is a server's refusal.
type Error struct {
	Status  int // of HTTP
	Message string
	reason  string
}

func (e *Error) Error() string { return fmt.Sprintf("the server says %d: %s", e.Status, e.Message) }

// ask sends one request and decodes the answer.
func (s *Server) ask(ctx context.Context, method, at string, query url.Values, body, answer any) error {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(data)
	}
	u := *s.base
	u.Path, u.RawQuery = path.Join("/", u.Path, at), query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), sent)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err // without the URL, which is in the message already
		}
		return fmt.Errorf("%s: %s", s.base.Host, oneLine(err.Error()))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s: %s", s.base.Host, oneLine(err.Error()))
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("%s: answers with more than %d MiB", s.base.Host, maxAnswer>>20)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return failure(resp.StatusCode, data)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("%s: its answer is no JSON", s.base.Host)
	}
	return nil
}

// maxMessage bounds how much of a server's words is shown, in bytes.
const maxMessage = 600

func failure(status int, data []byte) error {
	var said struct{ Message, Reason string }
	if json.Unmarshal(data, &said) != nil || said.Message == "" {
		said.Message = http.StatusText(status)
	}
	message := oneLine(said.Message)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return &Error{Status: status, Message: message, reason: said.Reason}
}

// resource asks how a kind is called.
func (s *Server) resource(ctx context.Context, apiVersion, kind string) (resource, error) {
	all, known := s.kinds[apiVersion]
	if !known {
		var answer struct{ Resources []resource }
		err := s.ask(ctx, http.MethodGet, root(apiVersion), nil, nil, &answer)
		var why *Error
		if errors.As(err, &why) && why.Status == http.StatusNotFound {
			return resource{}, fmt.Errorf("the server does not know %s", refusal.Printable(apiVersion))
		}
		if err != nil {
			return resource{}, err
		}
		all = answer.Resources
		s.kinds[apiVersion] = all
	}
	for _, r := range all {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return r, nil
		}
	}
	return resource{}, fmt.Errorf("the server knows no %s of %s", refusal.Printable(kind), refusal.Printable(apiVersion))
}

// root is where the objects of a version are.
func root(apiVersion string) string {
	if !strings.Contains(apiVersion, "/") {
		return "api/" + url.PathEscape(apiVersion)
	}
	group, version, _ := strings.Cut(apiVersion, "/")
	return "apis/" + url.PathEscape(group) + "/" + url.PathEscape(version)
}
