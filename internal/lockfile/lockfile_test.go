package lockfile

import (
	"errors"
	"strings"
	"testing"
)

var (
	commit = strings.Repeat("a1", 20)
	digest = "sha256:" + strings.Repeat("0f", 32)
)

func TestParse(t *testing.T) {
	good := "https://h/b?ref=v1 " + commit + " " + digest + "\n"
	for doc, want := range map[string]string{
		"":          "",
		good:        "",
		good + good: "",
		good + "https://h/a " + strings.Repeat("0", 64) + " " + digest + "\n": "",
		strings.TrimSuffix(good, "\n"):                                        "line 1 does not end",
		"\n":                                                                  "line 1 is not URL",
		"# comment\n":                                                         "line 1 is not URL",
		"https://h/b  " + commit + " " + digest + "\n":                 "is not URL",
		"https://h/b " + commit + " " + digest + " \n":                 "is not URL",
		"https://h/\x01b " + commit + " " + digest + "\n":              "URL",
		"https://h/é " + commit + " " + digest + "\n":                  "URL",
		" " + commit + " " + digest + "\n":                             "URL",
		"https://h/b " + strings.ToUpper(commit) + " " + digest + "\n": "commit",
		"https://h/b " + commit[:39] + " " + digest + "\n":             "commit",
		"https://h/b " + commit + " " + digest[7:] + "\n":              "digest",
		"https://h/b " + commit + " " + digest + "\r\n":                "digest",
		strings.Repeat("x", maxSize+1):                                 "more than",
	} {
		_, err := Parse([]byte(doc))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60q: %v, want %q", doc, err, want)
		}
	}
	other := "https://h/b?ref=v1 " + strings.Repeat("b", 40) + " " + digest + "\n"
	var contradiction *Contradiction
	if _, err := Parse([]byte(good + other)); !errors.As(err, &contradiction) {
		t.Error(err)
	}
}

func TestFormat(t *testing.T) {
	entries := []Entry{{"https://h/b", commit, digest}, {"https://h/a", commit, digest}, {"https://h/b", commit, digest}}
	data, err := Format(entries)
	if err != nil || string(data) != entries[1].String()+"\n"+entries[0].String()+"\n" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := Format([]Entry{{"https://h/a b", commit, digest}}); err == nil {
		t.Error("a URL with a space was written")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("https://h/b " + commit + " " + digest + "\n")
	f.Fuzz(func(t *testing.T, doc string) {
		file, err := Parse([]byte(doc))
		if err != nil {
			return
		}
		data, err := Format(file.Entries())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil || len(again.entries) != len(file.entries) {
			t.Fatalf("%q: %v", data, err)
		}
	})
}
