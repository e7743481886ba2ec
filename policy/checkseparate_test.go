package policy

import "testing"

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
