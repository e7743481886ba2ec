package apidefaults

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// read decodes YAML as the verifier does.
func read(t testing.TB, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// at makes a path of keys and indices out of words.
func at(words ...any) []any { return words }

// change is the difference at one path.
func change(signed, live map[string]any, path []any) Change {
	c := Change{Path: path}
	c.Signed, c.InSigned = reach(signed, path)
	c.Live, c.InLive = reach(live, path)
	return c
}

func reach(o any, path []any) (any, bool) {
	for _, part := range path {
		switch p := part.(type) {
		case string:
			m, _ := o.(map[string]any)
			v, ok := m[p]
			if !ok {
				return nil, false
			}
			o = v
		case int:
			l, _ := o.([]any)
			if p >= len(l) {
				return nil, false
			}
			o = l[p]
		}
	}
	return o, true
}

const pod = "apiVersion: v1\nkind: Pod\n"

func TestExplain(t *testing.T) {
	const token = `{name: kube-api-access-abcde, projected: {defaultMode: 420, sources: [
  {serviceAccountToken: {expirationSeconds: 3607, path: token}},
  {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}},
  {downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}}]}}`
	const mount = `{name: kube-api-access-abcde, readOnly: true, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}`
	const uid = "11111111-2222-3333-4444-555555555555"
	const claim = "apiVersion: v1\nkind: PersistentVolumeClaim\n"
	const service = "apiVersion: v1\nkind: Service\n"
	const deployment = "apiVersion: apps/v1\nkind: Deployment\n"
	const notReady = "{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}"
	for name, test := range map[string]struct {
		signed, live string
		path         []any
		want         bool
	}{
		"token volume":           {pod + "spec: {}", pod + "spec: {volumes: [" + token + "]}", at("spec", "volumes"), true},
		"token volume, another":  {pod + "spec: {volumes: [{name: a}]}", pod + "spec: {volumes: [{name: a}, " + token + "]}", at("spec", "volumes", 1), true},
		"token declined":         {pod + "spec: {automountServiceAccountToken: false}", pod + "spec: {volumes: [" + token + "]}", at("spec", "volumes"), false},
		"token for longer":       {pod + "spec: {}", pod + "spec: {volumes: [" + strings.Replace(token, "3607", "36070", 1) + "]}", at("spec", "volumes"), false},
		"token with more":        {pod + "spec: {}", pod + "spec: {volumes: [" + token + ", {name: b, hostPath: {path: /}}]}", at("spec", "volumes"), false},
		"token of a Deployment":  {"apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {}}}", "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {volumes: [" + token + "]}}}", at("spec", "template", "spec", "volumes"), false},
		"token mount":            {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{volumeMounts: [" + mount + "]}]}", at("spec", "containers", 0, "volumeMounts"), true},
		"token mount elsewhere":  {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{volumeMounts: [" + strings.Replace(mount, "/var", "/x/var", 1) + "]}]}", at("spec", "containers", 0, "volumeMounts"), false},
		"node":                   {pod + "spec: {}", pod + "spec: {nodeName: node-1}", at("spec", "nodeName"), true},
		"node, another":          {pod + "spec: {nodeName: a}", pod + "spec: {nodeName: b}", at("spec", "nodeName"), false},
		"account of a pod":       {pod + "spec: {}", pod + "spec: {serviceAccountName: default, serviceAccount: default}", at("spec", "serviceAccountName"), true},
		"accounts made up":       {pod + "spec: {}", pod + "spec: {serviceAccountName: root, serviceAccount: root}", at("spec", "serviceAccountName"), false},
		"priority of a class":    {pod + "spec: {priorityClassName: high}", pod + "spec: {priorityClassName: high, priority: 1000}", at("spec", "priority"), true},
		"priority of the system": {pod + "spec: {priorityClassName: system-node-critical}", pod + "spec: {priorityClassName: system-node-critical, priority: 1}", at("spec", "priority"), false},
		"own volume":             {claim + "spec: {}", claim + "metadata: {uid: " + uid + "}\nspec: {volumeName: pvc-" + uid + "}", at("spec", "volumeName"), true},
		"another volume":         {claim + "spec: {}", claim + "metadata: {uid: " + uid + "}\nspec: {volumeName: pvc-1}", at("spec", "volumeName"), false},
		"no uid":                 {claim + "spec: {}", claim + "metadata: {}\nspec: {volumeName: pvc-}", at("spec", "volumeName"), false},
		"provisioner": {claim + "metadata: {annotations: {a: b}}", claim + "metadata: {uid: " + uid + ", annotations: {volume.kubernetes.io/storage-provisioner: ebs.csi.aws.com}}\nspec: {volumeName: pvc-" + uid + "}",
			at("metadata", "annotations", "volume.kubernetes.io/storage-provisioner"), true},
		"provisioner unbound": {claim + "metadata: {annotations: {a: b}}", claim + "metadata: {uid: " + uid + ", annotations: {volume.kubernetes.io/storage-provisioner: ebs.csi.aws.com}}\nspec: {volumeName: x}",
			at("metadata", "annotations", "volume.kubernetes.io/storage-provisioner"), false},
		"image without tag":     {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{image: 'a:5000/b', imagePullPolicy: Always}]}", at("spec", "containers", 0, "imagePullPolicy"), true},
		"image with digest":     {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{image: 'a/b@sha256:00', imagePullPolicy: IfNotPresent}]}", at("spec", "containers", 0, "imagePullPolicy"), true},
		"latest with digest":    {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{image: 'a/b:latest@sha256:00', imagePullPolicy: IfNotPresent}]}", at("spec", "containers", 0, "imagePullPolicy"), false},
		"no image":              {pod + "spec: {containers: [{}]}", pod + "spec: {containers: [{imagePullPolicy: IfNotPresent}]}", at("spec", "containers", 0, "imagePullPolicy"), false},
		"address":               {service + "spec: {}", service + "spec: {clusterIP: 10.0.0.7}", at("spec", "clusterIP"), true},
		"address of six":        {service + "spec: {}", service + "spec: {clusterIP: 'fd00::7'}", at("spec", "clusterIP"), true},
		"headless":              {service + "spec: {}", service + "spec: {clusterIP: None}", at("spec", "clusterIP"), false},
		"loopback":              {service + "spec: {}", service + "spec: {clusterIP: 127.0.0.1}", at("spec", "clusterIP"), false},
		"load balancer's end":   {service + "spec: {type: LoadBalancer}", service + "metadata: {finalizers: [service.kubernetes.io/load-balancer-cleanup]}\nspec: {type: LoadBalancer}", at("metadata", "finalizers"), true},
		"no load balancer":      {service + "spec: {}", service + "metadata: {finalizers: [service.kubernetes.io/load-balancer-cleanup]}", at("metadata", "finalizers"), false},
		"a null":                {pod + "spec: {affinity: null}", pod + "spec: {}", at("spec", "affinity"), true},
		"a null with a default": {pod + "spec: {dnsPolicy: null}", pod + "spec: {dnsPolicy: ClusterFirst}", at("spec", "dnsPolicy"), true},
		"a null that became":    {pod + "spec: {hostNetwork: null}", pod + "spec: {hostNetwork: true}", at("spec", "hostNetwork"), false},
		"a null label":          {deployment + "spec: {selector: {matchLabels: {role: null}}}", deployment + "spec: {selector: {matchLabels: {}}}", at("spec", "selector", "matchLabels", "role"), false},
		"a null in a selector":  {service + "spec: {selector: {role: null}}", service + "spec: {selector: {}}", at("spec", "selector", "role"), false},
		"a selector's null":     {deployment + "spec: {selector: {matchExpressions: null}}", deployment + "spec: {selector: {}}", at("spec", "selector", "matchExpressions"), true},
		"a null selector":       {service + "spec: {selector: null}", service + "spec: {}", at("spec", "selector"), true},
		"no node port":          {service + "spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}", service + "spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80, nodePort: 30080}]}", at("spec", "ports", 0, "nodePort"), false},
		"a toleration":          {pod + "spec: {tolerations: [{key: a}]}", pod + "spec: {tolerations: [{key: a}, " + notReady + "]}", at("spec", "tolerations", 1), true},
		"tolerated for ever":    {pod + "spec: {tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists}]}", pod + "spec: {tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists}, " + notReady + "]}", at("spec", "tolerations", 1), false},
		"all is tolerated":      {pod + "spec: {tolerations: [{operator: Exists}]}", pod + "spec: {tolerations: [{operator: Exists}, " + notReady + "]}", at("spec", "tolerations", 1), false},
		"a null in a list":      {pod + "spec: {containers: [null]}", pod + "spec: {containers: []}", at("spec", "containers", 0), false},
		"a custom resource":     {"apiVersion: example.com/v1\nkind: Pod\nspec: {a: null}", "apiVersion: example.com/v1\nkind: Pod\nspec: {}", at("spec", "a"), false},
		"another kind":          {pod + "spec: {}", "apiVersion: v1\nkind: Service\nspec: {type: ClusterIP}", at("spec", "type"), false},
		"an empty list":         {pod + "spec: {tolerations: []}", pod + "spec: {}", at("spec", "tolerations"), true},
		"no empty list":         {pod + "spec: {tolerations: [{}]}", pod + "spec: {}", at("spec", "tolerations"), false},
		"false that means":      {pod + "spec: {automountServiceAccountToken: false}", pod + "spec: {}", at("spec", "automountServiceAccountToken"), false},
		"empty that means":      {claim + "spec: {storageClassName: ''}", claim + "spec: {}", at("spec", "storageClassName"), false},
		"string data":           {"apiVersion: v1\nkind: Secret\nstringData: {a: b}", "apiVersion: v1\nkind: Secret\ndata: {a: Yg==}", at("data"), true},
		"string data, more":     {"apiVersion: v1\nkind: Secret\nstringData: {a: b}", "apiVersion: v1\nkind: Secret\ndata: {a: Yg==, c: Yg==}", at("data"), false},
		"string data dropped":   {"apiVersion: v1\nkind: Secret\nstringData: {a: b}", "apiVersion: v1\nkind: Secret\ndata: {a: Yg==}", at("stringData"), true},
		"string data, lost":     {"apiVersion: v1\nkind: Secret\nstringData: {a: b, c: d}", "apiVersion: v1\nkind: Secret\ndata: {a: Yg==}", at("stringData"), false},
		"string data, a name":   {"apiVersion: v1\nkind: Secret\nstringData: {a: b}\ndata: {}", "apiVersion: v1\nkind: Secret\ndata: {a: Yg==, stringData: ZXZpbA==}", at("data", "stringData"), false},
		"bound":                 {"apiVersion: v1\nkind: PersistentVolume\nspec: {claimRef: {name: a, namespace: b}}", "apiVersion: v1\nkind: PersistentVolume\nspec: {claimRef: {name: a, namespace: b, uid: " + uid + "}}", at("spec", "claimRef", "uid"), true},
		"bound to anything":     {"apiVersion: v1\nkind: PersistentVolume\nspec: {}", "apiVersion: v1\nkind: PersistentVolume\nspec: {claimRef: {uid: " + uid + "}}", at("spec", "claimRef"), false},
		"labels of a job":       {"apiVersion: batch/v1\nkind: Job\nmetadata: {labels: {a: b}}\nspec: {template: {metadata: {labels: {c: d}}}}", "apiVersion: batch/v1\nkind: Job\nmetadata: {labels: {a: b, c: d}}", at("metadata", "labels", "c"), false},
	} {
		signed, live := read(t, test.signed), read(t, test.live)
		c := change(signed, live, test.path)
		if !c.InSigned && !c.InLive {
			t.Errorf("%s: there is nothing at %v", name, test.path)
		}
		if why, ok := Explain(signed, live, c); ok != test.want {
			t.Errorf("%s: explained %v (%s)", name, ok, why)
		}
	}
}

// TestAllocated: only what is chosen counts, and no default.
func TestAllocated(t *testing.T) {
	signed, live := read(t, pod+"spec: {}"), read(t, pod+"spec: {nodeName: a, dnsPolicy: ClusterFirst}")
	if _, ok := Allocated(signed, live, change(signed, live, at("spec", "nodeName"))); !ok {
		t.Error("the scheduler's choice is not one")
	}
	if _, ok := Allocated(signed, live, change(signed, live, at("spec", "dnsPolicy"))); ok {
		t.Error("a default is somebody's choice")
	}
}

func TestQuantities(t *testing.T) {
	for _, test := range []struct {
		a, b any
		want bool
	}{
		{"0.5", "500m", true}, {"1024Mi", "1Gi", true}, {"1e3", "1k", true}, {json.Number("2"), "2", true}, {"1E", "1e18", true}, {".5", "0.5", true},
		{"250000u", "250m", true}, {"1M", "1Mi", false}, {"1", "1m", false}, {"", "0", false}, {"1e", "1", false}, {"0x1", "1", false},
		{"1e99", "1e99", true}, {"1e999999999", "1e999999999", false}, {"1/2", "500m", false}, {true, true, false}, {"NaN", "NaN", false}, {" 1", "1", false},
	} {
		if got := sameQuantity(test.a, test.b); got != test.want {
			t.Errorf("%v and %v: %v", test.a, test.b, got)
		}
	}
}

func TestNotations(t *testing.T) {
	if !sameBase64("QUJD\nREVG\n", "QUJDREVG") || sameBase64("QUJD", "QUJE") || sameBase64("!", "!") {
		t.Error("base64")
	}
	if !sameTime("2026-01-02T03:04:05.600000+00:00", "2026-01-02T03:04:05.600000Z") || sameTime("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z") || sameTime("x", "x") {
		t.Error("times")
	}
}

// FuzzExplain: whatever the objects are, an answer comes, and a change of a text
// into another is never one that the server makes to a command.
func FuzzExplain(f *testing.F) {
	f.Add(pod+"spec: {containers: [{command: [a]}]}", pod+"spec: {containers: [{command: [b]}]}", "spec/containers/0/command")
	f.Add(pod+"spec: {}", pod+"spec: {volumes: [{}]}", "spec/volumes")
	f.Add("apiVersion: v1\nkind: Service\nspec: {}", "apiVersion: v1\nkind: Service\nspec: {clusterIPs: [1]}", "spec/clusterIPs")
	f.Fuzz(func(t *testing.T, a, b, path string) {
		var signed, live map[string]any
		if yaml.Unmarshal([]byte(a), &signed) != nil || yaml.Unmarshal([]byte(b), &live) != nil {
			return
		}
		var parts []any
		for _, part := range strings.Split(path, "/") {
			if len(part) == 1 && part[0] >= '0' && part[0] <= '9' {
				parts = append(parts, int(part[0]-'0'))
				continue
			}
			parts = append(parts, part)
		}
		c := change(signed, live, parts)
		if _, ok := Explain(signed, live, c); ok && last(parts) == "command" && c.InLive {
			t.Errorf("%v is explained", c)
		}
	})
}
