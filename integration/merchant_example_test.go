package integration_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleService runs vippsauth with a configuration of examples/ in a folder, after vippsauth check has nothing to say, and returns
// the address of its emulator. Only addresses, and what else is given, are this test's.
func exampleService(t *testing.T, f *front, dir, name string, edits ...string) (emulator string) {
	t.Helper()
	f.ops = freeAddr(t)
	f.addr = "127.0.0.1:" + f.port()
	emulator = freeAddr(t)
	config := write(t, "vippsauth.yaml", example(t, name, append([]string{
		"localhost:4190", "localhost:" + f.port(), "127.0.0.1:4190", f.addr, "127.0.0.1:4191", f.ops, "127.0.0.1:4192", emulator,
		"127.0.0.1:8080", f.app.addr(),
	}, edits...)...))
	check := start(t, vippsauthProgram(t), command{name: "vippsauth check", args: []string{"check", "--config", config}, dir: dir})
	<-check.done
	if code := check.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(check.out.String(), "warning:") {
		t.Fatalf("vippsauth check says %d: %s", code, check.out.String())
	}
	f.service = start(t, vippsauthProgram(t), command{name: "vippsauth serve", args: []string{"serve", "--config", config}, dir: dir})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	return "http://" + emulator
}

// exampleCaller makes a token for a caller of an example, as its README says, writes it into a file of dir, and returns what stands in place
// of what in the example's settings.
func exampleCaller(t *testing.T, dir, file, settings, caller string) (sample, entry string) {
	t.Helper()
	keygen := start(t, vippsauthProgram(t), command{name: "vippsauth keygen", args: []string{"keygen", "--token"}})
	<-keygen.done
	lines := strings.Fields(keygen.out.String())
	sample = regexp.MustCompile(caller + `=sha256:[0-9a-f]{64}`).FindString(example(t, settings))
	if len(lines) != 2 || sample == "" {
		t.Fatalf("keygen --token says %q, and the example has the sample %q", lines, sample)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(lines[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return sample, caller + "=" + strings.TrimPrefix(lines[1], "caller=")
}

// tell tells an emulator what to do.
func tell(t *testing.T, emulator, verb, args string) {
	t.Helper()
	resp, err := http.Post(emulator+"/_emulator/"+verb, "application/json", strings.NewReader(args))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: the emulator says %d", verb, resp.StatusCode)
	}
}

// waitingLogin is the first login by phone number that waits at an emulator.
func waitingLogin(t *testing.T, emulator string) (phone, code string) {
	t.Helper()
	for range 1200 {
		resp, err := http.Get(emulator + "/_emulator/state")
		if err != nil {
			t.Fatal(err)
		}
		var state struct {
			Logins []struct {
				Phone string `json:"phone"`
				Code  string `json:"code"`
				State string `json:"state"`
			} `json:"merchant_logins"`
		}
		err = json.NewDecoder(resp.Body).Decode(&state)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range state.Logins {
			if l.State == "pending" || l.State == "waiting" {
				return l.Phone, l.Code
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("no login waits after half a minute")
	return "", ""
}

// The till of the examples, as a newcomer runs it: what it prints to be read aloud is what the app shows, and the claims are those of
// the person who approved; a person's no is told; and a wrong token gets nothing.
func TestMerchantExample(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	need(t, "jq")
	f := newFront(t)
	dir := t.TempDir()
	sample, entry := exampleCaller(t, dir, "till.token", "merchant/vippsauth.yaml", "till-1")
	emulator := exampleService(t, f, dir, "merchant/vippsauth.yaml", sample, entry)
	script, err := filepath.Abs("../examples/merchant/till.sh")
	if err != nil {
		t.Fatal(err)
	}
	till := func(token, phone string) *process {
		return start(t, script, command{name: "till.sh", tells: true, args: []string{phone, "openid name phoneNumber"}, env: []string{
			"VIPPSAUTH_URL=" + f.origin, "VIPPSAUTH_TOKEN_FILE=" + filepath.Join(dir, token),
		}})
	}

	p := till("till.token", "+47 90 00 00 01")
	phone, code := waitingLogin(t, emulator)
	if phone != "4790000001" {
		t.Errorf("%s is asked", phone)
	}
	p.says("Read aloud: " + code)
	tell(t, emulator, "merchant-approve", `{"phone":"4790000001"}`)
	<-p.done
	var got struct {
		Sub    string
		Claims map[string]any
	}
	_, result, _ := strings.Cut(p.out.String(), "{")
	if err := json.Unmarshal([]byte("{"+result), &got); err != nil || p.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("exit code %d: %s", p.cmd.ProcessState.ExitCode(), p.out.String())
	}
	if !strings.HasPrefix(got.Sub, "emulator-") || got.Claims["name"] != nameAase || got.Claims["phone_number"] != "4790000001" {
		t.Errorf("it prints %+v", got)
	}

	p = till("till.token", "4790000001")
	waitingLogin(t, emulator)
	tell(t, emulator, "merchant-deny", `{"phone":"4790000001"}`)
	<-p.done
	if p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.out.String(), "not logged in: declined") {
		t.Errorf("a person's no: %s", p.out.String())
	}

	p = till("till.token", "12")
	<-p.done
	if p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.out.String(), "not started: invalid_request: phone: ") {
		t.Errorf("a number that is none: %s", p.out.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "other.token"), []byte(strings.Repeat("x", 43)), 0o600); err != nil {
		t.Fatal(err)
	}
	p = till("other.token", "4790000001")
	<-p.done
	if p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.out.String(), "not started: ") {
		t.Errorf("a wrong token: %s", p.out.String())
	}
}

// The application of the consents example keeps what a person has answered, once, also when it was away at the login.
func TestConsentsExample(t *testing.T) {
	t.Parallel()
	php := need(t, "php")
	f := newFront(t)
	dir, receiver := t.TempDir(), freeAddr(t)
	keygen := start(t, vippsauthProgram(t), command{name: "vippsauth keygen", args: []string{"keygen", "--events"}})
	<-keygen.done
	if err := os.WriteFile(filepath.Join(dir, "consent.secret"), []byte(keygen.out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	emulator := exampleService(t, f, dir, "consents/vippsauth.yaml", "http://"+f.app.addr()+"/consents.php", "http://"+receiver+"/consents.php")
	_ = emulator

	b := f.browser()
	page := b.press(b.open(f.origin+"/x"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK {
		t.Fatalf("%d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	header := f.app.last().Header.Get("X-Vipps-Consents")
	if !strings.Contains(header, `"id":"email"`) {
		t.Errorf("the header is %q", header)
	}

	kept := filepath.Join(dir, "consents.jsonl")
	app := start(t, php, command{name: "php", args: []string{"-S", receiver, "../examples/consents/consents.php"}, env: []string{
		"CONSENT_SECRET_FILE=" + filepath.Join(dir, "consent.secret"), "CONSENTS_FILE=" + kept,
	}})
	_ = app
	for range 800 {
		if text, err := os.ReadFile(kept); err == nil && strings.HasSuffix(string(text), "\n") {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	text, err := os.ReadFile(kept)
	var event struct {
		ID, Type string
		Data     struct {
			Sub     string
			Answers []struct {
				ID       string
				Accepted bool
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &event)
	}
	if err != nil || event.Type != "consents.given" || event.Data.Sub != f.app.last().Header.Get("X-Vipps-Sub") || len(event.Data.Answers) == 0 {
		t.Errorf("the application has kept %q: %v", text, err)
	}
	// Keys and secrets lie beside it: whoever is logged in must not get them from the application.
	file, err := http.Get("http://" + receiver + "/vippsauth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	body := readAll(t, file.Body)
	_ = file.Body.Close()
	if file.StatusCode == http.StatusOK && strings.Contains(body, "consent_secret_file") {
		t.Error("the application serves the files of its folder")
	}
	resp, err := http.Post("http://"+receiver+"/consents.php", "application/json", strings.NewReader(`{"type":"consents.given"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned event is answered with %d", resp.StatusCode)
	}
}

// A part of the site that asks for a login confirmed in the app, with the nginx configuration that vippsauth prints: whoever is logged
// in without goes to the app once, and comes back to the page.
func TestInAppConfirmationExample(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	dir := t.TempDir()
	config := write(t, "vippsauth.yaml", example(t, "in-app-confirmation/vippsauth.yaml", "localhost:8000", "localhost:"+f.port(), "127.0.0.1:4190", f.addr,
		"127.0.0.1:4191", f.ops, "127.0.0.1:4192", freeAddr(t)))
	f.service = start(t, vippsauthProgram(t), command{name: "vippsauth serve", args: []string{"serve", "--config", config}, dir: dir})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	printed := filepath.Join(dir, "nginx.conf")
	snippet := start(t, vippsauthProgram(t), command{name: "vippsauth snippet", dir: dir, args: []string{"snippet", "nginx", "--config", config, "--app", f.app.addr(), "--output", printed}})
	<-snippet.done
	text, err := os.ReadFile(printed)
	if err != nil {
		t.Fatal(err)
	}
	const line = "\tlocation ^~ /confirmed/" // which the README says to take up
	runNginx(t, f, strings.Replace(string(text), strings.Replace(line, "\t", "\t#", 1), line, 1))

	b := f.browser()
	page := b.press(b.open(f.origin+"/x"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || f.app.last().URI != "/x" {
		t.Fatalf("%d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	hits := f.app.hits()
	page = b.open(f.origin + "/confirmed/account?change=1")
	if f.app.hits() != hits {
		t.Fatal("a session without a confirmation reaches the application")
	}
	if !slices.ContainsFunc(b.trail, func(u *url.URL) bool { return u.Query().Get("acr_values") == "urn:vipps:acr:app_auth" }) {
		t.Errorf("Vipps is not asked for it: %v", b.trail)
	}
	if strings.Contains(page.text, nameAase) && !strings.Contains(page.text, "number") {
		page = b.press(page, nameAase)
	}
	if page = b.chooseNumber(page); page.StatusCode != http.StatusOK || f.app.last().URI != "/confirmed/account?change=1" {
		t.Fatalf("%d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	if page := b.open(f.origin + "/confirmed/again"); page.StatusCode != http.StatusOK || f.app.last().URI != "/confirmed/again" || len(b.trail) != 1 {
		t.Errorf("the second time: %d at %v", page.StatusCode, b.trail)
	}
}

// The person's phone opens another browser than the one the login began in. What it brings is not used there: whoever is at that
// browser begins again, and both browsers have the session of who logged in in them.
func TestAppsExample(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	exampleService(t, f, t.TempDir(), "apps/vippsauth.yaml")
	first, other := f.browser(), f.browser()
	page := first.press(first.open(f.origin+"/x?y=1"), nameAase)
	page = first.press(first.chooseNumber(page), "^(Allow|Tillat)")
	back := func(page answer) string { // the address that the phone opens
		t.Helper()
		m := regexp.MustCompile(`(?s)<textarea id="elsewhere"[^>]*>(.*?)</textarea>`).FindStringSubmatch(page.text)
		if m == nil {
			t.Fatalf("no way back: %d %s", page.StatusCode, page.words())
		}
		return html.UnescapeString(m[1])
	}
	address := back(page)

	hits := f.app.hits()
	page = other.open(address)
	if f.app.hits() != hits || page.StatusCode == http.StatusSeeOther || len(other.trail) == 0 || !strings.Contains(page.text, "<form") {
		t.Fatalf("the other browser: %d at %v: %s", page.StatusCode, other.trail, page.words())
	}
	if me := other.send(http.MethodGet, f.origin+"/_vipps/me", fetching(), nil); me.StatusCode != http.StatusUnauthorized {
		t.Errorf("the other browser has a session: %d", me.StatusCode)
	}
	page = other.press(other.press(page, "^Continue here"), "^Per Uten Adresse")
	page = other.press(other.chooseNumber(page), "^(Allow|Tillat)")
	for who, b := range map[string]*browser{"Per Uten Adresse": other, nameAase: first} {
		to := address
		if b == other {
			to = back(page)
		}
		if page := b.open(to); page.StatusCode != http.StatusOK || f.app.last().URI != "/x?y=1" || f.app.last().Header.Get("X-Vipps-Name") != who {
			t.Errorf("%s: %d at %v, the app gets %s", who, page.StatusCode, b.trail, f.app.last().Header.Get("X-Vipps-Name"))
		}
	}
}
