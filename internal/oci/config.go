package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// dockerConfig holds the fields of a docker config.json that say where
// credentials are; docker's docs, "docker login", and cli/config/configfile.
type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredsStore  string                     `json:"credsStore"`
	CredHelpers map[string]string          `json:"credHelpers"`
}

// LoadConfig reads a docker config.json, which is also what a Kubernetes Secret
// of type kubernetes.io/dockerconfigjson holds. Only what stands under "auths"
// is given out, each entry for its own host. Helpers (credsStore, credHelpers)
// are programs and are not started: asking for a host whose credentials they
// keep is an error. So is an entry for a part of a registry, or a pattern.
func LoadConfig(data []byte) (Keychain, error) {
	var config dockerConfig
	if err := json.Unmarshal(data, &config); err != nil {
		// json's errors can quote a value.
		return nil, errors.New("docker config: not JSON, or not of a config.json's shape")
	}
	k := keys{map[string]authn.AuthConfig{}, map[string]bool{}}
	for key, raw := range config.Auths {
		if err := k.add(key, raw, config.CredsStore != ""); err != nil {
			return nil, err
		}
	}
	for key := range config.CredHelpers {
		host, _, err := configHost(key)
		if err != nil {
			return nil, err
		}
		delete(k.entries, host) // docker asks the helper first
		k.elsewhere[host] = true
	}
	return k.get, nil
}

// keys is what a config says, by host.
type keys struct {
	entries   map[string]authn.AuthConfig
	elsewhere map[string]bool // a helper has them
}

func (k keys) get(registry string) (authn.AuthConfig, error) {
	entry, ok := k.entries[registry]
	if !ok && k.elsewhere[registry] {
		return entry, fmt.Errorf("the credentials for %s are kept by a docker credential helper, a program, and none is started: put them under \"auths\" in a config.json", registry)
	}
	return entry, nil
}

func (k keys) add(key string, raw json.RawMessage, hasStore bool) error {
	var entry authn.AuthConfig
	if err := json.Unmarshal(raw, &entry); err != nil {
		return fmt.Errorf("docker config: the entry for %q cannot be read: want auth as base64 of USER:PASSWORD, or username and password", key)
	}
	entry.Auth = "" // says once more what user and password say
	host, whole, err := configHost(key)
	if entry == (authn.AuthConfig{}) {
		// docker login leaves an empty entry for what it put into the store,
		// Docker Desktop others for ends of URLs.
		if err == nil && whole && hasStore {
			k.elsewhere[host] = true
		}
		return nil
	}
	if err != nil {
		return err
	}
	if !whole {
		return fmt.Errorf("docker config: the entry for %q is for a part of a registry; only whole hosts are supported", key)
	}
	if (entry.Username == "") != (entry.Password == "") && entry.IdentityToken == "" {
		return fmt.Errorf("docker config: the entry for %q lacks its user or its password", key)
	}
	if other, ok := k.entries[host]; ok && other != entry {
		return fmt.Errorf("docker config: two entries for %s that differ", host)
	}
	k.entries[host] = entry
	return nil
}

// configHost returns the host that a key of "auths" means, and whether it means
// all of it. Keys are hosts, or URLs as Docker Hub's https://index.docker.io/v1/.
func configHost(key string) (host string, whole bool, err error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	name, path, _ := strings.Cut(rest, "/")
	if host, err = Host(name); err != nil {
		return "", false, fmt.Errorf("docker config: the entry for %q: %w", key, err)
	}
	path = strings.TrimSuffix(path, "/")
	return host, path == "" || path == "v1" || path == "v2", nil
}
