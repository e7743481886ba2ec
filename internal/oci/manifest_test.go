package oci

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/gitobject"
)

const maxLayer = 1 << 20

// manifestWith is an artifact's manifest around the layers' JSON.
func manifestWith(layers string) string {
	return `{"schemaVersion":2,"mediaType":"` + imageManifest + `","config":{"mediaType":"application/vnd.cncf.flux.config.v1+json","size":2,"digest":"sha256:` +
		digestOf([]byte("{}")) + `"},"layers":[` + layers + `]}`
}

func layerJSON(mediaType, digest string, size int64) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d}`, mediaType, digest, size)
}

func TestLayerOf(t *testing.T) {
	for _, mediaType := range []string{FluxLayer, OCILayer} {
		manifest := []byte(manifestWith(layerJSON(mediaType, someDigest, maxLayer)))
		layer, err := LayerOf(manifest, digestOf(manifest), maxLayer)
		if err != nil || layer != (Layer{someDigest, maxLayer, mediaType}) {
			t.Errorf("%v, %v", layer, err)
		}
	}
}

func TestLayerOfRefuses(t *testing.T) {
	flux := layerJSON(FluxLayer, someDigest, 10)
	for manifest, want := range map[string]string{
		manifestWith(""):                "0 layers",
		manifestWith(flux + "," + flux): "2 layers",
		manifestWith(layerJSON("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", someDigest, 10)): "layer of type",
		manifestWith(layerJSON("application/vnd.cncf.helm.chart.content.v1.tar+gzip", someDigest, 10)):          "layer of type",
		manifestWith(layerJSON("application/vnd.oci.image.layer.v1.tar", someDigest, 10)):                       "layer of type",
		manifestWith(layerJSON(FluxLayer, someDigest[1:], 10)):                                                  "names its layer",
		manifestWith(strings.Replace(flux, "sha256:", "sha512:", 1)):                                            "names its layer",
		manifestWith(layerJSON(FluxLayer, someDigest, 0)):                                                       "layer of 0 bytes",
		manifestWith(layerJSON(FluxLayer, someDigest, -1)):                                                      "layer of -1 bytes",
		manifestWith(strings.Replace(flux, "{", `{"urls":["https://cdn.example/x"],`, 1)):                       "kept elsewhere",
		strings.Replace(manifestWith(flux), imageManifest, imageIndex, 1):                                       "index",
		strings.Replace(manifestWith(flux), imageManifest, dockerList, 1):                                       "index",
		strings.Replace(manifestWith(flux), imageManifest, dockerManifest, 1):                                   "kind that holds no bases",
		strings.Replace(manifestWith(flux), `"schemaVersion":2`, `"schemaVersion":1`, 1):                        "kind that holds no bases",
		strings.Replace(manifestWith(flux), "{", `{"manifests":[],`, 1):                                         "index",
		strings.Replace(manifestWith(flux), "{", `{"fsLayers":[],`, 1):                                          "kind that holds no bases",
		manifestWith(flux) + "{}": "not a manifest",
		"":                        "not a manifest",
		"[]":                      "not a manifest",
		"null":                    "kind that holds no bases",
		strings.Repeat(" ", MaxManifest) + manifestWith(flux): "more than 4194304 bytes",
	} {
		_, err := LayerOf([]byte(manifest), digestOf([]byte(manifest)), maxLayer)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %q", manifest, err, want)
		}
	}
}

func TestLayerOfHugeAndChanged(t *testing.T) {
	manifest := []byte(manifestWith(layerJSON(FluxLayer, someDigest, 1<<62)))
	_, err := LayerOf(manifest, digestOf(manifest), maxLayer)
	var limit *gitobject.LimitError
	if !errors.As(err, &limit) || limit.Limit != maxLayer {
		t.Error(err)
	}
	for _, digest := range []string{someDigest, "", strings.ToUpper(digestOf(manifest)), "sha256:" + digestOf(manifest)} {
		if _, err := LayerOf(manifest, digest, 1<<62); err == nil || !strings.Contains(err.Error(), "does not hash") {
			t.Errorf("%s: %v", digest, err)
		}
	}
}

func FuzzLayerOf(f *testing.F) {
	f.Add([]byte(manifestWith(layerJSON(FluxLayer, someDigest, 10))))
	f.Add([]byte(`{"schemaVersion":2,"layers":[{}],"layers":null,"manifests":null}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		layer, err := LayerOf(manifest, digestOf(manifest), maxLayer)
		if err != nil {
			if layer != (Layer{}) {
				t.Errorf("a layer beside an error: %v", layer)
			}
			return
		}
		if !isDigest(layer.Digest) || layer.Size <= 0 || layer.Size > maxLayer || layer.MediaType != FluxLayer && layer.MediaType != OCILayer {
			t.Errorf("%+v", layer)
		}
	})
}
