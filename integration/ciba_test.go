package integration_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cibaProvider starts another vendor's provider that has CIBA, and returns its issuer. Its packages are installed once.
func cibaProvider(t *testing.T, clientID, clientSecret string) (issuer string) {
	t.Helper()
	node, npm := need(t, "node"), need(t, "npm")
	dir := filepath.Join("..", "tools", "otherciba")
	programs.otherciba.Do(func() {
		lock, err1 := os.Stat(filepath.Join(dir, "package-lock.json"))
		have, err2 := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
		if err1 == nil && err2 == nil && have.ModTime().After(lock.ModTime()) {
			return
		}
		cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			programs.otherciba.err = &installError{err, string(out)}
		}
	})
	if err := programs.otherciba.err; err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "server.mjs", clientID, clientSecret)
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends with its input
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the provider says nothing: ", err)
	}
	return strings.TrimSpace(line)
}

type installError struct {
	err error
	out string
}

func (e *installError) Error() string {
	return "installing tools/otherciba: " + e.err.Error() + "\n" + e.out
}

// push is what a person's telephone shows.
type push struct {
	Phone          string `json:"phone"`
	BindingMessage string `json:"binding_message"`
	Scope          string `json:"scope"`
}

// waitForPush is the push for a number, once it is there.
func waitForPush(t *testing.T, issuer, phone string) push {
	t.Helper()
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		resp, err := http.Get(issuer + "/test/waiting")
		if err != nil {
			t.Fatal(err)
		}
		var all []push
		err = json.NewDecoder(resp.Body).Decode(&all)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if p.Phone == phone {
				return p
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no push came in half a minute")
	return push{}
}

func answerPush(t *testing.T, issuer, phone, answer string) {
	t.Helper()
	resp, err := http.Post(issuer+"/test/answer?phone="+phone+"&answer="+answer, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("the provider answers with %d", resp.StatusCode)
	}
}

// The login from a phone number at a provider that nobody here has written, and that is certified for it: the claims are those of
// the person who approved, and a person's no is one.
func TestSec_A140_A147_MerchantLoginAtAnotherVendorsProvider(t *testing.T) {
	t.Parallel()
	const id, secret, phone = "till-1", "s3cret+/=%", "4790000101"
	issuer := cibaProvider(t, id, secret)
	start := func(args ...string) *process {
		return start(t, vippsauthProgram(t), command{name: "vippsauth merchant-login", tells: true, args: append([]string{
			"merchant-login", "--issuer=" + issuer, "--client-id=" + id, "--phone=+47 90 00 01 01", "--json",
		}, args...), env: []string{"VIPPSAUTH_CLIENT_SECRET=" + secret}})
	}

	p := start("--scopes=openid name phoneNumber")
	if got := waitForPush(t, issuer, phone); got.Scope != "openid name phoneNumber" {
		t.Errorf("the scopes are %q", got.Scope)
	} else {
		p.says(`"code":"` + got.BindingMessage + `"`)
	}
	answerPush(t, issuer, phone, "approve")
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.out.String())
	}
	for _, want := range []string{`"state":"approved"`, `"sub":"2f6f5c1e-ase"`, `"name":"Åse Ødegård"`, `"phone_number":"4790000101"`} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("%s is not in %s", want, p.out.String())
		}
	}
	if strings.Contains(p.out.String(), "auth_req_id") {
		t.Errorf("the login's id is shown: %s", p.out.String())
	}

	p = start()
	waitForPush(t, issuer, phone)
	answerPush(t, issuer, phone, "deny")
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.out.String(), `"state":"declined"`) || strings.Contains(p.out.String(), `"sub"`) {
		t.Errorf("a person's no: exit code %d, %s", code, p.out.String())
	}
}
