package merchant_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	tillToken   = "till-token-0123456789-0123456789-abcdef"
	officeToken = "office-token-0123456789-0123456789-abc"
	aase        = "4790000001" // somebody whom the emulator knows
	per         = "4790000002"
)

// apiLab is the API on a socket, logins behind it, and the emulator behind those.
type apiLab struct {
	t      *testing.T
	emu    *emulator.Server
	logins *merchant.Logins
	api    *merchant.API
	server *httptest.Server
	origin string
	logged *observer.ObservedLogs
}

// newAPILab starts one; change may alter its settings.
func newAPILab(t *testing.T, change ...func(*merchant.Config, *merchant.APIConfig, *httptest.Server)) *apiLab {
	t.Helper()
	emu, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: "till", Secret: "a secret of the emulator", Name: "Till", AuthMethod: emulator.AuthBasic}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emu.Close() })
	client, err := vipps.New(vipps.Config{Issuer: emu.Issuer, ClientID: "till", ClientSecret: "a secret of the emulator"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zapcore.DebugLevel)
	lab := &apiLab{t: t, emu: emu, logged: logged}
	lab.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if merchant.IsOperatorPath(r.URL.EscapedPath()) {
			lab.api.Operator(w, r, merchant.Operator{Sub: r.Header.Get("X-Test-Person"), Name: "Kari <b>N.</b>"})
			return
		}
		lab.api.ServeHTTP(w, r)
	}))
	lab.origin = "http://" + lab.server.Listener.Addr().String()
	if err := emu.Control().AddRedirectURI("till", lab.origin+"/_vipps/callback/merchant"); err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "name", "phoneNumber", "address"}
	cfg := merchant.Config{
		Client: client, Keys: session.Keys{key}, Scopes: scopes, PhoneLimit: "off", CallerLimit: "off", Logger: zap.New(core), RedirectURI: lab.origin + "/_vipps/callback/merchant",
		CheckReturnTo: func(address string) error {
			if !strings.HasPrefix(address, lab.origin+"/") {
				return errNoPage
			}
			return nil
		},
	}
	api := merchant.APIConfig{
		PublicURLs: []string{lab.origin}, Scopes: scopes, Logger: zap.New(core),
		Callers: []string{"till=" + merchant.HashToken(tillToken), "office=" + merchant.HashToken(officeToken), "cert=certificate:till.example.com"},
	}
	for _, c := range change {
		c(&cfg, &api, lab.server)
	}
	if lab.logins, err = merchant.New(cfg); err != nil {
		t.Fatal(err)
	}
	api.Logins = lab.logins
	if lab.api, err = merchant.NewAPI(api); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = lab.logins.Run(ctx) })
	lab.server.Start()
	t.Cleanup(func() {
		lab.api.Stop()
		lab.server.Close()
		cancel()
		running.Wait()
	})
	return lab
}

var errNoPage = &vipps.ConfigError{Setting: "return_to", Reason: "must be a page of the site"}

// reply is an answer, read whole.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// at reads a member of the answer.
func (r *reply) at(t *testing.T, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
		t.Fatalf("%d %q: %v", r.Status, r.Body, err)
	}
	return m[name]
}

func (r *reply) text(t *testing.T, name string) string {
	t.Helper()
	s, _ := r.at(t, name).(string)
	return s
}

// request makes a request of a caller. A header with the value "" is taken out.
func (lab *apiLab) request(method, path, token, body string, header ...string) *http.Request {
	lab.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(lab.t.Context(), method, lab.origin+"/_vipps/merchant/"+path, content)
	if err != nil {
		lab.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
	}
	return r
}

func (lab *apiLab) do(r *http.Request) *reply {
	lab.t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: lab.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		lab.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		lab.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return &reply{resp.StatusCode, resp.Header, string(text)}
}

func (lab *apiLab) call(method, path, token, body string, header ...string) *reply {
	lab.t.Helper()
	return lab.do(lab.request(method, path, token, body, header...))
}

// start starts a login for a caller, and returns its id.
func (lab *apiLab) start(token, phone string) string {
	lab.t.Helper()
	got := lab.call("POST", "logins", token, `{"phone":"`+phone+`"}`)
	if got.Status != http.StatusCreated {
		lab.t.Fatalf("start: %d %s", got.Status, got.Body)
	}
	return got.text(lab.t, "id")
}

// news lets the login know that there are news, as a webhook would, so that nobody waits for the next poll.
func (lab *apiLab) news(phone string) {
	lab.t.Helper()
	for _, m := range lab.emu.Control().MerchantLogins() {
		if m.Phone == phone {
			lab.logins.Ping(m.AuthReqID)
		}
	}
}

// approve lets the person say yes, and deny no.
func (lab *apiLab) approve(phone string) {
	lab.t.Helper()
	if err := lab.emu.Control().MerchantApprove(phone); err != nil {
		lab.t.Fatal(err)
	}
	lab.news(phone)
}

func (lab *apiLab) deny(phone string) {
	lab.t.Helper()
	if err := lab.emu.Control().MerchantDeny(phone, ""); err != nil {
		lab.t.Fatal(err)
	}
	lab.news(phone)
}

// until waits for something that is about to happen.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s didn't happen", what)
		}
	}
}

// approved waits until a caller's login is approved, without taking the result.
func (lab *apiLab) approved(caller, id string) {
	lab.t.Helper()
	until(lab.t, "the approval", func() bool {
		st, err := lab.logins.Wait(lab.t.Context(), caller, id, "")
		return err == nil && st.State == merchant.Approved
	})
}

// An eventStream is an open stream.
type eventStream struct {
	t    *testing.T
	resp *http.Response
	read *bufio.Reader
	end  context.CancelFunc
}

func (lab *apiLab) events(path, token string, header ...string) *eventStream {
	lab.t.Helper()
	ctx, cancel := context.WithCancel(lab.t.Context())
	resp, err := lab.server.Client().Do(lab.request("GET", path, token, "", header...).WithContext(ctx))
	if err != nil {
		cancel()
		lab.t.Fatal(err)
	}
	s := &eventStream{t: lab.t, resp: resp, read: bufio.NewReader(resp.Body), end: cancel}
	lab.t.Cleanup(s.close)
	return s
}

func (s *eventStream) close() {
	s.end()
	_ = s.resp.Body.Close()
}

// next reads a block of the stream, "" at its end.
func (s *eventStream) next() string {
	s.t.Helper()
	var block strings.Builder
	for {
		line, err := s.read.ReadString('\n')
		if line == "\n" {
			return block.String()
		}
		block.WriteString(line)
		if err != nil {
			return block.String()
		}
	}
}

// state reads the next event, comments skipped, and returns what it says.
func (s *eventStream) state() map[string]any {
	s.t.Helper()
	for {
		block := s.next()
		if strings.HasPrefix(block, ":") {
			continue
		}
		if block == "" {
			return nil
		}
		data, ok := strings.CutPrefix(block, "event: state\ndata: ")
		var m map[string]any
		if !ok || json.Unmarshal([]byte(data), &m) != nil {
			s.t.Fatalf("%q is no event", block)
		}
		return m
	}
}

// shortReads makes a server that gives a request one second, and sets that when the request is there, as cmd/vippsauth does.
func shortReads(_ *merchant.Config, _ *merchant.APIConfig, srv *httptest.Server) {
	next := srv.Config.Handler
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
		next.ServeHTTP(w, r)
	})
}
