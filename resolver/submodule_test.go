package resolver

import "testing"

func TestRelativeURL(t *testing.T) {
	for _, tc := range []struct{ super, text, want string }{
		{"https://h/acme/app", "https://other/x", "https://other/x"},
		{"https://h/acme/app.git", "../lib.git", "https://h/acme/lib.git"},
		{"https://h/acme/app/", "../../other/lib", "https://h/other/lib"},
		{"https://h/acme/app", "./sub", "https://h/acme/app/sub"},
		{"https://h/acme/app", ".././../x", "https://h/x"},
		{"https://h/acme/app", "../../../evil/x", ""},
		{"https://h/acme/app", "../../../../evil/x", ""},
		{"git@h:acme/app.git", "../lib.git", "git@h:acme/lib.git"},
		{"git@h:app.git", "../lib.git", "git@h:lib.git"},
		{"ssh://git@h/acme/app", "../lib", "ssh://git@h/acme/lib"},
		{"file:///srv/app", "../lib", "file:///srv/lib"},
	} {
		got, err := relativeURL(tc.super, tc.text)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s + %s: %q, %v", tc.super, tc.text, got, err)
		}
	}
}
