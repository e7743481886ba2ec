package apidefaults

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// place is where a row is tried.
type place struct {
	signed, live map[string]any
	path         []any
	value        any // as it is live
	was          any // as it was signed, where it was
}

// get follows a path.
func get(o any, path ...any) any {
	for _, part := range path {
		switch p := part.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[p]
		case int:
			l, _ := o.([]any)
			if p < 0 || p >= len(l) {
				return nil
			}
			o = l[p]
		}
	}
	return o
}

// beside is the live value next to this one. What stands beside was signed, or is
// held against the table itself.
func (at place) beside(name string) any { return get(at.live, at.around(1, name)...) }

// besideSigned is the same of the signed object.
func (at place) besideSigned(name string) any { return get(at.signed, at.around(1, name)...) }

// around is the path that leads up some steps and down again.
func (at place) around(up int, down ...any) []any {
	return append(slices.Clone(at.path[:max(0, len(at.path)-up)]), down...)
}

// function is a value that follows from others, or is of somebody's choice.
type function struct {
	is  func(at place) bool
	why string // also what the documentation says of it
}

// functions are the values that tables name with @.
var functions map[string]function

func init() {
	functions = map[string]function{
		"account":           {isAccount, "the service account's other name; a pod's is default where none is named"},
		"pull policy":       {isPullPolicy, "Always for the tag latest or no tag, IfNotPresent for any other and for a digest"},
		"container port":    {isContainerPort, "the container's port, with the host's network"},
		"limit":             {isLimit, "the container's limit"},
		"priority":          {isPriority, "the value of the priority class that is named"},
		"node":              {isNode, "the node that the scheduler chose"},
		"token volume":      {isTokenVolume, "the volume with the service account's token"},
		"token mount":       {isTokenMount, "the mount of the volume with the service account's token"},
		"template labels":   {isTemplateLabels, "the pod template's labels"},
		"template label":    {isTemplateLabel, "the pod template's label"},
		"uid":               {isUID, "the object's own uid"},
		"some uid":          {isSomeUID, "the uid of the object of that name"},
		"version":           {isVersion, "the version of the object of that name"},
		"name":              {isName, "the object's own name"},
		"families":          {isFamilies, "the families of the service's addresses"},
		"cluster address":   {isClusterAddress, "an address that the API server allocated"},
		"cluster addresses": {isClusterAddresses, "the addresses that the API server allocated, beginning with clusterIP"},
		"port":              {isPort, "a port that the API server allocated"},
		"service port":      {isServicePort, "the service's port"},
		"policy types":      {isPolicyTypes, "Ingress, and Egress where there are rules for it"},
		"own volume":        {isOwnVolume, "the volume that was made for this claim: pvc- and its uid"},
		"provisioner":       {isProvisioner, "the driver that made the claim's own volume"},
		"string data":       {isStringData, "what stringData holds, in base64"},
		"most":              {isMost, "the container's max"},
		"least":             {isLeast, "the container's default, or else its min"},
		"list kind":         {isListKind, "the kind with List behind"},
		"singular":          {isSingular, "the kind in lower case"},
	}
}

func isAccount(at place) bool {
	other := map[any]string{"serviceAccount": "serviceAccountName", "serviceAccountName": "serviceAccount"}[last(at.path)]
	want, named := at.besideSigned(other).(string)
	if !named && kindOf(at.signed) == "v1/Pod" {
		want, named = "default", true
	}
	return named && at.value == want
}

func isPullPolicy(at place) bool {
	image, ok := at.beside("image").(string)
	if !ok {
		image, ok = at.beside("reference").(string)
	}
	want := "IfNotPresent"
	if tag(image) == "latest" {
		want = "Always"
	}
	return ok && image != "" && at.value == want
}

// tag is an image's tag, latest where it has neither tag nor digest.
func tag(image string) string {
	name, _, digest := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if !tagged && !digest {
		return "latest"
	}
	return tag
}

func isContainerPort(at place) bool {
	// spec is four steps above: containers, its index, ports, its index, hostPort.
	host := get(at.live, at.around(5, "hostNetwork")...)
	return host == true && at.value != nil && reflect.DeepEqual(at.value, at.beside("containerPort"))
}

func isLimit(at place) bool {
	limit := get(at.live, at.around(2, "limits", last(at.path))...)
	return limit != nil && reflect.DeepEqual(at.value, limit)
}

func isPriority(at place) bool {
	class, _ := get(at.signed, "spec", "priorityClassName").(string)
	system := map[string]json.Number{"system-cluster-critical": "2000000000", "system-node-critical": "2000001000"}
	if n, ok := system[class]; ok {
		return at.value == n
	}
	_, whole := integer(at.value)
	return class != "" && whole
}

func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil
}

// dnsName is a name of a node or a driver.
var dnsName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9./-]{0,250}[A-Za-z0-9])?$`)

func isNode(at place) bool {
	name, ok := at.value.(string)
	return ok && dnsName.MatchString(name)
}

func isProvisioner(at place) bool {
	volume, bound := get(at.live, "spec", "volumeName").(string)
	return isNode(at) && bound && volume == "pvc-"+uid(at.live)
}

func isOwnVolume(at place) bool { return uid(at.live) != "" && at.value == "pvc-"+uid(at.live) }

func uid(o map[string]any) string {
	uid, _ := get(o, "metadata", "uid").(string)
	return uid
}

func isUID(at place) bool { return uid(at.live) != "" && at.value == uid(at.live) }

// someUID is a uid as Kubernetes makes them: RFC 9562's.
var someUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func isSomeUID(at place) bool {
	uid, ok := at.value.(string)
	return ok && someUID.MatchString(uid)
}

// version is a resourceVersion.
var version = regexp.MustCompile(`^[0-9]{1,20}$`)

func isVersion(at place) bool {
	v, ok := at.value.(string)
	return ok && version.MatchString(v)
}

func isName(at place) bool {
	name, ok := get(at.live, "metadata", "name").(string)
	return ok && at.value == name
}

// tokenName is how admission calls the volume of the service account's token
// (plugin/pkg/admission/serviceaccount).
var tokenName = regexp.MustCompile(`^kube-api-access-[a-z0-9]{5}$`)

func isTokenVolume(at place) bool {
	volume, ok := at.value.(map[string]any)
	name, _ := volume["name"].(string)
	return ok && tokenName.MatchString(name) && len(volume) == 2 && reflect.DeepEqual(volume["projected"], map[string]any{
		"defaultMode": json.Number("420"),
		"sources": []any{
			map[string]any{"serviceAccountToken": map[string]any{"expirationSeconds": json.Number("3607"), "path": "token"}},
			map[string]any{"configMap": map[string]any{"name": "kube-root-ca.crt", "items": []any{map[string]any{"key": "ca.crt", "path": "ca.crt"}}}},
			map[string]any{"downwardAPI": map[string]any{"items": []any{
				map[string]any{"path": "namespace", "fieldRef": map[string]any{"apiVersion": "v1", "fieldPath": "metadata.namespace"}}}}},
		},
	})
}

func isTokenMount(at place) bool {
	mount, ok := at.value.(map[string]any)
	name, _ := mount["name"].(string)
	return ok && len(mount) == 3 && tokenName.MatchString(name) && mount["readOnly"] == true &&
		mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
}

func isTemplateLabels(at place) bool {
	labels, ok := get(at.signed, "spec", "template", "metadata", "labels").(map[string]any)
	return ok && len(labels) > 0 && reflect.DeepEqual(at.value, any(labels))
}

func isTemplateLabel(at place) bool {
	label, ok := get(at.signed, "spec", "template", "metadata", "labels", last(at.path)).(string)
	return ok && at.value == label
}

// isStringData reports whether data holds what stringData gives, for one name or
// for all of them.
func isStringData(at place) bool {
	given, _ := at.signed["stringData"].(map[string]any)
	data, _ := at.live["data"].(map[string]any)
	if len(at.path) > 1 {
		name, _ := last(at.path).(string)
		text, ok := given[name].(string)
		return ok && at.value == base64.StdEncoding.EncodeToString([]byte(text))
	}
	for name, v := range given {
		text, ok := v.(string)
		if !ok || data[name] != base64.StdEncoding.EncodeToString([]byte(text)) {
			return false
		}
	}
	return true
}

func isMost(at place) bool {
	limit := get(at.live, at.around(2, "max", last(at.path))...)
	return get(at.live, at.around(2, "type")...) == "Container" && limit != nil && reflect.DeepEqual(at.value, limit)
}

func isLeast(at place) bool {
	want := get(at.live, at.around(2, "default", last(at.path))...)
	if want == nil {
		want = get(at.live, at.around(2, "min", last(at.path))...)
	}
	return get(at.live, at.around(2, "type")...) == "Container" && want != nil && reflect.DeepEqual(at.value, want)
}

func isListKind(at place) bool {
	kind, ok := at.beside("kind").(string)
	return ok && at.value == kind+"List"
}

func isSingular(at place) bool {
	kind, ok := at.beside("kind").(string)
	return ok && at.value == strings.ToLower(kind)
}
