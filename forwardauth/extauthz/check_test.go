package extauthz_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// A person with a session passes with every identity header, each overwriting the client's own; those without a value are
// taken out, and none of them is in both lists: Envoy removes after it has set.
func TestAllows(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Headers = []string{"default", "X-Vipps-Gender=gender"} })
	raw := l.asked("GET", "/a?b=%2F", "cookie", l.cookie, "x-vipps-sub", "evil", "X-Vipps-Proxy-Secret", "evil")
	joined := l.asked("GET", "/a")
	joined.Attributes.Request.Http.HeaderMap = nil
	joined.Attributes.Request.Http.Headers = map[string]string{"cookie": l.cookie, ":path": "/a", "sec-fetch-mode": "cors"}
	named := l.asked("POST", "/a", "cookie", l.cookie)
	named.Attributes.ContextExtensions = map[string]string{"policy": "default"}
	for name, q := range map[string]*auth.CheckRequest{"header_map": raw, "headers": joined, "policy": named} {
		a := l.check(q)
		ok := a.GetOkResponse()
		if codes.Code(a.GetStatus().GetCode()) != codes.OK || ok == nil {
			t.Fatalf("%s: %v", name, a)
		}
		if got := lines(ok.GetHeaders(), "X-Vipps-Name"); !slices.Equal(got, []string{"Åse Ødegård"}) {
			t.Errorf("%s: X-Vipps-Name %q", name, got)
		}
		if got := lines(ok.GetHeaders(), "X-Vipps-Sub"); len(got) != 1 || got[0] == "evil" {
			t.Errorf("%s: X-Vipps-Sub %q", name, got)
		}
		for _, h := range ok.GetHeaders() {
			if h.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || h.GetHeader().GetValue() == "" {
				t.Errorf("%s: %v", name, h)
			}
			if slices.Contains(ok.GetHeadersToRemove(), h.GetHeader().GetKey()) || !strings.HasPrefix(h.GetHeader().GetKey(), "X-Vipps-") {
				t.Errorf("%s: %s is set, and to be removed: %q", name, h.GetHeader().GetKey(), ok.GetHeadersToRemove())
			}
		}
		if got := ok.GetHeadersToRemove(); !slices.Equal(got, []string{"X-Vipps-Gender", "X-Vipps-Proxy-Secret"}) {
			t.Errorf("%s: to be removed: %q", name, got)
		}
		if len(ok.GetResponseHeadersToAdd())+len(ok.GetQueryParametersToSet())+len(ok.GetQueryParametersToRemove()) > 0 {
			t.Errorf("%s: more than headers: %v", name, ok)
		}
	}
}

// Without a session the client gets what forward-auth would have answered, and no identity header.
func TestSec_A128_Denies(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for name, tt := range map[string]struct {
		q      *auth.CheckRequest
		status int
		header [2]string
		body   string
	}{
		"navigation": {l.asked("GET", "/a?b", "accept", "text/html"), 302, [2]string{"Location", l.site.URL + "/_vipps/login?rd=%2Fa%3Fb"}, ""},
		"fetch":      {l.asked("GET", "/a", "sec-fetch-mode", "cors"), 401, [2]string{"Content-Type", "application/json"}, `"login_required"`},
		"form":       {l.asked("POST", "/a", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document"), 401, [2]string{"Content-Type", "text/html; charset=utf-8"}, "sent"},
		"head":       {l.asked("HEAD", "/a", "accept", "text/html"), 302, [2]string{"Cache-Control", "no-store"}, ""},
	} {
		a := l.check(tt.q)
		no := a.GetDeniedResponse()
		if a.GetStatus().GetCode() == 0 || int(no.GetStatus().GetCode()) != tt.status || !strings.Contains(no.GetBody(), tt.body) {
			t.Errorf("%s: %v", name, a)
		}
		if got := lines(no.GetHeaders(), tt.header[0]); len(got) != 1 || got[0] != tt.header[1] {
			t.Errorf("%s: %s %q", name, tt.header[0], got)
		}
		if lines(no.GetHeaders(), "X-Vipps-Sub") != nil || lines(no.GetHeaders(), "Content-Length") != nil || a.GetErrorResponse() != nil {
			t.Errorf("%s: %v", name, no.GetHeaders())
		}
	}
}

// What Envoy doesn't say plainly is denied, and nothing is an error.
func TestSec_B060_Refuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	with := func(change func(*auth.AttributeContext_HttpRequest)) *auth.CheckRequest {
		q := l.asked("GET", "/a", "cookie", l.cookie)
		change(q.Attributes.Request.Http)
		return q
	}
	policy := l.asked("GET", "/a", "cookie", l.cookie)
	policy.Attributes.ContextExtensions = map[string]string{"policy": "admin"}
	for name, tt := range map[string]struct {
		q      *auth.CheckRequest
		status int
	}{
		"nothing":              {&auth.CheckRequest{}, 401},
		"no request":           {&auth.CheckRequest{Attributes: &auth.AttributeContext{}}, 401},
		"a TCP connection":     {&auth.CheckRequest{Attributes: &auth.AttributeContext{Source: &auth.AttributeContext_Peer{}}}, 401},
		"no method":            {with(func(r *auth.AttributeContext_HttpRequest) { r.Method = "" }), 401},
		"no scheme":            {with(func(r *auth.AttributeContext_HttpRequest) { r.Scheme = "" }), 401},
		"another scheme":       {with(func(r *auth.AttributeContext_HttpRequest) { r.Scheme = "javascript" }), 401},
		"no host":              {with(func(r *auth.AttributeContext_HttpRequest) { r.Host = "" }), 401},
		"another host":         {with(func(r *auth.AttributeContext_HttpRequest) { r.Host = "other.example" }), 421},
		"no path":              {with(func(r *auth.AttributeContext_HttpRequest) { r.Path = "" }), 401},
		"OPTIONS *":            {with(func(r *auth.AttributeContext_HttpRequest) { r.Method, r.Path = "OPTIONS", "*" }), 401},
		"64 KB":                {with(func(r *auth.AttributeContext_HttpRequest) { r.Path = "/" + strings.Repeat("a", 64<<10) }), 401},
		"an unknown policy":    {policy, 403},
		"an alias":             {l.asked("GET", "/a", "cookie", l.cookie, "x_vipps_sub", "evil"), 403},
		"an unused header":     {l.asked("GET", "/a", "cookie", l.cookie, "x-vipps-nin", "evil"), 403},
		"an alias in headers":  {with(func(r *auth.AttributeContext_HttpRequest) { r.Headers = map[string]string{"x.vipps.sub": "evil"} }), 403},
		"policy from a client": {l.asked("GET", "/a?policy=default", "policy", "default", "cookie", "vippsauth=x", "sec-fetch-mode", "cors"), 401},
	} {
		a := l.check(tt.q)
		if got := int(a.GetDeniedResponse().GetStatus().GetCode()); got != tt.status || a.GetStatus().GetCode() == 0 {
			t.Errorf("%s: %d, want %d", name, got, tt.status)
		}
	}
}

// Lines that Envoy has joined with commas, or that are doubled, give nobody another's session.
func TestSec_B086_DoubledHeaders(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for name, q := range map[string]*auth.CheckRequest{
		"cookies joined":      about(&auth.AttributeContext_HttpRequest{Headers: map[string]string{"cookie": "a=b," + l.cookie, "sec-fetch-mode": "cors"}}),
		"cookies joined, too": about(&auth.AttributeContext_HttpRequest{Headers: map[string]string{"cookie": l.cookie + ",vippsauth=x", "sec-fetch-mode": "cors"}}),
		"modes joined":        about(&auth.AttributeContext_HttpRequest{Headers: map[string]string{"sec-fetch-mode": "navigate,navigate", "sec-fetch-dest": "document", "accept": "text/html"}}),
		"modes doubled":       l.asked("GET", "/a", "sec-fetch-mode", "navigate", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "accept", "text/html"),
	} {
		r := q.Attributes.Request.Http
		r.Method, r.Path, r.Scheme, r.Host = "GET", "/a", "http", l.site.Listener.Addr().String()
		if a := l.check(q); a.GetDeniedResponse().GetStatus().GetCode() != 401 {
			t.Errorf("%s: %v", name, a)
		}
	}
	q := l.asked("GET", "/a", "cookie", "a=b", "cookie", l.cookie, "x-vipps-sub", "evil", "x-vipps-sub", "evil")
	if a := l.check(q); len(lines(a.GetOkResponse().GetHeaders(), "X-Vipps-Sub")) != 1 || lines(a.GetOkResponse().GetHeaders(), "X-Vipps-Sub")[0] == "evil" {
		t.Errorf("two lines of cookies, as they are, and of ours: %v", a)
	}
}

// Only trusted peers may ask, and only with the proxy's secret where there is one.
func TestSec_C060_C064_B005_UntrustedPeers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forwardauth.Config){
		"nobody trusted": func(c *forwardauth.Config) { c.TrustedProxies = nil },
		"another peer":   func(c *forwardauth.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} },
		"no secret":      func(c *forwardauth.Config) { c.ProxySecret = "a secret of the proxy" },
	} {
		l := newLab(t, change)
		// A client's own header isn't the proxy's word.
		a := l.check(l.asked("GET", "/", "cookie", l.cookie, "x-vipps-proxy-secret", "a secret of the proxy"))
		if a.GetDeniedResponse().GetStatus().GetCode() != 403 || !strings.Contains(a.GetDeniedResponse().GetBody(), "untrusted_peer") {
			t.Errorf("%s: %v", name, a)
		}
		if logs := l.log.FilterMessageSnippet("not trusted").All(); len(logs) != 1 || logs[0].ContextMap()["cure"] == "" {
			t.Errorf("%s: the log has %v", name, logs)
		}
	}
	l := newLab(t, func(c *forwardauth.Config) { c.ProxySecret = "a secret of the proxy" })
	for secret, want := range map[string]bool{"a secret of the proxy": true, "another": false} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-vipps-proxy-secret", secret)
		a, err := auth.NewAuthorizationClient(l.conn).Check(ctx, l.asked("GET", "/", "cookie", l.cookie))
		if err != nil || (a.GetOkResponse() != nil) != want {
			t.Errorf("with a secret: %v %v", a, err)
		}
	}
}

// raw sends bytes as they are: strings that are no UTF-8, and what is no message at all.
type raw []byte

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return v.(raw), nil }
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*raw) = slices.Clone(b)
	return nil
}

// A question that can't be read is a denial: Envoy would take gRPC's own error for one, and failure_mode_allow lets those
// pass. The same goes for a value that gRPC can't carry.
func TestSec_B087_NeverAnError(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for name, message := range map[string]raw{
		"garbage":         raw("\xff\xff\xff\xff"),
		"a path, no text": raw("\x0a\x08\x22\x06\x12\x04\x22\x02/\xff"),
	} {
		var answer raw
		if err := l.conn.Invoke(t.Context(), "/envoy.service.auth.v3.Authorization/Check", message, &answer, grpcForce(raw{})); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a := decode(t, answer)
		if a.GetDeniedResponse().GetStatus().GetCode() != http.StatusBadRequest || a.GetStatus().GetCode() == 0 {
			t.Errorf("%s: %v", name, a)
		}
	}
	l = newLab(t, func(c *forwardauth.Config) { c.HeaderEncoding = "latin1" })
	if a := l.check(l.asked("GET", "/", "cookie", l.cookie)); a.GetDeniedResponse().GetStatus().GetCode() != 403 || l.log.FilterMessageSnippet("UTF-8").Len() != 1 {
		t.Errorf("a header in Latin-1: %v", a)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.TrustedProxies = nil })
	health := grpc_health_v1.NewHealthClient(l.conn)
	for name, want := range map[string]codes.Code{"": codes.OK, "envoy.service.auth.v3.Authorization": codes.OK, "other": codes.NotFound} {
		a, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if status.Code(err) != want || err == nil && a.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", name, a, err)
		}
	}
	watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("Watch: %v", err)
	}
}

// A stop answers what is there and takes nothing new; a question that is too large never reaches the engine.
func TestSec_C070_LimitsAndStop(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	_, err := auth.NewAuthorizationClient(l.conn).Check(t.Context(), l.asked("GET", "/", "x", strings.Repeat("a", 2<<20)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("2 MiB: %v", err)
	}
	large := metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("a", 32<<10))
	if _, err := auth.NewAuthorizationClient(l.conn).Check(large, l.asked("GET", "/")); err == nil {
		t.Error("metadata is not limited")
	}
	addr := l.conn.Target()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("still listening")
	}
}

// The policy is that of the route's context_extensions, and nothing that a client writes.
func TestPolicies(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Policies = []forwardauth.Policy{{Name: "board", Allow: []string{"4790000002"}}}
	})
	for policy, want := range map[string]bool{"": false, "default": true, "board": false, "nobody": false, "/": false} {
		q := l.asked("GET", "/a?policy=default", "cookie", l.cookie, "policy", "default")
		q.Attributes.ContextExtensions = map[string]string{"policy": policy}
		a := l.check(q)
		if (a.GetOkResponse() != nil) != want || !want && a.GetDeniedResponse().GetStatus().GetCode() != 403 {
			t.Errorf("policy %q: %v", policy, a)
		}
	}
}
