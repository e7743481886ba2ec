// Command ctlog is a certificate transparency log (RFC 6962) in one process:
// Google's personality, ctfe, over a Trillian that keeps its trees in memory.
package main

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/certificate-transparency-go/trillian/ctfe"
	"github.com/google/certificate-transparency-go/trillian/ctfe/configpb"
	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/crypto/keys"
	"github.com/google/trillian/crypto/keys/der"
	"github.com/google/trillian/crypto/keyspb"
	"github.com/google/trillian/extension"
	trillianlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

func main() {
	port := flag.String("port", "", "port on 127.0.0.1")
	prefix := flag.String("prefix", "test", "first segment of the log's paths")
	roots := flag.String("roots", "", "file of the certificate authorities whose certificates are logged, PEM")
	key := flag.String("key", "", "file of the log's private key, PKCS #8 in PEM")
	flag.Parse()
	ctx := context.Background()
	conn, err := startTrillian(ctx)
	if err != nil {
		log.Fatal(err)
	}
	handlers, err := startLog(ctx, conn, *prefix, *roots, *key)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, handler := range handlers {
		mux.Handle(path, handler)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+*port, mux))
}

// startTrillian runs a log server and what integrates its entries.
func startTrillian(ctx context.Context) (*grpc.ClientConn, error) {
	trees := memory.NewTreeStorage()
	registry := extension.Registry{
		AdminStorage: memory.NewAdminStorage(trees),
		LogStorage:   memory.NewLogStorage(trees, monitoring.InertMetricFactory{}),
		QuotaManager: quota.Noop(),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(interceptor.ErrorWrapper))
	trillian.RegisterTrillianAdminServer(s, admin.New(registry, nil))
	trillian.RegisterTrillianLogServer(s, server.NewTrillianLogRPCServer(registry, clock.System))
	go func() { log.Fatal(s.Serve(listener)) }()
	sequencer := trillianlog.NewOperationManager(trillianlog.OperationInfo{
		Registry: registry, BatchSize: 50, NumWorkers: 1, RunInterval: 100 * time.Millisecond, TimeSource: clock.System,
	}, trillianlog.NewSequencerManager(registry, 0))
	go sequencer.OperationLoop(ctx)
	return grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// startLog makes a tree for the log and returns the log's handlers by path.
func startLog(ctx context.Context, conn *grpc.ClientConn, prefix, roots, key string) (ctfe.PathHandlers, error) {
	private, err := readKey(key)
	if err != nil {
		return nil, err
	}
	tree, err := client.CreateAndInitTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState: trillian.TreeState_ACTIVE, TreeType: trillian.TreeType_LOG, MaxRootDuration: durationpb.New(0),
	}}, trillian.NewTrillianAdminClient(conn), trillian.NewTrillianLogClient(conn))
	if err != nil {
		return nil, err
	}
	config, err := ctfe.ValidateLogConfig(&configpb.LogConfig{
		LogId: tree.TreeId, Prefix: prefix, RootsPemFile: []string{roots}, PrivateKey: private,
		ExtKeyUsages: []string{"CodeSigning"}, MaxMergeDelaySec: 60,
	})
	if err != nil {
		return nil, err
	}
	instance, err := ctfe.SetUpInstance(ctx, ctfe.InstanceOptions{
		Validated: config, Client: trillian.NewTrillianLogClient(conn), Deadline: 10 * time.Second,
		MetricFactory: monitoring.InertMetricFactory{}, RequestLog: new(ctfe.DefaultRequestLog),
	})
	if err != nil {
		return nil, err
	}
	return instance.Handlers, nil
}

func readKey(file string) (*anypb.Any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	keys.RegisterHandler(&keyspb.PrivateKey{}, der.FromProto)
	return anypb.New(&keyspb.PrivateKey{Der: block.Bytes})
}
