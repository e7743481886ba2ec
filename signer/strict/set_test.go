package strict

import (
	"slices"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

// TestCheckSet: a statement vouches for what nobody signed, byte for byte, and for
// nothing else; it takes back no other refusal.
func TestCheckSet(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	plainText := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
	unsigned := Built{Name: "v1/ConfigMap/-/a", Digest: signature.DigestOf([]byte(plainText))[len("sha256:"):], Unsigned: true}
	read := func(text string) Object {
		objects, err := Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return objects[0]
	}
	tampered := with(signed(t, key, signer.Origin{}, plainText), func(o, _, _ map[string]any) { o["data"] = map[string]any{"x": "z"} })
	secret := func(label string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels:\n    gen: \"" + label + "\"\n"
	}
	outline, err := signer.SecretOutline(read(secret("1")))
	if err != nil {
		t.Fatal(err)
	}
	built := Built{Name: "v1/Secret/-/a", Digest: signature.DigestOf(outline)[len("sha256:"):]}
	left := built
	left.Unsigned = true
	for name, c := range map[string]struct {
		built Built
		live  Object
		want  []refusal.Code
	}{
		"as it was built":               {unsigned, read(plainText), nil},
		"changed":                       {unsigned, read(plainText + "data: {x: z}\n"), []refusal.Code{refusal.Unsigned}},
		"signed elsewhere":              {unsigned, signed(t, key, signer.Origin{}, plainText), nil},
		"signed elsewhere, changed":     {unsigned, tampered, []refusal.Code{refusal.Changed}},
		"a Secret":                      {built, signed(t, key, web, secret("1")+"data: {p: YQ==}\n"), nil},
		"a Secret of another build":     {built, signed(t, key, web, secret("2")+"data: {p: YQ==}\n"), []refusal.Code{refusal.NotInBuild}},
		"a Secret with its message":     {built, embedded(t, key, secret("1")+"data: {p: YQ==}\n"), nil},
		"an older one with its message": {built, embedded(t, key, secret("2")+"data: {p: YQ==}\n"), []refusal.Code{refusal.NotInBuild}},
		"a Secret that was unsigned":    {left, signed(t, key, web, secret("1")), []refusal.Code{refusal.NotInBuild}},
		"another, as it was built":      {Built{Name: "v1/ConfigMap/-/b", Digest: unsigned.Digest, Unsigned: true}, read(plainText), []refusal.Code{refusal.Unsigned}},
		"signed in another namespace":   {built, with(signed(t, key, signer.Origin{}, secret("1")), func(_, metadata, _ map[string]any) { metadata["namespace"] = "x" }), []refusal.Code{refusal.WrongOrigin}},
	} {
		verdict := v.Verify(t.Context(), c.live)
		refusals := append(CheckSet([]Built{c.built}, []*Verdict{verdict}), verdict.Refusals...)
		var got []refusal.Code
		for _, r := range refusals {
			got = append(got, r.Code)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, refusals)
		}
	}
}

// TestSetOfImage: of which build a resource is that an image vouches for, the image
// says, and not the resource.
func TestSetOfImage(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	whole := signed(t, key, web, deployment)
	digest := v.Verify(t.Context(), whole).Digest
	stripped := with(whole, func(_, metadata, annotations map[string]any) {
		for name := range annotations {
			if signer.IsSignature(name) {
				delete(annotations, name)
			}
		}
	})
	large := with(stripped, func(_, metadata, _ map[string]any) { delete(metadata, "annotations") })
	const name = "apps/v1/Deployment/-/web"
	for text, c := range map[string]struct {
		image, live Object
		built       Built
		want        []refusal.Code
	}{
		"of this build":               {whole, stripped, Built{Name: name, Digest: digest}, nil},
		"of another":                  {whole, stripped, Built{Name: name, Digest: "00"}, []refusal.Code{refusal.NotInBuild}},
		"of none":                     {whole, stripped, Built{Name: "v1/Service/-/web", Digest: digest, Unsigned: true}, []refusal.Code{refusal.NotInBuild}},
		"too large to sign":           {large, with(large, func(_, metadata, _ map[string]any) { metadata["uid"] = "x" }), Built{Name: name, Digest: plain(large), Unsigned: true}, nil},
		"too large, of another build": {large, large, Built{Name: name, Digest: "00", Unsigned: true}, []refusal.Code{refusal.NotInBuild}},
	} {
		of := &Verifier{Image: []Object{c.image}, ImageSigner: "a key"}
		verdict := of.Verify(t.Context(), c.live)
		refusals := append(CheckSet([]Built{c.built}, []*Verdict{verdict}), verdict.Refusals...)
		var got []refusal.Code
		for _, r := range refusals {
			got = append(got, r.Code)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", text, refusals)
		}
	}
}

// embedded is a signed Secret that carries its message.
func embedded(t *testing.T, key *signer.Key, text string) Object {
	t.Helper()
	r := kyaml.MustParse(text)
	s := &signer.Signer{Maker: key, Origin: web, EmbedSecrets: true}
	if _, err := s.Sign(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	objects, err := Read([]byte(r.MustString()))
	if err != nil {
		t.Fatal(err)
	}
	return objects[0]
}
