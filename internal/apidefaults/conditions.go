package apidefaults

import "slices"

// conditions are what tables name behind "if". Those that decide how something
// behaves look at what was signed: a change of that is found by itself, but is no
// reason to accept another.
var conditions = map[string]func(at place) bool{
	"nothing else is mounted":       func(at place) bool { return onlyName(get(at.signed, at.around(1)...)) },
	"no priority class is named":    func(at place) bool { return get(at.signed, "spec", "priorityClassName") == nil },
	"the token is not declined":     func(at place) bool { return get(at.signed, "spec", "automountServiceAccountToken") != false },
	"parallelism was left out too":  func(at place) bool { return at.besideSigned("parallelism") == nil },
	"a limit per index is set":      func(at place) bool { return at.besideSigned("backoffLimitPerIndex") != nil },
	"no limit per index is set":     func(at place) bool { return at.besideSigned("backoffLimitPerIndex") == nil },
	"there is a pod failure policy": func(at place) bool { return at.besideSigned("podFailurePolicy") != nil },
	"there is no pod failure policy": func(at place) bool {
		return at.besideSigned("podFailurePolicy") == nil
	},
	"the job has no labels": func(at place) bool {
		labels, _ := get(at.signed, "metadata", "labels").(map[string]any)
		return len(labels) == 0 && get(at.signed, "spec", "manualSelector") != true
	},
	"the selector is generated":           func(at place) bool { return get(at.signed, "spec", "manualSelector") != true },
	"the affinity is by client":           func(at place) bool { return service(at, "sessionAffinity") == "ClientIP" },
	"the service is not an external name": func(at place) bool { return service(at, "type") != "ExternalName" },
	"the service is reached from outside": func(at place) bool {
		ips, _ := service(at, "externalIPs").([]any)
		return hasNodePorts(at) || len(ips) > 0
	},
	"the service is a load balancer": func(at place) bool { return service(at, "type") == "LoadBalancer" },
	"the service has node ports": func(at place) bool {
		return hasNodePorts(at) && !(service(at, "type") == "LoadBalancer" && service(at, "allocateLoadBalancerNodePorts") == false)
	},
	"no toleration is of nodes that are not ready":   func(at place) bool { return !tolerates(at, "node.kubernetes.io/not-ready") },
	"no toleration is of nodes that are unreachable": func(at place) bool { return !tolerates(at, "node.kubernetes.io/unreachable") },
	"the service is headless and selects nothing": func(at place) bool {
		selector, _ := service(at, "selector").(map[string]any)
		return service(at, "clusterIP") == "None" && len(selector) == 0
	},
	"the subject is a user or group": func(at place) bool {
		kind := at.besideSigned("kind")
		return kind == "User" || kind == "Group"
	},
}

func service(at place, field string) any { return get(at.signed, "spec", field) }

func hasNodePorts(at place) bool {
	kind := service(at, "type")
	return kind == "NodePort" || kind == "LoadBalancer"
}

// tolerates reports whether a pod was signed with a toleration of a taint that evicts
// (kubernetes, plugin/pkg/admission/defaulttolerationseconds).
func tolerates(at place, taint string) bool {
	tolerations, _ := get(at.signed, at.around(1)...).([]any)
	return slices.ContainsFunc(tolerations, func(one any) bool {
		key, _ := get(one, "key").(string)
		effect, _ := get(one, "effect").(string)
		return (key == taint || key == "") && (effect == "NoExecute" || effect == "")
	})
}

// onlyName reports whether a volume says nothing but how it is called.
func onlyName(v any) bool {
	volume, ok := v.(map[string]any)
	_, named := volume["name"]
	return ok && named && len(volume) == 1
}
