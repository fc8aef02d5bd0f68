package vipps_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const ourApp = "eksempelapp://callback"

// leave follows an address until it leads off the emulator, and gives where.
func (b browser) leave(t *testing.T, srv *emulator.Server, address string) *url.URL {
	t.Helper()
	c := *b.http
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), srv.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the browser stays at %s with %s", resp.Request.URL.Path, resp.Status)
	}
	return to
}

// The flows of apps against the emulator's idea of them: the merchant's app is opened with the state, goes on in the browser or hears
// of an error, and the login ends at the redirect URI, which may be the app's own.
func TestEmulatorAppFlows(t *testing.T) {
	t.Parallel()
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{
		{ID: clientID, Secret: clientSecret, RedirectURIs: []string{appCallback}, AppURIs: []string{ourApp}, Advanced: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	person := emulator.FixturePeople()[0]
	if err := srv.Control().AutoApprove(person.Phone); err != nil {
		t.Fatal(err)
	}
	c, ctx := emulatorClient(t, srv), context.Background()
	for name, r := range map[string]vipps.LoginRequest{
		"app to app":         {RedirectURI: appCallback, Flow: vipps.FlowAppToApp, AppCallbackURI: ourApp},
		"ends in the app":    {RedirectURI: ourApp, Flow: vipps.FlowAppToApp, AppCallbackURI: ourApp, FinalRedirectIsApp: true},
		"app to app, simple": {RedirectURI: ourApp, Flow: vipps.FlowAppToAppV2},
		"automatic return":   {RedirectURI: appCallback, Flow: vipps.FlowAutomaticReturn},
	} {
		pending, to, err := c.BeginLogin(ctx, r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b := newBrowser(t)
		back := b.leave(t, srv, to)
		if r.Flow == vipps.FlowAppToApp {
			state, resume, code, err := vipps.ParseAppCallback(back.Query())
			if err != nil || state != pending.State || code != "" || !strings.HasPrefix(resume, srv.URL) {
				t.Fatalf("%s: the app hears %q, %v", name, code, err)
			}
			back = b.leave(t, srv, resume)
		}
		if !strings.HasPrefix(back.String(), r.RedirectURI) {
			t.Errorf("%s: ends at %s://%s", name, back.Scheme, back.Host)
		}
		if login, err := c.FinishLogin(ctx, pending, back.Query()); err != nil || login.User.Name != person.Name || login.ACR != emulator.ACRAppAuth {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []string{"", emulator.BreakAppCallback} {
		if kind != "" {
			if err := srv.Control().Break(kind, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Control().Deny("outdated_app_version"); err != nil {
			t.Fatal(err)
		}
		pending, to, err := c.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: appCallback, Flow: vipps.FlowAppToApp, AppCallbackURI: ourApp})
		if err != nil {
			t.Fatal(err)
		}
		state, resume, code, err := vipps.ParseAppCallback(newBrowser(t).leave(t, srv, to).Query())
		if err != nil || state != pending.State || resume != "" || code != "outdated_app_version" {
			t.Errorf("%s: the app hears %q, %v", kind, code, err)
		}
	}
}
