package fn

import (
	"slices"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
)

// annotationLocal marks what orchestrators leave out of their output (the
// Configuration Functions Specification, config.kubernetes.io/local-config).
const annotationLocal = "config.kubernetes.io/local-config"

// legacyPath and legacyIndex are what orchestrators before kustomize 4.3 call
// [kioutil.PathAnnotation] and [kioutil.IndexAnnotation].
const (
	legacyPath  = "config.kubernetes.io/path"
	legacyIndex = "config.kubernetes.io/index"
)

// annotationID is how kustomize finds the resource again that a function returns
// (kustomize, api/internal/plugins/utils).
const annotationID = "kustomize.config.k8s.io/id"

// bookkeeping are the annotations in which orchestrators keep files, ids and layout
// (kyaml, kio/kioutil; kpt, pkg/kptfile and internal/util/attribution). None is part of
// the resource. What else begins like them is: it reaches the cluster.
var bookkeeping = map[string]bool{
	legacyPath: true, legacyIndex: true, annotationID: true, "config.k8s.io/id": true,
	kioutil.PathAnnotation: true, kioutil.IndexAnnotation: true, kioutil.SeqIndentAnnotation: true, kioutil.IdAnnotation: true,
	kioutil.InternalAnnotationsMigrationResourceIDAnnotation: true,
	"internal.config.kubernetes.io/package-path":             true,
	"internal.kpt.dev/resource-id":                           true,
	"internal.kpt.dev/upstream-identifier":                   true,
}

// internal reports whether an annotation is an orchestrator's own: kustomize removes
// its own at the end.
func internal(annotation string) bool {
	return bookkeeping[annotation] || slices.Contains(resource.BuildAnnotations, annotation)
}

// generatorOptions are what kustomize takes from what a generator emits, and then
// removes (kustomize, api/internal/plugins/utils.UpdateResourceOptions): whether a
// resource takes the place of another, and whether it is renamed.
var generatorOptions = []string{"kustomize.config.k8s.io/behavior", "kustomize.config.k8s.io/needs-hash"}
