package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func fuzzed(f *testing.F) *emulator.Emulator {
	f.Helper()
	e, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:4192", RSABits: 1024, Spinner: -1,
		Clients: []emulator.Client{{ID: "shop", Secret: "secret", RedirectURIs: []string{callback}, AppURIs: []string{"eksempelapp://callback"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	return e
}

// Whatever the query: no answer of 500, and no redirect but to a registered URI or our own pages, on one line.
func FuzzAuthorize(f *testing.F) {
	e := fuzzed(f)
	const good = "client_id=shop&response_type=code&scope=openid&state=12345678&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F_vipps%2Fcallback"
	for _, seed := range []string{
		"", good, good + "&requested_flow=no_dialog", good + "&market=XX&nonce=%00", good + "&state=x", good + ";a=b", "client_id=%zz",
		strings.Replace(good, "client_id=shop", "msn=123456", 1), "msn=123456&\r\nX: y", good + "&requested_flow=app_to_app&app_callback_uri=eksempelapp%3A%2F%2Fcallback",
		good + "&scope=%0d%0aX: y", good + "&code_challenge=abc&code_challenge_method=S256", strings.Replace(good, "12345678", "%0d%0aLocation:x", 1),
	} {
		f.Add(seed, "nb;q=0.5,en")
	}
	f.Fuzz(func(t *testing.T, query, language string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, e.Issuer()+"oauth2/auth", nil)
		r.URL.RawQuery, r.Host = query, "127.0.0.1"
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		loc := w.Header().Get("Location")
		switch w.Code {
		case http.StatusFound:
			if !strings.HasPrefix(loc, callback+"?") && !strings.HasPrefix(loc, "eksempelapp://callback?") && !strings.HasPrefix(loc, e.Issuer()+"oauth2/auth?") && !strings.HasPrefix(loc, "/vipps-login-idp/index.html?tabId=") || strings.ContainsAny(loc, "\r\n") {
				t.Errorf("redirect to %q", loc)
			}
		case http.StatusBadRequest, http.StatusBadGateway:
			if loc != "" {
				t.Errorf("%d with Location %q", w.Code, loc)
			}
		default:
			t.Errorf("status %d", w.Code)
		}
	})
}

// Whatever the body and the Authorization header: an OAuth error and never a token, since there is no code.
func FuzzToken(f *testing.F) {
	e := fuzzed(f)
	f.Add("grant_type=authorization_code&code=x&redirect_uri=y", basic("shop", "secret"))
	f.Add("grant_type=authorization_code&client_id=shop&client_secret=secret&code=", "")
	f.Add("grant_type=%zz", "Basic ")
	f.Add("a=b;c=d&&&=", "Basic Og==")
	f.Add("", "Basic JTpQ")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.Issuer()+"oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		m := answer{body: w.Body.String()}.json(t)
		if w.Code < 400 || w.Code >= 500 || m["error"] == nil || m["access_token"] != nil {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// Whatever a control verb is sent: ok or an error in JSON.
func FuzzControl(f *testing.F) {
	e := fuzzed(f)
	for _, verb := range []string{"add-client", "add-person", "advance", "break", "no-dialog", "consent", "nothing", ""} {
		f.Add(verb, `{"id":"a","secret":"b","phone":"4790000050","duration":"1s","kind":"wrong-iss","mode":"real"}`)
		f.Add(verb, `{}`)
	}
	f.Fuzz(func(t *testing.T, verb, args string) {
		if verb == "rotate-keys" || verb == "delay" {
			return // slow
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/_emulator/", strings.NewReader(args))
		r.URL.Path, r.RemoteAddr = "/_emulator/"+verb, "127.0.0.1:1234"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		m := answer{body: w.Body.String()}.json(t)
		if (w.Code == 200) != (m["ok"] == true) || (w.Code != 200 && m["error"] == nil) || w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
