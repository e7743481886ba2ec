package strict

import (
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

// TestBeforeApply: what only an API server may choose, a file may not have.
func TestBeforeApply(t *testing.T) {
	key := newKey(t)
	pod := signed(t, key, signer.Origin{}, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n")
	placed := with(pod, func(o, m, a map[string]any) {
		m["uid"], m["resourceVersion"], m["creationTimestamp"] = "01234567-0123-0123-0123-0123456789ab", "12", "2026-01-01T00:00:00Z"
		o["spec"].(map[string]any)["nodeName"] = "control-plane"
	})
	for _, before := range []bool{false, true} {
		v := &Verifier{Trust: []signature.Trust{key.Public}, BeforeApply: before}
		if verdict := v.Verify(t.Context(), placed); verdict.OK() == before {
			t.Errorf("before it is applied %v: %v", before, verdict.Refusals)
		}
		if verdict := v.Verify(t.Context(), pod); !verdict.OK() {
			t.Errorf("before it is applied %v: %v", before, verdict.Refusals)
		}
	}
}

// TestNullAnnotations: Helm's way to have none.
func TestNullAnnotations(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	for _, none := range []string{"null", "{}"} {
		o := signed(t, key, signer.Origin{}, "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: "+none+"}\nspec: {}\n")
		if verdict := v.Verify(t.Context(), o); !verdict.OK() {
			t.Errorf("%q: %v", none, verdict.Refusals)
		}
	}
}

// TestSecretsWithMore have fields that are not the signer's, or are another group's.
func TestSecretsWithMore(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	const others, applied = "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: s}\n", "kubectl.kubernetes.io/last-applied-configuration"
	for name, c := range map[string]struct {
		text   string
		change func(o, metadata, annotations map[string]any)
		ok     bool
	}{
		"no time": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s, creationTimestamp: null}\n", nil, true},
		"a time": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s, creationTimestamp: null}\n", func(o, m, a map[string]any) {
			m["creationTimestamp"] = "2026-01-01T00:00:00Z"
		}, true},
		"applied": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {" + applied + ": a}}\n", func(o, m, a map[string]any) { delete(a, applied) }, true},
		"stored": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: x}\n", func(o, m, a map[string]any) {
			delete(o, "stringData")
			o["data"], o["type"] = map[string]any{"a": "eA=="}, "Opaque"
		}, true},
		"another's": {others + "stringData: {a: x}\nstatus: {b: c}\n", nil, true},
		"another's, as if stored": {others + "stringData: {a: x}\n", func(o, m, a map[string]any) {
			delete(o, "stringData")
			o["data"] = map[string]any{"a": "eA=="}
		}, false},
		"another's with a type":     {others, func(o, m, a map[string]any) { o["type"] = "Opaque" }, false},
		"another's, status changed": {others + "status: {b: c}\n", func(o, m, a map[string]any) { o["status"] = map[string]any{"b": "d"} }, false},
		"another's, status removed": {others + "status: {b: c}\n", func(o, m, a map[string]any) { delete(o, "status") }, false},
		"another's, observed":       {others, func(o, m, a map[string]any) { o["status"] = map[string]any{"b": "d"} }, true},
	} {
		o := signed(t, key, signer.Origin{}, c.text)
		if c.change != nil {
			o = with(o, c.change)
		}
		if verdict := v.Verify(t.Context(), o); verdict.OK() != c.ok {
			t.Errorf("%s: %v", name, verdict.Refusals)
		}
	}
	outline, err := signer.SecretOutline(map[string]any{"apiVersion": "example.com/v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "spec": "hunter2"})
	if err != nil || strings.Contains(string(outline), "hunter2") {
		t.Errorf("%v: %s", err, outline)
	}
}

func TestServerMetadata(t *testing.T) {
	var want []string
	for _, f := range ServerFields {
		if name, ok := strings.CutPrefix(f.Path, "metadata."); ok {
			want = append(want, name)
		}
	}
	if got := strings.Join(signer.ServerMetadata, " "); got != strings.Join(want, " ") {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPatience(t *testing.T) {
	p := &Patience{}
	bad := &Verdict{Size: MaxWasted / 2, Refusals: []*refusal.Refusal{{}}}
	for i, v := range []*Verdict{{Size: MaxWasted * 2}, bad, bad} {
		if err := p.After(v); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if p.After(&Verdict{Size: 1, Refusals: bad.Refusals}) == nil {
		t.Error("no end to it")
	}
}

// endedKey is a key that counts no more.
type endedKey struct {
	signature.Key
	err     error
	expires time.Time
}

func (k endedKey) Verify(sig signature.Signature, message []byte, at signature.When) (signature.Evidence, error) {
	e, err := k.Key.Verify(sig, message, at)
	if err == nil {
		e.Expires, err = k.expires, k.err
	}
	return e, err
}

func TestEndedKeys(t *testing.T) {
	key := newKey(t)
	o := signed(t, key, web, deployment)
	now := time.Unix(1760000000, 0)
	for want, ended := range map[refusal.Code]endedKey{
		"":              {key.Public, nil, now.Add(time.Second)},
		refusal.Expired: {key.Public, nil, now},
		refusal.Revoked: {key.Public, signature.Errorf(signature.Revoked, "is revoked"), time.Time{}},
	} {
		v := &Verifier{Trust: []signature.Trust{ended}, Now: now}
		verdict := v.Verify(t.Context(), o)
		if want == "" && !verdict.OK() || want != "" && (len(verdict.Refusals) != 1 || verdict.Refusals[0].Code != want) {
			t.Errorf("%s: %v", want, verdict.Refusals)
		}
	}
}

// sshTrust accepts every SSH signature.
type sshTrust struct{ signature.Key }

func (k sshTrust) Verify(sig signature.Signature, message []byte, _ signature.When) (signature.Evidence, error) {
	if sig.Kind != signature.SSH {
		return signature.Evidence{}, signature.Errorf(signature.Stranger, "is of another kind")
	}
	return signature.Evidence{Fingerprint: "SHA256:x", Digest: signature.DigestOf(message)}, nil
}

// TestNoFileSignatures: who signs files has not signed resources.
func TestNoFileSignatures(t *testing.T) {
	key := newKey(t)
	packed, err := signer.Pack([]byte("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := with(signed(t, key, web, deployment), func(_, _, annotations map[string]any) { annotations[signer.AnnotationBundle] = packed })
	v := &Verifier{Trust: []signature.Trust{sshTrust{key.Public}}}
	if verdict := v.Verify(t.Context(), o); len(verdict.Refusals) != 1 || verdict.Refusals[0].Code != refusal.WrongSigner {
		t.Error(verdict.Refusals)
	}
}

// TestNullInFile: a null that says nothing may be left out of a file, too.
func TestNullInFile(t *testing.T) {
	key := newKey(t)
	o := signed(t, key, web, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: null, containers: [{name: c, image: i}]}\n")
	o = with(o, func(o, _, _ map[string]any) { delete(o["spec"].(map[string]any), "nodeName") })
	v := &Verifier{Trust: []signature.Trust{key.Public}, BeforeApply: true}
	if verdict := v.Verify(t.Context(), o); !verdict.OK() {
		t.Error(verdict.Refusals)
	}
}
