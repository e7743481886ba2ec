// Holds the policy's schema against a validator of JSON Schema and against every
// policy in the repository; neither enters the project's own module.
module github.com/trustomize/trustomize/test/schema

go 1.26.0

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	go.yaml.in/yaml/v3 v3.0.5
	golang.org/x/tools v0.26.0
)

require golang.org/x/text v0.14.0 // indirect
