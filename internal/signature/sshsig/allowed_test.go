package sshsig

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

func TestParseRefuses(t *testing.T) {
	alice := newEd25519(t)
	key := authorized(alice.PublicKey())
	blob := strings.Fields(key)[1]
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, text string }{
		{"alice", "want an option or a key"},
		{"alice " + blob, "option"},
		{"alice ssh-ed25519", "want a key type and a key"},
		{key, "is not known"}, // no principals
		{"alice ssh-rsa " + blob, "not the ssh-rsa key"},
		{"alice ssh-ed25519 " + blob[:40], "key"},
		{"alice ssh-ed25519 " + blob + "AAAA", "trailing"},
		{"alice ssh-ed25519 " + strings.TrimRight(blob, "=")[:len(blob)-5] + "!", "base64"},
		{"alice ssh-ed25519 " + base64.RawStdEncoding.EncodeToString(append(raw, 0)), "base64"},
		{"alice ssh-dss " + blob, "ssh-dss"},
		{"alice ED25519 " + blob, `"ed25519"`},
		{"alice ssh-foo " + blob, `"ssh-foo"`},
		{"alice " + authorized(newRSA(t, rsa1024).PublicKey()), "1024 bits"},
		{"alice " + authorized(certify(t, alice, alice, nil)), "certificate"},
		{"alice cert-authority " + authorized(certify(t, alice, alice, nil)), "certificate"},
		{"alice zone " + key, `"zone": is not known`},
		{`alice zone="x" ` + key, `"zone": is not known`},
		{"alice no-touch-required " + key, "not known"},
		{"alice cert-authority,cert-authority " + key, "twice"},
		{"alice cert-authority,CERT-authority " + key, "twice"},
		{`alice namespaces="a",namespaces="b" ` + key, "twice"},
		{`alice valid-after="20240101",valid-after="20240101" ` + key, "twice"},
		{`alice valid-before="20240101",valid-before="20240101" ` + key, "twice"},
		{`alice cert-authority="yes" ` + key, "takes no value"},
		{`alice cert-authority="" ` + key, "takes no value"},
		{"alice namespaces " + key, "empty pattern"},
		{"alice namespaces=file " + key, "double quotes"},
		{`alice namespaces="" ` + key, "empty pattern"},
		{`alice namespaces="file,,git" ` + key, "empty pattern"},
		{`alice namespaces="file ` + key, "no end quote"},
		{`alice namespaces="file"x ` + key, "want a comma"},
		{`alice namespaces="file", ` + key, "want an option"},
		{`alice ,namespaces="file" ` + key, "want an option"},
		{`alice namespaces="file",,cert-authority ` + key, "want an option"},
		{`alice namespaces="fi` + "\x01" + `le" ` + key, "cannot be printed"},
		{`alice namespaces="file"`, "no key follows"},
		{`alice valid-after="2024" ` + key, "is no time"},
		{`alice valid-after="20240132" ` + key, "no time"},
		{`alice valid-after="2024-01-01" ` + key, "is no time"},
		{`alice valid-after="20240101000060" ` + key, "no time"},
		{`alice valid-after="20240101000000.5" ` + key, "is no time"},
		{`alice valid-after="20240101ZZ" ` + key, "is no time"},
		{`alice valid-after="+2024010" ` + key, "is no time"},
		{`alice valid-after="19700101" ` + key, "1970"},
		{`alice valid-after="" ` + key, "is no time"},
		{"alice valid-after " + key, "is no time"},
		{`alice valid-after="20240102",valid-before="20240101" ` + key, "not later"},
		{`alice valid-after="20240101",valid-before="20240101" ` + key, "not later"},
		{`"alice ` + key, "no end quote"},
		{`"alice",bob ` + key, "behind the end quote"},
		{`"alice"x ` + key, "behind the end quote"},
		{`al"i"ce ` + key, "quote within"},
		{`"" ` + key, "empty pattern"},
		{", " + key, "empty pattern"},
		{"alice, " + key, "empty pattern"},
		{"alice,! " + key, "empty pattern"},
		{"al\x00ice " + key, "cannot be printed"},
		{"\ufeffalice " + key, "cannot be printed"},
		{"al\xffice " + key, "cannot be printed"},
		{"a\rb " + key, "cannot be printed"},
		{strings.Repeat("a", maxPattern) + " " + key, "bytes"},
	} {
		_, err := Parse([]byte("# one\n\n"+c.line+"\n"), nil)
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want %q", c.line, err, c.text)
		}
	}
	for text, want := range map[string]string{
		"":                               "names no signer",
		"# alice\n\n \t\n":               "names no signer",
		strings.Repeat("#", 1<<20) + "#": "bytes",
		"# -----BEGIN OPENSSH PRIVATE KEY-----\n": "private key",
	} {
		if _, err := Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestParse(t *testing.T) {
	alice := newEd25519(t)
	key := authorized(alice.PublicKey())
	for _, line := range []string{
		"alice " + key,
		"alice\t" + key + "  a comment \xff \x01",
		"  alice  " + strings.ReplaceAll(key, " ", "\t") + "\r",
		`alice NameSpaces="file,a\"b c",valid-after="202401010000",VALID-BEFORE="20300101000000Z" ` + key,
		`"alice b,*,!c" ` + key,
	} {
		a, err := Parse([]byte("\n"+line), nil)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if _, err := verify(a, sign(t, alice, NamespaceFile), signature.When{Now: now}); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestKeys(t *testing.T) {
	alice, authority := newEd25519(t), newEd25519(t)
	file := `alice,bob valid-after="20240101Z",valid-before="20250101123059" ` + authorized(alice.PublicKey()) + "\n" +
		"*@example.com cert-authority " + authorized(authority.PublicKey())
	want := []signature.KeyInfo{
		{Fingerprint: ssh.FingerprintSHA256(alice.PublicKey()), Holder: "alice,bob", NotBefore: date(2024, 1, 1), Expires: date(2025, 1, 1).Add(12*3600e9 + 30*60e9 + 59e9)},
		{Fingerprint: ssh.FingerprintSHA256(authority.PublicKey()), Holder: "certificate authority for *@example.com"},
	}
	a := parse(t, file)
	for i, key := range []ssh.PublicKey{alice.PublicKey(), authority.PublicKey()} {
		want[i].Also = namesOf(key)
	}
	if got := a.Keys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got, want := a.String(), "SSH alice,bob, *@example.com"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	a = parse(t, file, "bob")
	if got := a.Keys(); len(got) != 1 || got[0].Holder != "bob" {
		t.Errorf("for bob: %v", got)
	}
	if got, want := a.String(), "SSH bob"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStringIsBounded(t *testing.T) {
	key := " " + authorized(newEd25519(t).PublicKey()) + "\n"
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, "%d%s%s", i, strings.Repeat("ä", 300), key)
	}
	a := parse(t, file.String())
	if got := a.String(); len(got) > 500 || !strings.HasSuffix(got, " and 997 more") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	for _, k := range a.Keys() {
		if len(k.Holder) > 200 {
			t.Fatalf("holder of %d bytes", len(k.Holder))
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		list, text string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"ab", "a", false}, {"?", "a", true}, {"?", "", false}, {"??", "a", false},
		{"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"*c", "abc", true}, {"*b*", "abc", true}, {"a*c", "abcd", false},
		{"*ab", "aab", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"**a?", "bab", true}, {"*a*", "b", false},
		{"a,b", "b", true}, {"!a", "b", false}, {"*,!a", "b", true}, {"*,!a", "a", false}, {"!a,*", "a", false}, {"!!a,*", "!a", false},
		{"[ab]", "a", false}, {`\*`, "*", false}, {"A", "a", false}, {"??", "ä", true},
	} {
		p, err := parsePatterns(c.list)
		if err != nil || p.match(c.text) != c.want {
			t.Errorf("%q with %q: %v, %v", c.list, c.text, !c.want, err)
		}
	}
}
