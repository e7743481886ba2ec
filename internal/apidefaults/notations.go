package apidefaults

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// notations are ways of writing the same value.
var notations = map[string]func(at place) bool{
	"quantity": func(at place) bool { return sameQuantity(at.was, at.value) },
	"base64":   func(at place) bool { return sameBase64(at.was, at.value) },
	"time":     func(at place) bool { return sameTime(at.was, at.value) },
}

// quantity is what apimachinery's pkg/api/resource reads: a decimal number and a
// suffix or an exponent.
var quantity = regexp.MustCompile(`^([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$`)

var (
	decimal = map[string]int64{"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
	binary  = map[string]uint{"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
)

func sameQuantity(a, b any) bool {
	x, okX := amount(a)
	y, okY := amount(b)
	return okX && okY && x.Cmp(y) == 0
}

// amount is a quantity's exact value; manifests may write it as a number.
func amount(v any) (*big.Rat, bool) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = string(v)
	default:
		return nil, false
	}
	parts := quantity.FindStringSubmatch(text)
	if parts == nil {
		return nil, false
	}
	n, ok := new(big.Rat).SetString(parts[1])
	if !ok {
		return nil, false
	}
	if shift, ok := binary[parts[2]]; ok {
		return n.Mul(n, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), shift))), true
	}
	power, ok := decimal[parts[2]]
	if !ok {
		var err error
		if power, err = strconv.ParseInt(parts[2][1:], 10, 8); err != nil {
			return nil, false
		}
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(power, -power)), nil))
	if power < 0 {
		scale.Inv(scale)
	}
	return n.Mul(n, scale), true
}

// sameBase64 ignores the line breaks that base64 may have.
func sameBase64(a, b any) bool {
	x, okX := a.(string)
	y, okY := b.(string)
	if !okX || !okY {
		return false
	}
	one, err := base64.StdEncoding.DecodeString(x)
	other, errOther := base64.StdEncoding.DecodeString(y)
	return err == nil && errOther == nil && string(one) == string(other)
}

func sameTime(a, b any) bool {
	x, okX := a.(string)
	y, okY := b.(string)
	if !okX || !okY || strings.ContainsAny(x+y, ",") {
		return false
	}
	one, err := time.Parse(time.RFC3339Nano, x)
	other, errOther := time.Parse(time.RFC3339Nano, y)
	return err == nil && errOther == nil && one.Equal(other)
}
