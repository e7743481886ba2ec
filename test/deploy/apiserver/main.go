// The API server of Kubernetes with a store of its own, in one process: what
// the manifests of deploy/ are held against. The first argument is an empty
// directory for the store; the others are kube-apiserver's. Nothing outlives
// the process but that directory.
package main

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "want a directory, then the arguments of kube-apiserver")
		os.Exit(1)
	}
	store, err := start(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
	os.Args = append([]string{"kube-apiserver", "--etcd-servers=" + store}, os.Args[2:]...)
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}

// start runs etcd on a port that the system chooses, and returns its URL.
func start(dir string) (string, error) {
	c := embed.NewConfig()
	c.Dir = dir
	c.LogLevel = "error"
	c.UnsafeNoFsync = true // what a test writes need not survive the machine
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c.ListenClientUrls = []url.URL{loopback}
	c.ListenPeerUrls = []url.URL{loopback}
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return "", err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return "http://" + etcd.Clients[0].Addr().String(), nil
	case err := <-etcd.Err():
		return "", err
	case <-time.After(time.Minute):
		return "", fmt.Errorf("not ready after a minute")
	}
}
