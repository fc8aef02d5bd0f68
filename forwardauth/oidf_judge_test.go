package forwardauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

// rp is a relying party, which is an engine in front of an app, with a provider of ours.
type rp struct {
	*lab
	op     *provider
	client *vipps.Client
}

const (
	rpID     = "fb492b5e-7907-4d83-ba20-c7fb60ca35de"
	rpSecret = "c2VjcmV0+of/test: 100%="
)

// newRP starts a relying party; change may alter the client's configuration first.
func newRP(t testing.TB, p *provider, change func(*vipps.Config)) *rp {
	t.Helper()
	l := &lab{t: t, clock: &clock{}}
	l.site = httptest.NewUnstartedServer(nil)
	origin := "http://" + l.site.Listener.Addr().String()
	cfg := vipps.Config{
		Issuer: p.issuer, ClientID: rpID, ClientSecret: rpSecret, Now: l.clock.now,
		Scopes: []string{"openid", "name", "phoneNumber", "email"},
	}
	if change != nil {
		change(&cfg)
	}
	client, err := vipps.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.clientID, p.secret, p.redirectURI = cfg.ClientID, cfg.ClientSecret.Reveal(), origin+"/_vipps/callback"
	l.serve(forwardauth.Config{Client: client, PublicURLs: []string{origin}, Scopes: cfg.Scopes}, nil)
	return &rp{lab: l, op: p, client: client}
}

// accepted logs a person in, and fails unless that ends in a session of that person on the page asked for.
func (r *rp) accepted() *browser {
	r.t.Helper()
	b := r.browser()
	a := b.visit("/page?x=1")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, "app: GET /page?x=1 auth=authenticated name=Åse Ødegård") {
		r.t.Fatalf("the login ended with %d %s\n%s\n%v", a.StatusCode, a.text, strings.Join(b.trail, "\n"), r.faults())
	}
	if got := r.last().Header["X-Vipps-Sub"]; len(got) != 1 || got[0] != opSub {
		r.t.Errorf("the app was told %q", got)
	}
	authz := b.send("GET", "/_vipps/authz/auth-request", r.original("/page?x=1"), "")
	if got := authz.Header["X-Vipps-Sub"]; authz.StatusCode != http.StatusOK || len(got) != 1 || got[0] != opSub {
		r.t.Errorf("authz says %d %q", authz.StatusCode, got)
	}
	return b
}

// refused tries to log a person in, and judges as the suite does, by silence: no session, no request to the app, and
// a page whose reference stands in the log beside the code. Whether endpoints were called is for want to say.
func (r *rp) refused(code string) answer {
	r.t.Helper()
	b := r.browser()
	a := b.visit("/page?x=1")
	r.nobody(b)
	if a.StatusCode < 400 {
		r.t.Errorf("the login ended with %d %s", a.StatusCode, a.text)
	}
	faults := r.faults()
	if len(faults) != 1 {
		r.t.Fatalf("%d faults in the log: %v", len(faults), faults)
	}
	reference, _ := faults[0]["reference"].(string)
	if reference == "" || !strings.Contains(a.text, reference) {
		r.t.Errorf("the page does not show the reference %q:\n%s", reference, a.text)
	}
	if text, _ := faults[0]["error"].(string); !strings.Contains(text, code) {
		r.t.Errorf("the log says %q, want %q in it", text, code)
	}
	return a
}

// nobody fails if this browser is anybody.
func (r *rp) nobody(b *browser) {
	r.t.Helper()
	for name := range b.own() {
		if name == "vippsauth" || strings.HasPrefix(name, "vippsauth.") {
			r.t.Errorf("there is a session cookie %s", name)
		}
	}
	if n := r.log.FilterMessage("login completed").Len(); n != 0 {
		r.t.Errorf("%d logins were completed", n)
	}
	if n := r.hits(); n != 0 {
		r.t.Errorf("the app was asked %d times", n)
	}
	if a := b.send("GET", "/_vipps/authz/auth-request", r.original("/page?x=1"), ""); a.StatusCode != http.StatusUnauthorized || a.Header.Get("X-Vipps-Sub") != "" {
		r.t.Errorf("authz says %d", a.StatusCode)
	}
}

// want fails unless the provider was asked exactly this often, and for nothing else.
func (r *rp) want(c calls) {
	r.t.Helper()
	if got := r.op.counted(); got != c {
		r.t.Errorf("the provider was called %+v, want %+v", got, c)
	}
	r.op.mu.Lock()
	defer r.op.mu.Unlock()
	if len(r.op.strays) != 0 {
		r.t.Errorf("A-007: requests beside the endpoints: %v", r.op.strays)
	}
}

// faults are the logins that did not end well, as logged.
func (r *rp) faults() []map[string]any {
	var out []map[string]any
	for _, e := range r.log.All() {
		if e.Message == "login failed" || e.Message == "login did not complete" {
			out = append(out, e.ContextMap())
		}
	}
	return out
}

// trap is a server that nobody may call.
func trap(t testing.TB) string {
	t.Helper()
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) }))
	t.Cleanup(func() {
		srv.Close()
		if n.Load() != 0 {
			t.Errorf("%d requests went where none may go", n.Load())
		}
	})
	return srv.URL
}

// module is one test of the provider's, under the name that the OpenID Foundation's suite has for it where it has one.
type module struct {
	name  string // the id and the suite's name
	setup func(p *provider)
	code  string // our error; "" for a login that must succeed
	calls calls  // zero: one to each endpoint, and none to userinfo when the login is refused
}

func (m module) run(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	if m.setup != nil {
		m.setup(p)
	}
	r := newRP(t, p, nil)
	want := m.calls
	if m.code == "" {
		r.accepted()
		if want == (calls{}) {
			want = calls{1, 1, 1, 1, 1}
		}
	} else {
		r.refused(m.code)
		if want == (calls{}) {
			want = calls{1, 1, 1, 1, 0}
		}
	}
	r.want(want)
}
