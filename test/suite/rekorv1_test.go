package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const rekorV1Dir = "../peers/rekorv1"

// buildRekorV1 makes Rekor v1's three servers, once for all scripts that want them.
var buildRekorV1 = sync.OnceValue(func() error {
	for _, pkg := range []string{
		"github.com/google/trillian/cmd/trillian_log_server", "github.com/google/trillian/cmd/trillian_log_signer",
		"github.com/sigstore/rekor/cmd/rekor-server",
	} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(bin, filepath.Base(pkg)+"-v1"), pkg)
		cmd.Dir = rekorV1Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", pkg, err, out)
		}
	}
	return nil
})

func hasMariaDB() bool {
	_, err := exec.LookPath(mariadbd)
	return err == nil
}

const mariadbd = "/usr/sbin/mariadbd"

// startRekorV1 runs a Rekor v1 with an empty log, its Trillian and its database
// until the script ends, writes its key to rekor-v1.pub, and sets REKOR_V1_URL and
// REKOR_V1_PID.
func startRekorV1(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(buildRekorV1())
	free := freePorts(ts, 6)
	database := startMariaDB(ts, ts.MkAbs("mariadb"), free[0])
	for i, program := range []string{"trillian_log_server-v1", "trillian_log_signer-v1"} {
		args := []string{
			"--storage_system=mysql", "--quota_system=noop", "--mysql_uri=" + database,
			"--rpc_endpoint=127.0.0.1:" + free[1+2*i], "--http_endpoint=127.0.0.1:" + free[2+2*i],
		}
		if i == 1 {
			args = append(args, "--force_master", "--sequencer_interval=50ms", "--batch_size=100")
		}
		_, said := start(ts, filepath.Join(bin, program), args...)
		if !accepts("127.0.0.1:" + free[1+2*i]) {
			ts.Fatalf("%s did not start: %s", program, said())
		}
	}
	server, said := start(ts, filepath.Join(bin, "rekor-server-v1"), "serve", "--trillian_log_server.address=127.0.0.1", "--trillian_log_server.port="+free[1],
		"--rekor_server.signer=memory", "--rekor_server.address=127.0.0.1", "--port="+free[5], "--enable_retrieve_api=false")
	url := "http://localhost:" + free[5]
	if !answers(url + "/api/v1/log/publicKey") {
		ts.Fatalf("rekor did not start: %s", said())
	}
	resp, err := http.Get(url + "/api/v1/log/publicKey")
	ts.Check(err)
	defer resp.Body.Close()
	key, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("rekor-v1.pub"), key, 0o644))
	ts.Setenv("REKOR_V1_URL", url)
	ts.Setenv("REKOR_V1_PID", strconv.Itoa(server.Process.Pid))
}

// start runs a program until the script ends. Its output goes to a file, which said
// returns as far as it has come.
func start(ts *testscript.TestScript, program string, args ...string) (cmd *exec.Cmd, said func() string) {
	file := ts.MkAbs(filepath.Base(program) + ".log")
	output, err := os.Create(file)
	ts.Check(err)
	defer output.Close()
	cmd = exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = output, output
	ts.Check(cmd.Start())
	ts.Defer(func() { stop(cmd) })
	return cmd, func() string { return ts.ReadFile(file) }
}

// startMariaDB runs a database of its own, without users, with Trillian's tables.
// It returns what Trillian calls it by.
func startMariaDB(ts *testscript.TestScript, dir, port string) string {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/trillian")
	list.Dir = rekorV1Dir
	module, err := list.Output()
	ts.Check(err)
	tables, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "storage/mysql/schema/storage.sql"))
	ts.Check(err)
	me, err := user.Current() // who is root has to say so
	ts.Check(err)
	ts.Check(os.MkdirAll(dir, 0o755))
	script := filepath.Join(dir, "init.sql")
	ts.Check(os.WriteFile(script, oneLineEach("CREATE DATABASE trillian;\nUSE trillian;\n"+string(tables)), 0o644))
	_, said := start(ts, mariadbd, "--no-defaults", "--datadir="+dir, "--socket="+socketFile(ts), "--port="+port, "--bind-address=127.0.0.1", "--skip-grant-tables",
		"--init-file="+script, "--user="+me.Username, "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M")
	if !accepts(net.JoinHostPort("127.0.0.1", port)) {
		ts.Fatalf("mariadb did not start: %s", said())
	}
	return "root@tcp(127.0.0.1:" + port + ")/trillian?parseTime=true&interpolateParams=true"
}

// socketFile is short, as sockets' names have to be.
func socketFile(ts *testscript.TestScript) string {
	dir, err := os.MkdirTemp("", "db")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// oneLineEach writes SQL as an init file wants it: a statement a line, no comments.
func oneLineEach(script string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(script) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), "--")
		if strings.HasPrefix(text, "#") {
			continue
		}
		out.WriteString(" " + strings.TrimSpace(text))
		if strings.HasSuffix(strings.TrimSpace(text), ";") {
			out.WriteString("\n")
		}
	}
	return out.Bytes()
}

// countEntriesV1 holds the number of entries in the Rekor v1 against what the
// script expects.
func countEntriesV1(ts *testscript.TestScript, _ bool, args []string) {
	var log struct {
		TreeSize int `json:"treeSize"`
	}
	for range 30 { // the tree grows after the fact
		resp, err := http.Get(ts.Getenv("REKOR_V1_URL") + "/api/v1/log")
		ts.Check(err)
		err = json.NewDecoder(resp.Body).Decode(&log)
		resp.Body.Close()
		ts.Check(err)
		if strconv.Itoa(log.TreeSize) == args[0] {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("the log has %d entries, want %s", log.TreeSize, args[0])
}
