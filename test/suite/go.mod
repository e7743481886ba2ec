// The suite runs the real program against real servers and peers. They are
// built from ../peers; nothing of theirs enters the project's own module.
module github.com/trustomize/trustomize/test/suite

go 1.26.0

require (
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/tools v0.26.0
)

require golang.org/x/sys v0.26.0 // indirect
