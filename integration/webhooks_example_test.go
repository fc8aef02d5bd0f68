package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The example of webhooks, as its README says: the registration by command, the service, and the till, which knows of an answer sooner
// than it would by asking.
func TestWebhooksExample(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	need(t, "jq")
	f := newFront(t)
	f.ops, f.addr = freeAddr(t), "127.0.0.1:"+f.port()
	vipps, dir := freeAddr(t), t.TempDir()
	start(t, vippsauthProgram(t), command{name: "vippsauth emulator", args: []string{"emulator", "--listen", vipps, "--redirect-uri", f.origin + "/_vipps/callback"}}).
		answers("http://" + vipps + "/_emulator/")
	tell(t, "http://"+vipps, "merchant-interval", `{"duration":"60s"}`)

	sample, entry := exampleCaller(t, dir, "till.token", "webhooks/vippsauth.yaml", "till-1")
	if err := os.WriteFile(filepath.Join(dir, "subscription.key"), []byte("any\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := write(t, "vippsauth.yaml", example(t, "webhooks/vippsauth.yaml", "localhost:4190", "localhost:"+f.port(), "127.0.0.1:4190", f.addr,
		"127.0.0.1:4191", f.ops, "127.0.0.1:4192", vipps, "127.0.0.1:8080", f.app.addr(), sample, entry))
	env := []string{"VIPPSAUTH_CLIENT_SECRET=emulator-demo-secret"}
	register := start(t, vippsauthProgram(t), command{name: "vippsauth webhooks", env: env, dir: dir, args: []string{
		"webhooks", "register", "--config", config, "--url", f.origin + "/_vipps/webhook", "--secret-file", "webhook.secret",
	}})
	<-register.done
	if register.cmd.ProcessState.ExitCode() != 0 {
		t.Fatal(register.out.String())
	}
	f.service = start(t, vippsauthProgram(t), command{name: "vippsauth serve", env: env, dir: dir, args: []string{"serve", "--config", config}})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")

	script, err := filepath.Abs("../examples/merchant/till.sh")
	if err != nil {
		t.Fatal(err)
	}
	till := start(t, script, command{name: "till.sh", tells: true, args: []string{"4790000001"}, env: []string{
		"VIPPSAUTH_URL=" + f.origin, "VIPPSAUTH_TOKEN_FILE=" + filepath.Join(dir, "till.token"),
	}})
	_, code := waitingLogin(t, "http://"+vipps)
	till.says("Read aloud: " + code)
	approved := time.Now()
	tell(t, "http://"+vipps, "merchant-approve", `{"phone":"4790000001"}`)
	<-till.done
	took := time.Since(approved)
	if till.cmd.ProcessState.ExitCode() != 0 || !strings.Contains(till.out.String(), nameAase) {
		t.Fatalf("the till says %s", till.out.String())
	}
	if took > 30*time.Second { // the interval is a minute
		t.Errorf("the till knows after %s", took)
	}
	list := start(t, vippsauthProgram(t), command{name: "vippsauth webhooks", env: env, dir: dir, args: []string{"webhooks", "list", "--config", config}})
	<-list.done
	if !strings.Contains(list.out.String(), fmt.Sprint(f.origin, "/_vipps/webhook")) {
		t.Errorf("the list is %s", list.out.String())
	}
}
