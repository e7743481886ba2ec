package strictyaml

import (
	"fmt"
	"strings"
	"testing"
)

type word string

func (w *word) UnmarshalText(text []byte) error {
	if string(text) != "yes" {
		return fmt.Errorf("want yes, not %q", text)
	}
	*w = word(text)
	return nil
}

type inner struct {
	Name string `yaml:"name"`
	N    int    `yaml:"n"`
}

type outer struct {
	Name  string           `yaml:"name"`
	List  []inner          `yaml:"list"`
	Map   map[string]inner `yaml:"map"`
	Ptr   *inner           `yaml:"ptr"`
	Word  word             `yaml:"word"`
	Bool  bool             `yaml:"bool"`
	Plain string
}

func TestDecode(t *testing.T) {
	var v outer
	doc, err := Decode([]byte("name: 007\nlist: [{name: a, n: 1}]\nmap: {k: {n: 2}}\nptr: &p {name: x}\nword: yes\nbool: true\n"), &v)
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "007" || v.List[0].N != 1 || v.Map["k"].N != 2 || v.Ptr.Name != "x" || v.Word != "yes" || !v.Bool {
		t.Errorf("%+v", v)
	}
	if got := doc.Position("list[0].n"); got != (Position{2, 21}) {
		t.Errorf("position %v", got)
	}
	if got := doc.Position("list[0].absent"); got != (Position{2, 8}) {
		t.Errorf("position of what is absent: %v", got)
	}
}

func TestDecodeReports(t *testing.T) {
	for _, tc := range []struct{ doc, want string }{
		{"", "the document is empty"},
		{"name: a\nnmae: b\n", "2:1: nmae: unknown field; known here are name, list, map, ptr, word, bool"},
		{"Plain: a\n", "1:1: Plain: unknown field"},
		{"name: a\nname: b\n", "2:1: name: stands here a second time"},
		{"list: {a: b}\n", "1:7: list: want a list, not a mapping"},
		{"list:\n- n: x\n", "2:6: list[0].n: want int, not \"x\""},
		{"list: [{n: 1.5}]\n", "list[0].n: want int"},
		{"map: [a]\n", "1:6: map: want a mapping, not a list"},
		{"word: no\n", "1:7: word: want yes, not \"no\""},
		{"name:\n", "name: want string, not nothing"},
		{"name: [a]\n", "name: want string, not a list"},
		{"bool: yep\n", "bool: want bool"},
		{"a: b\n---\nc: d\n", "a second document"},
		{"base: &b {name: x}\nptr:\n  <<: *b\n", "a key that is not a name"},
		{"name: 'a\n", "1:"},
		{"name: a\n\tb: c\n", ":"},
	} {
		var v outer
		_, err := Decode([]byte(tc.doc), &v)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.doc, err, tc.want)
		}
	}
	var v outer
	_, err := Decode([]byte("x: 1\ny: 2\nbool: 3\n"), &v)
	if got := len(err.(Problems)); got != 3 {
		t.Errorf("%d problems, want 3: %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("name: a\nlist: [{name: b}]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(_ *testing.T, doc string) {
		var v outer
		_, _ = Decode([]byte(doc), &v)
	})
}
