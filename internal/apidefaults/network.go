package apidefaults

import (
	"net/netip"
	"reflect"
)

func address(v any) (netip.Addr, bool) {
	s, _ := v.(string)
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

func isClusterAddress(at place) bool {
	_, ok := address(at.value)
	return ok && at.beside("type") != "ExternalName"
}

func isClusterAddresses(at place) bool {
	list, ok := at.value.([]any)
	if !ok || len(list) == 0 || len(list) > 2 || list[0] != at.beside("clusterIP") {
		return false
	}
	if list[0] == "None" {
		return len(list) == 1 && at.besideSigned("clusterIP") == "None"
	}
	for _, one := range list {
		if _, ok := address(one); !ok {
			return false
		}
	}
	return true
}

func isFamilies(at place) bool {
	list, _ := at.value.([]any)
	addresses, _ := at.beside("clusterIPs").([]any)
	if len(addresses) == 1 && addresses[0] == "None" {
		return len(list) == 1 && (list[0] == "IPv4" || list[0] == "IPv6")
	}
	if len(list) == 0 || len(list) != len(addresses) {
		return false
	}
	for i, one := range addresses {
		a, ok := address(one)
		want := "IPv6"
		if a.Is4() {
			want = "IPv4"
		}
		if !ok || list[i] != want {
			return false
		}
	}
	return true
}

func isPort(at place) bool {
	n, ok := integer(at.value)
	return ok && n > 0 && n < 1<<16
}

func isServicePort(at place) bool {
	return at.value != nil && reflect.DeepEqual(at.value, at.beside("port"))
}

func isPolicyTypes(at place) bool {
	want := []any{"Ingress"}
	if egress, ok := at.besideSigned("egress").([]any); ok && len(egress) > 0 {
		want = append(want, "Egress")
	}
	return reflect.DeepEqual(at.value, any(want))
}
