package integration_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A tap is the emulator's address. It plants every code, verifier, token and claim that goes over it.
type tap struct {
	emulator http.Handler
	srv      *httptest.Server
}

// startVipps starts an emulator behind a tap.
func startVipps(t testing.TB, cfg emulator.Config) (*emulator.Server, *tap) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.BaseURL = "http://" + ln.Addr().String()
	v, err := emulator.Start("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{emulator: v.Emulator}
	tp.srv = httptest.NewUnstartedServer(tp)
	_ = tp.srv.Listener.Close()
	tp.srv.Listener = ln
	tp.srv.Start()
	return v, tp
}

func (tp *tap) close() {
	tp.srv.CloseClientConnections()
	tp.srv.Close()
}

func (tp *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if !strings.HasSuffix(path, "/oauth2/token") && !strings.HasSuffix(strings.TrimSuffix(path, "/"), "/userinfo") {
		tp.emulator.ServeHTTP(w, r)
		return
	}
	var asked bytes.Buffer
	if r.Body != nil {
		_, _ = asked.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20))
		r.Body = http.NoBody
		if asked.Len() > 0 {
			r.Body = readCloser{bytes.NewReader(asked.Bytes())}
		}
	}
	heard := &heard{ResponseWriter: w}
	tp.emulator.ServeHTTP(heard, r)
	plantForm(asked.String())
	var answer map[string]any
	if json.Unmarshal(heard.body.Bytes(), &answer) == nil {
		plantClaims("", answer)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// heard keeps a copy of an answer.
type heard struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	_, _ = h.body.Write(b)
	return h.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (h *heard) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// plantForm plants what a client sends to the token endpoint.
func plantForm(body string) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return
	}
	for name, kind := range map[string]string{"code": "code", "code_verifier": "PKCE verifier", "client_secret": "client secret"} {
		privacy.plant(kind, form.Get(name))
	}
}

// plantClaims plants what the provider answers with: tokens, and the claims of a person, each as its own kind.
func plantClaims(kind string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			plantClaims(name, member)
		}
	case []any:
		for _, member := range v {
			plantClaims(kind, member)
		}
	case string:
		if name, known := planted()[kind]; known {
			privacy.plant(name, v)
			if header, rest, isJWT := strings.Cut(v, "."); isJWT && strings.HasPrefix(header, "ey") {
				for part := range strings.SplitSeq(rest, ".") {
					privacy.plant(name, part)
				}
			}
		}
	}
}

// planted names the members of the provider's answers that are somebody's.
func planted() map[string]string {
	return map[string]string{
		"access_token": "access token", "id_token": "ID token", "sub": "sub", "name": "name", "given_name": "given name", "family_name": "family name",
		"email": "e-mail address", "phone_number": "phone number", "birthdate": "birthdate", "nin": "national identity number",
		"street_address": "address", "formatted": "address", "postal_code": "address", "region": "address", "account_number": "account", "account_name": "account", "bank_name": "account",
		"gender": "gender",
	}
}

// closeVipps takes the provider away.
func (f *front) closeVipps() error {
	f.tap.close()
	return f.vipps.Close()
}

// isSite reports whether an address is the site's, and not the provider's.
func (f *front) isSite(u *url.URL) bool {
	return f.vipps == nil && strings.HasPrefix(u.Path, "/_vipps/") || f.vipps != nil && "http://"+u.Host != f.vipps.URL
}
