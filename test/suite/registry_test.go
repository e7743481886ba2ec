package suite

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// hasRegistry says whether Debian's docker-registry is there, for the
// condition [registry].
func hasRegistry() bool {
	_, err := exec.LookPath("docker-registry")
	return err == nil
}

// registryUser is what "registry auth" lets in, user u with password p, as
// "htpasswd -nbB u p" writes it: bcrypt is not in this module's reach.
const registryUser = "u:$2a$04$Vk1Uft8cX6Qk5FRyeTU4z.uSG3c.D67ZQtnP9rpfaJIPD5NPlLCt6\n"

// startRegistry runs an empty registry on loopback, over plain http, until the
// script ends, and sets REGISTRY to its host and port. With "auth" it wants
// Basic credentials: REGISTRY_USER and REGISTRY_PASSWORD, which ocipush uses.
// The registry's files are below $WORK/registry, one folder for each start.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		ts.Fatalf("there is no docker-registry; begin with: [!registry] skip")
	}
	port := freePorts(ts, 1)[0]
	dir := filepath.Join(ts.MkAbs("registry"), port)
	ts.Check(os.MkdirAll(dir, 0o755))
	auth, user, password := "", "", ""
	if len(args) > 0 && args[0] == "auth" {
		users := filepath.Join(dir, "htpasswd")
		ts.Check(os.WriteFile(users, []byte(registryUser), 0o600))
		auth = fmt.Sprintf("auth: {htpasswd: {realm: suite, path: %q}}\n", users)
		user, password = "u", "p"
	}
	config := filepath.Join(dir, "config.yml")
	ts.Check(os.WriteFile(config, fmt.Appendf(nil, "version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q, secret: suite}\n%s",
		filepath.Join(dir, "data"), "127.0.0.1:"+port, auth), 0o644))
	var output bytes.Buffer
	cmd := exec.Command(program, "serve", config)
	cmd.Env = []string{"PATH=/usr/bin:/bin"} // REGISTRY_... would be settings
	cmd.Stdout, cmd.Stderr = &output, &output
	ts.Check(cmd.Start())
	ts.Defer(func() { stop(cmd) })
	if !answers("http://127.0.0.1:" + port + "/") {
		stop(cmd)
		ts.Fatalf("docker-registry did not start: %s", output.String())
	}
	ts.Setenv("REGISTRY", "127.0.0.1:"+port)
	ts.Setenv("REGISTRY_USER", user)
	ts.Setenv("REGISTRY_PASSWORD", password)
}

// layouts are the media types of an artifact's config and layer; internal/oci
// says where they come from.
var layouts = map[string]struct{ config, layer string }{
	"flux": {"application/vnd.cncf.flux.config.v1+json", "application/vnd.cncf.flux.content.v1.tar+gzip"},
	"argo": {"application/vnd.oci.empty.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"},
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// pushArtifact packs a directory and pushes it: ocipush DIR HOST/REPOSITORY:TAG
// [flux|argo]. DIGEST is then the manifest's, sha256:HEX; the same files have
// the same one.
func pushArtifact(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: ocipush DIR HOST/REPOSITORY:TAG [flux|argo]")
	}
	layout, ok := layouts[append(args, "flux")[2]]
	host, name, hasHost := strings.Cut(args[1], "/")
	repository, tag, hasTag := strings.Cut(name, ":")
	if !ok || !hasHost || !hasTag {
		ts.Fatalf("ocipush: want HOST/REPOSITORY:TAG, and flux or argo")
	}
	layer, err := pack(ts.MkAbs(args[0]))
	ts.Check(err)
	config := []byte("{}")
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     manifestType,
		"config":        describe(layout.config, config),
		"layers":        []any{describe(layout.layer, layer)},
	})
	ts.Check(err)
	base := "http://" + host + "/v2/" + repository
	for _, blob := range [][]byte{config, layer} {
		ts.Check(pushBlob(ts, base, blob))
	}
	_, err = ask(ts, http.MethodPut, base+"/manifests/"+tag, manifestType, manifest, http.StatusCreated)
	ts.Check(err)
	ts.Setenv("DIGEST", digest(manifest))
}

func describe(mediaType string, data []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest(data), "size": len(data)}
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// pack makes a gzipped tar of a directory that depends on names, bytes, links
// and execute permissions alone.
func pack(dir string) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return packFile(archive, dir, path, entry)
	})
	if err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func packFile(archive *tar.Writer, dir, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if info.Mode()&0o111 != 0 {
		header.Mode = 0o755
	}
	var data []byte
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	case info.Mode()&fs.ModeSymlink != 0:
		header.Typeflag, header.Mode = tar.TypeSymlink, 0o777
		header.Linkname, err = os.Readlink(path)
	default:
		data, err = os.ReadFile(path)
		header.Size = int64(len(data))
	}
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = archive.Write(data)
	return err
}

// pushBlob uploads in two steps, as the distribution specification has it under
// "POST then PUT".
func pushBlob(ts *testscript.TestScript, base string, blob []byte) error {
	header, err := ask(ts, http.MethodPost, base+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	to, err := url.Parse(header.Get("Location"))
	if err != nil {
		return err
	}
	query := to.Query()
	query.Set("digest", digest(blob))
	to.RawQuery = query.Encode()
	from, err := url.Parse(base)
	if err != nil {
		return err
	}
	_, err = ask(ts, http.MethodPut, from.ResolveReference(to).String(), "application/octet-stream", blob, http.StatusCreated)
	return err
}

// ask sends one request, with the registry's credentials if it has some, and
// wants one status.
func ask(ts *testscript.TestScript, method, location, contentType string, body []byte, want int) (http.Header, error) {
	req, err := http.NewRequest(method, location, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if user := ts.Getenv("REGISTRY_USER"); user != "" {
		req.SetBasicAuth(user, ts.Getenv("REGISTRY_PASSWORD"))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("%s %s: %s: %s", method, location, resp.Status, text)
	}
	return resp.Header, nil
}
