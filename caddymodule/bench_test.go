package caddymodule_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/vippsauth/vippsauth/caddymodule"
)

// BenchmarkServeHTTP compares a protected route whose session is warm with the same route without the handler.
func BenchmarkServeHTTP(b *testing.B) {
	handler, cookie := provisioned(b)
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	ask := func(h caddyhttp.Handler) (status int, err error) {
		r := httptest.NewRequest(http.MethodGet, "http://localhost:4180/boats?harbour=7", nil)
		r.Header["Cookie"] = []string{cookie}
		r.Header["Accept"] = []string{"text/html"}
		w := httptest.NewRecorder()
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		err = h.ServeHTTP(w, r)
		return w.Code, err
	}
	for name, h := range map[string]caddyhttp.Handler{
		"next": next,
		"vipps_auth": caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return handler.ServeHTTP(w, r, next)
		}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if status, err := ask(h); err != nil || status != http.StatusNoContent {
					b.Fatal(status, err)
				}
			}
		})
	}
}

// provisioned returns a handler and the cookie of a session with it.
func provisioned(b *testing.B) (*caddymodule.Handler, string) {
	b.Helper()
	const site = "http://localhost:4180"
	emu := provider(b, site)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	b.Cleanup(cancel)
	config, err := json.Marshal(map[string]any{
		"issuer": emu.Issuer, "client_id": "shop", "client_secret": "shop-secret", "public_url": []string{site}, "silent": "off",
		"scopes": []string{"openid", "name", "phoneNumber", "email"}, "cookie_keys_file": b.TempDir() + "/keys",
	})
	if err != nil {
		b.Fatal(err)
	}
	module, err := ctx.LoadModuleByID("http.handlers.vipps_auth", config)
	if err != nil {
		b.Fatal(err)
	}
	handler, ok := module.(*caddymodule.Handler)
	if !ok {
		b.Fatalf("%T", module)
	}
	return handler, login(b, handler, site)
}

// login goes through a login without a server, and returns the session's Cookie header.
func login(b *testing.B, handler *caddymodule.Handler, site string) string {
	b.Helper()
	cookies := map[string]string{}
	visit := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, site+path, nil)
		r.RequestURI = path
		r.Header.Set("Accept", "text/html")
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		if err := handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			b.Fatal(err)
		}
		for _, c := range w.Result().Cookies() {
			if cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(cookies, c.Name)
			}
		}
		return w.Header().Get("Location")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(visit("/_vipps/login?rd=%2F"))
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	callback, err := resp.Location()
	if err != nil {
		b.Fatal(err)
	}
	visit(callback.RequestURI())
	if len(cookies) == 0 {
		b.Fatal("no session")
	}
	header := ""
	for name, value := range cookies {
		header += name + "=" + value + "; "
	}
	return header + "theirs=1"
}
