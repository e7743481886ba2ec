package argocd

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cmpclient "github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/cmp"
	"google.golang.org/protobuf/types/known/emptypb"
)

// client speaks to a cmp-server over its socket.
func client(t *testing.T, sockets string) (context.Context, cmpclient.ConfigManagementPluginServiceClient) {
	t.Helper()
	connection, c, err := cmpclient.NewConfigManagementPluginClientSet(filepath.Join(sockets, "trustomize.sock")).NewConfigManagementPluginClient()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() { cancel(); connection.Close() })
	return ctx, c
}

// environment is what the repo-server hands on.
func environment(revision string) []string {
	return []string{
		"ARGOCD_APP_NAME=web", "ARGOCD_APP_NAMESPACE=prod", "ARGOCD_APP_PROJECT_NAME=shop", "ARGOCD_APP_REVISION=" + revision,
		"ARGOCD_APP_SOURCE_REPO_URL=https://github.com/acme/app.git", "ARGOCD_APP_SOURCE_PATH=deploy", "ARGOCD_APP_SOURCE_TARGET_REVISION=main",
	}
}

// TestServer asks the cmp-server all that the repo-server asks it.
func TestServer(t *testing.T) {
	w := newWorld(t)
	sockets := w.cmpServer("one", "cache")
	repo := w.file("git/acme/app")
	env := environment(strings.TrimSpace(w.run(repo, "git", "rev-parse", "HEAD")))
	ctx, c := client(t, sockets)

	config, err := c.CheckPluginConfiguration(ctx, &emptypb.Empty{})
	if err != nil || config.IsDiscoveryConfigured || !config.ProvideGitCreds {
		t.Errorf("configuration: %v, %v", config, err)
	}

	match, err := c.MatchRepository(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(repo, "deploy"), repo, match, env, nil); err != nil {
		t.Fatal(err)
	}
	// Only who names the plugin uses it.
	if answer, err := match.CloseAndRecv(); err != nil || answer.IsSupported || answer.IsDiscoveryEnabled {
		t.Errorf("match: %v, %v", answer, err)
	}

	parameters, err := c.GetParametersAnnouncement(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(repo, "deploy"), repo, parameters, env, nil); err != nil {
		t.Fatal(err)
	}
	announced, err := parameters.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range announced.ParameterAnnouncements {
		names = append(names, one.Name)
		if one.Title == "" || one.Tooltip == "" {
			t.Errorf("%s: %+v", one.Name, one)
		}
	}
	for _, want := range []string{"images", "namePrefix", "commonLabels", "patches", "components", "buildOptions"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not announced: %v", want, names)
		}
	}

	generate, err := c.GenerateManifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(repo, "deploy"), repo, generate, env, nil); err != nil {
		t.Fatal(err)
	}
	generated, err := generate.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(generated.Manifests, "\n")
	if len(generated.Manifests) != 4 || strings.Count(text, "cosign.sigstore.dev/signature") != 4 || !strings.Contains(text, "base-web") {
		t.Errorf("%d manifests:\n%s", len(generated.Manifests), text)
	}
}
