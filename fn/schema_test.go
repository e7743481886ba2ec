package fn

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// TestSchema holds the schema's properties against the types' fields.
func TestSchema(t *testing.T) {
	data, err := os.ReadFile("../docs/functions.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct {
			Type  string `json:"type"`
			Ref   string `json:"$ref"`
			Items struct {
				Ref string `json:"$ref"`
			} `json:"items"`
		} `json:"properties"`
		Additional any `json:"additionalProperties"`
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	var hold func(name string, o object, typ reflect.Type)
	hold = func(name string, o object, typ reflect.Type) {
		if len(o.Properties) != typ.NumField() || o.Additional != false {
			t.Errorf("%s: %d properties, and %d fields of %s", name, len(o.Properties), typ.NumField(), typ)
		}
		for i := range typ.NumField() {
			field := typ.Field(i)
			p, ok := o.Properties[field.Tag.Get("yaml")]
			if !ok {
				t.Errorf("%s has no %s", name, field.Tag.Get("yaml"))
				continue
			}
			ref, of := p.Ref, field.Type
			if of.Kind() == reflect.Slice {
				ref, of = p.Items.Ref, of.Elem()
			}
			if of.Kind() == reflect.Struct && ref != "" {
				def := ref[len("#/$defs/"):]
				met[def] = true
				hold(def, schema.Defs[def], of)
			}
		}
	}
	for def, v := range map[string]any{"verifiedBase": VerifiedBase{}, "manifestSigner": ManifestSigner{}, "signatureCheck": SignatureCheck{}} {
		typ := reflect.TypeOf(v)
		hold("the head", schema.object, typ)
		spec, _ := typ.FieldByName("Spec")
		met[def] = true
		hold(def, schema.Defs[def], spec.Type)
	}
	if len(met) != len(schema.Defs) {
		t.Errorf("definitions that no field has: %v of %d", met, len(schema.Defs))
	}
}
