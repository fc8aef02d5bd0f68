package forwardauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

func userinfoSub(v any) func(*provider) {
	return func(p *provider) { p.userinfo = func(u obj) { u["sub"] = v } }
}

// appended adds members to the ID token's payload as text, so that a name can stand twice.
func appended(members string) func(*provider) {
	return func(p *provider) {
		p.payload = func(c obj) []byte {
			data, _ := json.Marshal(c)
			return append(data[:len(data)-1], []byte(","+members+"}")...)
		}
	}
}

// The complete list of what an ID token and userinfo are checked for, each end to end.
func TestSec_IDTokenAndUserinfoChecks(t *testing.T) {
	t.Parallel()
	in := func(name string, d time.Duration) func(*provider) {
		return func(p *provider) { p.claims = func(c obj) { c[name] = p.now().Add(d).Unix() } }
	}
	all := calls{1, 1, 1, 1, 1}
	for _, m := range []module{
		{"A070_iss-without-its-slash", func(p *provider) {
			p.claims = func(c obj) { c["iss"] = strings.TrimSuffix(p.issuer, "/") }
		}, vipps.CodeIssuerMismatch, calls{}},
		{"A070_iss-in-another-case", func(p *provider) {
			p.claims = func(c obj) { c["iss"] = strings.Replace(p.issuer, "http", "HTTP", 1) }
		}, vipps.CodeIssuerMismatch, calls{}},
		{"A071_aud-and-azp-of-two", func(p *provider) {
			p.claims = func(c obj) { c["aud"], c["azp"] = []string{rpID, "other"}, rpID }
		}, vipps.CodeAudience, calls{}},
		{"A071_azp-of-another", claim("azp", "other"), vipps.CodeAudience, calls{}},
		{"A071_azp-in-another-case", claim("azp", strings.ToUpper(rpID)), vipps.CodeAudience, calls{}},
		{"A071_azp-of-another-type", claim("azp", []string{rpID}), vipps.CodeAudience, calls{}},
		{name: "A071_own-azp", setup: claim("azp", rpID)},
		{name: "A072_es256-that-is-not-announced", setup: func(p *provider) { p.keys = []opKey{{"public:ec", jose.ES256, opEC()}} }},
		{"A072_ps256-that-is-announced", func(p *provider) {
			p.metadata = func(m obj) { m["id_token_signing_alg_values_supported"] = []string{"PS256", "none", "HS256"} }
			p.sign = opKey{"public:one", jose.PS256, opRSA[0]()}.sign
		}, vipps.CodeAlgorithm, noKeys},
		{"A073_nbf-to-come", in("nbf", 90*time.Second), vipps.CodeIssuedInFuture, calls{}},
		{"A073_iat-to-come", in("iat", 90*time.Second), vipps.CodeIssuedInFuture, calls{}},
		{"A073_exp-passed", in("exp", -90*time.Second), vipps.CodeExpired, calls{}},
		{name: "A073_exp-just-passed", setup: in("exp", -30*time.Second)},
		{name: "A073_iat-just-to-come", setup: in("iat", 30*time.Second)},
		{"A073_iat-as-text", claim("iat", "1772366400"), vipps.CodeMalformedToken, calls{}},
		{"A074_nonce-in-another-case", func(p *provider) {
			p.claims = func(c obj) { c["nonce"] = strings.ToUpper(c["nonce"].(string)) }
		}, vipps.CodeNonce, calls{}},
		{"A075_at_hash-of-another-token", claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), vipps.CodeAccessTokenHash, calls{}},
		{"A076_sub-as-number", claim("sub", 7), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-as-array", claim("sub", []string{opSub}), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-as-object", claim("sub", obj{"id": opSub}), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-with-line-break", claim("sub", opSub+"\r\nX-Vipps-Name: Mallory"), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-with-comma", claim("sub", opSub+",another"), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-of-256", claim("sub", strings.Repeat("s", 256)), vipps.CodeInvalidSubject, calls{}},
		{"A076_sub-beyond-ascii", claim("sub", "Åse"), vipps.CodeInvalidSubject, calls{}},
		{"A077_userinfo-of-another", userinfoSub("mallory"), vipps.CodeSubjectMismatch, all},
		{"A077_userinfo-in-another-case", userinfoSub(strings.ToUpper(opSub)), vipps.CodeSubjectMismatch, all},
		{"A077_userinfo-of-nobody", userinfoSub(nil), vipps.CodeSubjectMismatch, all},
		{"A077_userinfo-sub-in-an-array", userinfoSub([]string{opSub}), vipps.CodeSubjectMismatch, all},
		{"A078_sub-twice", appended(`"sub":"mallory"`), vipps.CodeMalformedToken, calls{}},
		{"A078_sub-twice-escaped", appended(`"\u0073ub":"mallory"`), vipps.CodeMalformedToken, calls{}},
		{"A078_iss-twice", appended(`"iss":"https://evil.example/"`), vipps.CodeMalformedToken, calls{}},
		{"A078_aud-twice", appended(`"aud":"other"`), vipps.CodeMalformedToken, calls{}},
		{"A078_nonce-twice", appended(`"nonce":"n"`), vipps.CodeMalformedToken, calls{}},
		{"A078_exp-twice", appended(`"exp":99999999999`), vipps.CodeMalformedToken, calls{}},
		{name: "A078_sub-in-other-cases-beside", setup: appended(`"Sub":"mallory","SUB":"mallory","\u017Fub":"mallory"`)},
		{name: "A078_nonce-in-other-cases-beside", setup: appended(`"NONCE":"x","Nonce":"y"`)},
		{"A078_iss-in-another-case-beside", appended(`"ISS":"https://evil.example/"`), vipps.CodeMalformedToken, calls{}}, // go-oidc folds: closed, not open
		{"A078_sub-in-another-case-only", func(p *provider) {
			p.claims = func(c obj) { delete(c, "sub"); c["SUB"] = opSub }
		}, vipps.CodeMissingClaim, calls{}},
		{"A078_aud-in-another-case-only", func(p *provider) {
			p.claims = func(c obj) { delete(c, "aud"); c["Aud"] = rpID }
		}, vipps.CodeMissingClaim, calls{}},
		{"A078_userinfo-sub-in-another-case-only", func(p *provider) {
			p.userinfo = func(u obj) { delete(u, "sub"); u["Sub"] = opSub }
		}, vipps.CodeSubjectMismatch, all},
		{name: "A078_userinfo-sub-in-other-cases-beside", setup: func(p *provider) {
			p.userinfo = func(u obj) { u["Sub"], u["SUB"], u["Name"] = "mallory", "mallory", "Mallory" }
		}},
		{"A078_userinfo-sub-twice", func(p *provider) {
			p.handlers[epUserinfo] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"sub":"` + opSub + `","name":"Åse Ødegård","sub":"mallory"}`))
			}
		}, vipps.CodeInvalidResponse, all},
		{"A078_id_token-twice", func(p *provider) {
			p.handlers[epToken] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"access_token":"at-1","token_type":"Bearer","id_token":"a.b.c","id_token":"d.e.f"}`))
			}
		}, vipps.CodeInvalidResponse, calls{1, 1, 1, 0, 0}},
	} {
		t.Run(m.name, m.run)
	}
}

// Every answer is read up to a limit: the provider can't have more than a few MB of the 64 that it would send taken from it.
func TestSec_A079_A191_EndlessAnswers(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{epDiscovery, epToken, epKeys, epUserinfo} {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			t.Run(endpoint+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				p := newProvider(t)
				sent := make(chan int, 4)
				p.handlers[endpoint] = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(status)
					chunk, n := []byte(strings.Repeat(" ", 1<<20)), 0
					for range 64 {
						m, err := w.Write(chunk)
						if n += m; err != nil {
							break
						}
					}
					sent <- n
				}
				r := newRP(t, p, nil)
				code := vipps.CodeTooLarge
				if status != http.StatusOK {
					code = vipps.CodeHTTP
				}
				r.refused(code)
				if n := <-sent; n > 32<<20 {
					t.Errorf("%d MB were taken", n>>20)
				}
			})
		}
	}
}

// A redirect is never followed: not to another host, where the code, the credentials or the access token would go, and
// not to the same one either.
func TestSec_A080_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{epDiscovery, epToken, epKeys, epUserinfo} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(endpoint+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				p := newProvider(t)
				to := trap(t) + "/stolen"
				if status == 303 || status == 308 {
					to = p.srv.URL + "/elsewhere" // counted as a stray
				}
				p.handlers[endpoint] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
				r := newRP(t, p, nil)
				r.refused(vipps.CodeRedirect)
				r.want(map[string]calls{epDiscovery: {discovery: 1}, epToken: {1, 1, 1, 0, 0}, epKeys: {1, 1, 1, 1, 0}, epUserinfo: {1, 1, 1, 1, 1}}[endpoint])
			})
		}
	}
}

// What the provider says in an error is for nobody's eyes but the operator's, and there without what may be personal or
// secret: neither page nor log repeat it raw.
func TestSec_A081_ErrorBodiesAreNotEchoed(t *testing.T) {
	t.Parallel()
	marks := []string{"<script>", "onerror", "4790000001", "aase@example.com", "ya29.a0AfH6SMBx7Qq4m1Vn3kq9w2d8s7f6g5h4j3k2l1", "evil.example", "\x1b[31m", "line\nbreak"}
	body, err := json.Marshal(obj{
		"error": "odd_<script>alert(1)</script>", "error_description": strings.Join(marks, " "), "error_uri": "https://evil.example/",
		"title": marks[2], "detail": marks[3], "secret": marks[4],
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{epDiscovery, epToken, epKeys, epUserinfo, epAuthorize} {
		for _, contentType := range []string{"application/json", "text/html"} {
			t.Run(endpoint+" "+contentType, func(t *testing.T) {
				t.Parallel()
				p := newProvider(t)
				if endpoint == epAuthorize {
					p.redirect = func(q url.Values) {
						q.Del("code")
						q.Set("error", "odd_<script>")
						q.Set("error_description", strings.Join(marks, " "))
						q.Set("error_uri", "https://evil.example/")
					}
				} else {
					p.handlers[endpoint] = func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Type", contentType)
						w.Header().Set("WWW-Authenticate", `Bearer error_description="`+marks[2]+`"`)
						w.WriteHeader(http.StatusBadRequest)
						_, _ = w.Write(body)
					}
				}
				r := newRP(t, p, nil)
				a := r.browser().visit("/page?x=1")
				shown := strings.ToLower(a.text)
				for _, e := range r.log.All() {
					data, _ := json.Marshal(e.ContextMap())
					for _, mark := range []string{"4790000001", "aase@example.com", "ya29.", "alert(1)", `\u001b`, "\x1b", "<script", `\u003cscript>alert`} {
						if strings.Contains(string(data), mark) {
							t.Errorf("the log repeats %q: %s", mark, data)
						}
					}
				}
				for _, mark := range []string{"<script>", "onerror", "4790000001", "aase@example.com", "ya29.", "evil.example", "odd_", "alert(1)"} {
					if strings.Contains(shown, mark) {
						t.Errorf("the page repeats %q", mark)
					}
				}
			})
		}
	}
}

// RFC 9700 in the client's role, as far as it is about this end of the login.
func TestSec_RFC9700(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	b := r.browser()
	start := b.send("GET", "/_vipps/login?rd=/page", navigation(), "")
	to, _ := url.Parse(start.Header.Get("Location"))
	back := b.send("GET", to.String(), navigation(), "")
	callback := back.Header.Get("Location")
	code := mustURL(t, callback).Query().Get("code")
	done := b.send("GET", callback, navigation(), "")

	t.Run("A090_nothing-of-ours-redirects-elsewhere", func(t *testing.T) {
		for _, to := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "https:evil.example", "/\t/evil.example", "javascript:alert(1)", "@evil.example", ".evil.example"} {
			q := url.Values{}
			for _, name := range []string{"rd", "redirect", "redirect_uri", "next", "url", "target_link_uri", "post_logout_redirect_uri", "return_to", "t"} {
				q.Set(name, to)
			}
			for _, path := range []string{"/_vipps/login", "/_vipps/logout", "/_vipps/result", "/_vipps/callback", "/_vipps/me"} {
				for _, a := range []answer{b.send("GET", path+"?"+q.Encode(), navigation(), ""), r.browser().send("GET", path+"?"+q.Encode(), navigation(), ""), r.browser().post(path, q)} {
					where := a.Header.Get("Location")
					own := where == "" || strings.HasPrefix(where, r.site.URL+"/") || strings.HasPrefix(where, r.op.url(epAuthorize)+"?") ||
						strings.HasPrefix(where, "/") && !strings.HasPrefix(where, "//") && !strings.HasPrefix(where, `/\`)
					if !own || strings.Contains(a.text, "evil.example") {
						t.Errorf("%s %s with %q leads to %q", a.Request.Method, path, to, where)
					}
				}
			}
		}
	})
	t.Run("A095_the-callback-redirects-at-once", func(t *testing.T) {
		if done.StatusCode != http.StatusSeeOther && done.StatusCode != http.StatusFound {
			t.Errorf("got %d %s", done.StatusCode, done.text)
		}
		if where := done.Header.Get("Location"); strings.Contains(where, code) || strings.Contains(where, "state=") {
			t.Errorf("the code stays in the address: %s", where)
		}
		if strings.Contains(done.text, "<script") || strings.Contains(done.text, "<img") || strings.Contains(done.text, code) {
			t.Errorf("the answer holds %s", done.text)
		}
		if done.Header.Get("Referrer-Policy") != "no-referrer" || done.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", done.Header)
		}
	})
	t.Run("A095_also-when-it-fails", func(t *testing.T) {
		for _, query := range []string{"", "?code=c&state=s", "?error=access_denied&state=s", "?code=c&state=s&state=t"} {
			a := b.send("GET", "/_vipps/callback"+query, navigation(), "")
			if a.StatusCode != http.StatusSeeOther || a.text != "" || strings.Contains(a.Header.Get("Location"), "code=") || a.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%q: %d %q %v", query, a.StatusCode, a.text, a.Header)
			}
		}
	})
	t.Run("A096_no-307-after-a-POST", func(t *testing.T) {
		for _, path := range []string{"/_vipps/login", "/_vipps/logout"} {
			a := r.browser().post(path, url.Values{"rd": {"/page"}})
			if a.StatusCode != http.StatusSeeOther && a.StatusCode != http.StatusFound {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
		}
	})
	t.Run("A097_no-identity-but-ours", func(t *testing.T) {
		h := navigation()
		h.Set("X-Vipps-Sub", "mallory")
		h.Set("X_Vipps_Name", "Mallory")
		h.Set("x-vipps-is-admin", "1")
		b.send("GET", "/page", h, "")
		got := r.last().Header
		if got.Get("X-Vipps-Sub") != opSub || len(got["X-Vipps-Sub"]) != 1 || got.Get("X_Vipps_Name") != "" || got.Get("X-Vipps-Is-Admin") != "" {
			t.Errorf("the app was told %v", got)
		}
	})
	t.Run("A098_state-holds-nothing-to-read-or-change", func(t *testing.T) {
		state := to.Query().Get("state")
		id, _, _ := strings.Cut(state, ".")
		if len(id) != 43 || strings.Contains(state, "page") || strings.Contains(state, b64("/page")) || strings.Contains(state, to.Query().Get("nonce")) {
			t.Errorf("state is %q", state)
		}
	})
	t.Run("A100_no-page-of-ours-can-be-framed", func(t *testing.T) {
		for _, path := range []string{"/_vipps/result?t=x", "/_vipps/logout", "/_vipps/nothing"} {
			a := b.send("GET", path, navigation(), "")
			if a.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
			}
		}
	})
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
