// Command cmpserver is ArgoCD's cmp-server, as the sidecar runs it: it reads
// plugin.yaml from a directory, and listens on NAME.sock in
// ARGOCD_PLUGINSOCKFILEPATH until SIGTERM.
//
//	cmpserver DIRECTORY
package main

import (
	"log"
	"os"

	"github.com/argoproj/argo-cd/v3/cmpserver"
	"github.com/argoproj/argo-cd/v3/cmpserver/plugin"
)

func main() {
	config, err := plugin.ReadPluginConfig(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server, err := cmpserver.NewServer(plugin.CMPServerInitConstants{PluginConfig: *config})
	if err != nil {
		log.Fatal(err)
	}
	server.Run()
}
