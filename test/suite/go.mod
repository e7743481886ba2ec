// The suite runs the real program against real servers and peers. They are
// built from ../peers; nothing of theirs enters the project's own module.
module github.com/trustomize/trustomize/test/suite

go 1.26.0

require (
	github.com/johannesboyne/gofakes3 v1.2.0 // an S3 server
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/tools v0.26.0
)

require (
	github.com/ryszard/goskiplist v0.0.0-20150312221310-2dfbae5fcf46 // indirect
	go.shabbyrobe.org/gocovmerge v0.0.0-20230507111327-fa4f82cfbf4d // indirect
	golang.org/x/sys v0.26.0 // indirect
)
