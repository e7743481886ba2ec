package policy

import "testing"

func TestSameKey(t *testing.T) {
	identity := func(subject, config string) *SigningKey {
		return &SigningKey{Keyless: &KeylessSign{Issuer: "https://ci.example", Subject: subject, SigningConfig: &FileRef{File: config}}}
	}
	if !sameKey(identity("a", "x"), identity("a", "y")) || sameKey(identity("a", "x"), identity("b", "x")) || sameKey(identity("a", "x"), &SigningKey{File: "a"}) || !sameKey(&SigningKey{File: "a"}, &SigningKey{File: "a"}) {
		t.Error("identities are the same by issuer and subject, and files by name")
	}
}

func TestIdentityOf(t *testing.T) {
	for _, signer := range []*Keyless{{Issuer: "https://ci.example", Subject: "a"}, {IssuerRegExp: "https://.*", SubjectRegExp: "a|b"}} {
		signers := map[string]Signer{"key": {}, "ci": {Keyless: signer}}
		for subject, want := range map[string]string{"a": "ci", "ab": ""} {
			if name, _ := identityOf(signers, &KeylessSign{Issuer: "https://ci.example", Subject: subject}); name != want {
				t.Errorf("%+v, %s: %q", signer, subject, name)
			}
		}
		if _, is := identityOf(signers, nil); is {
			t.Error("a key is nobody's identity")
		}
	}
}

func TestSeparateNames(t *testing.T) {
	for _, tc := range []struct {
		exact, expr, text string
		want              bool
	}{
		{"a", "", "a", true}, {"a", "", "ab", false}, {"", "a.*", "ab", true}, {"", "a", "ab", false}, {"", "a|b", "ab", false}, {"", "(", "a", false}, {"", "", "", false},
	} {
		if got := isNamed(tc.exact, tc.expr, tc.text); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
