package policy

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// demand is what the checker demands of a struct, as far as a schema can say
// it. TestDemands holds it against the checker.
type demand struct {
	required []string
	one      []string // exactly one of these
	some     []string // at least one of these
	values   map[string]func(*jsonSchema)
}

func (d demand) names() []string { return slices.Concat(d.required, d.one, d.some) }

var demands = map[string]demand{
	"document": {required: []string{"apiVersion", "kind", "spec"}, values: map[string]func(*jsonSchema){
		"apiVersion": func(s *jsonSchema) { s.Type, s.Const = nil, APIVersion },
		"kind":       func(s *jsonSchema) { s.Type, s.Const = nil, Kind },
	}},
	"Spec": {required: []string{"sources", "sign", "log"}, values: map[string]func(*jsonSchema){
		"sources": func(s *jsonSchema) { s.MinItems = 1 },
	}},
	"Signer":         {one: []string{"publicKey", "keyless", "pgp", "ssh"}},
	"KeyRef":         {one: []string{"file", "pem", "kms"}},
	"FileRef":        {required: []string{"file"}},
	"Rule":           {required: []string{"match"}},
	"Pin":            {some: []string{"commit", "digest"}},
	"Mirror":         {required: []string{"prefix", "to"}},
	"Credential":     {required: []string{"prefix"}, one: []string{"basic", "bearer", "helper", "ssh", "registryConfig", "s3", "gcs"}},
	"Basic":          {required: []string{"username", "password"}},
	"Secret":         {one: []string{"file", "env"}},
	"SSHAccess":      {some: []string{"key", "knownHosts"}},
	"RegistryRef":    {required: []string{"file"}},
	"S3Access":       {some: []string{"environment", "accessKeyID"}},
	"GCSAccess":      {required: []string{"environment"}},
	"Sign":           {required: []string{"key"}},
	"SigningKey":     {one: []string{"file", "pem", "kms", "keyless"}},
	"Image":          {required: []string{"repository"}},
	"ManifestSign":   {required: []string{"key"}},
	"ManifestVerify": {required: []string{"keys"}},
	"Application":    {required: []string{"match"}},
	"Log":            {required: []string{"mode"}},
	"Rekor": {required: []string{"url", "version", "publicKey"}, values: map[string]func(*jsonSchema){
		"version": func(s *jsonSchema) { s.Enum = []any{1, 2} },
	}},
}

// schemaTexts is what types with UnmarshalText take as text. Constants need no
// entry.
var schemaTexts = map[string]jsonSchema{
	"Duration": {Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`},
	"Sign":     {Const: "none"},
	"Patterns": {Type: "boolean"},
}

// schemaFile is the schema that editors use.
const schemaFile = "../docs/policy.schema.json"

var updateSchema = flag.Bool("update", false, "write "+schemaFile+" instead of comparing it")

//go:generate go test . -run ^TestSchema$ -update

// TestSchema holds the schema file against the types.
func TestSchema(t *testing.T) {
	want, err := generateSchema(".")
	if err != nil {
		t.Fatal(err)
	}
	if *updateSchema {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the types say; write it again with: make schema", schemaFile)
	}
}

// demanding is a policy with something of everything that demands speak of and
// this version acts on.
const demanding = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {team: {publicKey: {file: team.pub}}}
  sources:
  - {match: github.com/acme/**, signedBy: [team]}
  - {match: github.com/other/base, pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6}]}
  mirrors: [{prefix: github.com/, to: "https://git.example.com/"}]
  credentials:
  - {prefix: a.example/, basic: {username: ci, password: {env: PASSWORD}}}
  - {prefix: b.example/, bearer: {file: token}}
  - {prefix: c.example/, helper: /bin/helper}
  - {prefix: d.example/, ssh: {key: {file: id}}}
  - {prefix: e.example/, ssh: {knownHosts: {file: known}}}
  - {prefix: "oci:f.example/", registryConfig: {file: config.json}}
  - {prefix: g.example/, s3: {environment: true}}
  - {prefix: h.example/, s3: {accessKeyID: {env: ID}, secretAccessKey: {env: KEY}}}
  - {prefix: i.example/, gcs: {environment: true}}
  sign: {key: {file: out.key}, image: {repository: registry.example/manifests}}
  manifestSign: {key: {file: in.key, password: {env: PASSWORD}}}
  manifestVerify: {keys: [{file: out.pub}]}
  applications:
  - {match: {project: web}, overrides: {images: ["nginx=registry.example/**"], namePrefix: true}, emits: [{kind: Service}]}
  log: {mode: required, rekor: [{url: "https://rekor.example.com", version: 1, publicKey: {file: lead.pub}}]}
`

// TestDemands takes away what is demanded, one field at a time: the checker
// must miss each of them, so that the schema refuses nothing that it accepts.
func TestDemands(t *testing.T) {
	if _, err := parseWith(t, demanding); err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(demanding), &root); err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	eachStruct(root.Content[0], reflect.TypeFor[document](), func(n *yaml.Node, name string) {
		met[name] = true
		for i := 0; i < len(n.Content); i += 2 {
			if !slices.Contains(demands[name].names(), n.Content[i].Value) {
				continue
			}
			whole := n.Content
			n.Content = slices.Concat(whole[:i], whole[i+2:])
			doc, err := yaml.Marshal(&root)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseWith(t, string(doc)); err == nil {
				t.Errorf("%s without %s is accepted, and the schema demands it", name, whole[i].Value)
			}
			n.Content = whole
		}
	})
	for name := range demands {
		if !met[name] {
			t.Errorf("no %s in the policy", name)
		}
	}
}

// eachStruct calls f for each mapping that is decoded into a struct.
func eachStruct(n *yaml.Node, t reflect.Type, f func(n *yaml.Node, name string)) {
	switch {
	case t.Kind() == reflect.Pointer:
		eachStruct(n, t.Elem(), f)
	case t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			eachStruct(item, t.Elem(), f)
		}
	case t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			eachStruct(n.Content[i], t.Elem(), f)
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		f(n, t.Name())
		for i := 0; i < len(n.Content); i += 2 {
			for j := range t.NumField() {
				if t.Field(j).Tag.Get("yaml") == n.Content[i].Value {
					eachStruct(n.Content[i+1], t.Field(j).Type, f)
				}
			}
		}
	}
}

// TestSchemaDescribes expects comments and constants of the source.
func TestSchemaDescribes(t *testing.T) {
	data, err := generateSchema(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"description": "Rule says what must hold`, `"description": "40 or 64 hexadecimal digits"`,
		"\"enum\": [\n            \"tree\",\n            \"reached\"\n          ]", `"const": "none"`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s", want)
		}
	}
	if _, err := generateSchema("no-such-dir"); err == nil {
		t.Error("without source there are no constants, and nobody said so")
	}
}
