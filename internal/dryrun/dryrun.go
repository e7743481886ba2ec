package dryrun

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
)

// DryRun returns the object that the server would store if the signed one
// replaced the live one, which was read from it.
//
// The server is asked for an update first. In it, values that the server chose
// once stay, such as a cluster IP, while fields that only the live object has are
// gone unless the server itself puts them in. Where it refuses because a field
// cannot be changed any more, as with a Job's selector or most of a Pod, it is
// asked what it would create under another name; the result carries the live
// object's name all the same. What it chooses then is of this answer alone.
func (s *Server) DryRun(ctx context.Context, signed, live map[string]any) (map[string]any, error) {
	apiVersion, kind := text(signed, "apiVersion"), text(signed, "kind")
	r, err := s.resource(ctx, apiVersion, kind)
	if err != nil {
		return nil, err
	}
	of := metadata(live)
	name, namespace := text(of, "name"), text(of, "namespace")
	switch {
	case text(of, "resourceVersion") == "":
		return nil, errors.New("it carries no resourceVersion: with --server, give objects as the cluster has them (kubectl get -o yaml)")
	case name == "":
		return nil, errors.New("it has no name")
	case r.Namespaced && namespace == "":
		return nil, errors.New("it has no namespace")
	}
	at := root(apiVersion)
	if r.Namespaced {
		at += "/namespaces/" + url.PathEscape(namespace)
	}
	at += "/" + r.Name
	made, err := s.update(ctx, at, signed, of)
	var why *Error
	if errors.As(err, &why) && why.Status == http.StatusUnprocessableEntity && !nameIsContent(kind) {
		made, err = s.create(ctx, at, signed, of)
	}
	if err != nil {
		return nil, explain(err, r, namespace)
	}
	if text(made, "apiVersion") != apiVersion || text(made, "kind") != kind {
		return nil, errors.New("the server answers with an object of another kind")
	}
	return made, nil
}

// asked makes the query of a request that changes nothing. A field that the
// server does not know is an error: it would be left out silently.
func asked() url.Values {
	return url.Values{"dryRun": {"All"}, "fieldValidation": {"Strict"}, "fieldManager": {"trustomize"}}
}

func (s *Server) update(ctx context.Context, at string, signed, of map[string]any) (made map[string]any, err error) {
	body := with(signed, map[string]any{"name": of["name"], "namespace": of["namespace"], "resourceVersion": of["resourceVersion"], "uid": of["uid"]})
	return made, s.ask(ctx, http.MethodPut, at+"/"+url.PathEscape(text(of, "name")), asked(), body, &made)
}

// maxName is what is kept of a name, so that it is valid with what is appended
// for every kind: names of Services have at most 63 characters.
const maxName = 40

func (s *Server) create(ctx context.Context, at string, signed, of map[string]any) (made map[string]any, err error) {
	name := strings.TrimRight(text(of, "name")[:min(len(text(of, "name")), maxName)], "-.") + "-" + strings.ToLower(rand.Text()[:8])
	body := with(signed, map[string]any{"name": name, "namespace": of["namespace"]})
	if err := s.ask(ctx, http.MethodPost, at, asked(), body, &made); err != nil {
		return nil, err
	}
	return with(made, map[string]any{"name": of["name"]}), nil
}

// nameIsContent reports whether objects of a kind say something by their name,
// and cannot be tried under another.
func nameIsContent(kind string) bool {
	return slices.Contains([]string{"CustomResourceDefinition", "APIService", "Namespace", "IPAddress", "ServiceCIDR"}, kind)
}

// with returns a copy of an object whose metadata has these fields; nil ones are
// left alone.
func with(o, fields map[string]any) map[string]any {
	o = maps.Clone(o)
	of := maps.Clone(metadata(o))
	if of == nil {
		of = map[string]any{}
	}
	for name, value := range fields {
		if value != nil {
			of[name] = value
		}
	}
	o["metadata"] = of
	return o
}

func metadata(o map[string]any) map[string]any {
	of, _ := o["metadata"].(map[string]any)
	return of
}

func text(o map[string]any, name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	}
	return ""
}

// explain says what to do about a server's refusal.
func explain(err error, r resource, namespace string) error {
	var why *Error
	if !errors.As(err, &why) {
		return err
	}
	where := "cluster-wide"
	if r.Namespaced {
		where = "in the namespace " + refusal.Printable(namespace)
	}
	switch why.Status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; the kubeconfig's credentials do not count there", err)
	case http.StatusForbidden:
		return fmt.Errorf("%w; a dry run wants the permissions update and create on %s %s", err, r.Name, where)
	case http.StatusNotFound:
		return fmt.Errorf("%w; it was deleted since it was read, or it is of another cluster", err)
	case http.StatusConflict:
		return fmt.Errorf("%w; read the object again", err)
	}
	return err
}
