// This file is here so that a function without a body, linked to kustomize's
// parser, compiles.
