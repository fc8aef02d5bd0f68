package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	revokedSecret = "b2f5ff47436671b6e533d8dc3614845d"
	callerToken   = "till-token-0123456789-0123456789-0123456789"
)

// hooked is a site whose webhooks come in by an address of their own, which the proxy in front makes another of.
func hooked(t *testing.T, path, revokedPath string) *front {
	t.Helper()
	f := newFront(t)
	err := f.vipps.Control().AddClient(emulator.Client{
		ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"},
		ConsentRevokedURI: f.origin + revokedPath + revokedSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := vipps.New(vipps.Config{Issuer: f.vipps.Issuer, ClientID: clientID, ClientSecret: clientSecret, SubscriptionKey: "0f14ebcab0ec4b29ae0cb90d91b4a84a"})
	if err != nil {
		t.Fatal(err)
	}
	hook, err := client.RegisterWebhook(t.Context(), f.origin+path)
	if err != nil {
		t.Fatal(err)
	}
	f.secrets.add("webhook secret", hook.Secret.Reveal())
	f.secrets.add("path of withdrawn consents", revokedSecret)
	f.secrets.add("token of a caller", callerToken)
	f.env = []string{
		"VIPPSAUTH_WEBHOOK_SECRETS=090a478d-37ff-4e77-970e-d457aeb26a3a," + hook.Secret.Reveal(), "VIPPSAUTH_CONSENT_REVOKED_SECRET=" + revokedSecret,
		fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x", sha256.Sum256([]byte(callerToken))),
	}
	f.serve("--trusted-proxies=loopback", "--webhook-url="+f.origin+path)
	return f
}

// delivered waits until the emulator has carried everything, and returns the last answer to a kind of delivery.
func delivered(f *front, kind string) (last emulator.Delivery) {
	f.t.Helper()
	eventually(f.t, "everything is delivered", func() bool {
		last = emulator.Delivery{}
		for _, d := range f.vipps.Control().Deliveries() {
			if d.Kind == kind {
				last = d
			}
		}
		return last.State != "" && last.State != emulator.DeliveryWaiting || last.Attempts > 1
	})
	return last
}

// Behind proxies that make another path of the registered one, as nginx does with a path behind proxy_pass and Caddy with handle_path, what Vipps
// signs fits, since it is the registered address that counts. A ping wakes the login that waits; a withdrawn consent ends the person's
// sessions. Attack: something is signed for the address inside, which is not the registered one.
func TestSec_A205_A148_WebhooksBehindRewritingProxies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, revoked string
		start         func(t *testing.T, f *front)
	}{
		"nginx": {"/hooks/vipps", "/hooks/revoked/", func(t *testing.T, f *front) {
			startNginx(t, f, "\t# 4. vippsauth's pages", `
	location = /hooks/vipps { auth_request off; proxy_pass http://vippsauth/_vipps/webhook; }
	location /hooks/revoked/ { auth_request off; access_log off; proxy_pass http://vippsauth/_vipps/consent-revoked/; }

	# 4. vippsauth's pages`)
		}},
		"caddy": {"/inside/_vipps/webhook", "/inside/_vipps/consent-revoked/", func(t *testing.T, f *front) {
			startCaddy(t, f, "", example(t, "caddy-forward-auth/Caddyfile", "http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(),
				"\t# vippsauth's pages: login, callback, logout.\n", "\thandle_path /inside/* {\n\t\treverse_proxy "+f.addr+"\n\t}\n"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "nginx" {
				need(t, name)
			}
			f := hooked(t, tt.path, tt.revoked)
			tt.start(t, f)
			wakes(f)
			endsSessions(f)
			before := f.metric(`vippsauth_webhooks_received_total{kind="webhook",outcome="accepted"}`)
			signedInside(f, tt.path)
			if after := f.metric(`vippsauth_webhooks_received_total{kind="webhook",outcome="accepted"}`); after != before+1 { // the one that was signed for the registered address, the second time a replay
				t.Errorf("%v are accepted, %v before", after, before)
			}
		})
	}
}

// signedInside sends a ping with the right secret's signature for the address that the service itself has, to that one and to the registered one.
func signedInside(f *front, path string) {
	f.t.Helper()
	secrets, _ := strings.CutPrefix(f.env[0], "VIPPSAUTH_WEBHOOK_SECRETS=")
	_, secret, _ := strings.Cut(secrets, ",")
	_, host, _ := strings.Cut(f.origin, "://")
	for address, status := range map[string]int{path: http.StatusOK, "/_vipps/webhook": http.StatusUnauthorized} {
		body := `{"auth_req_id":"inside"}`
		sum := sha256.Sum256([]byte(body))
		content, date := base64.StdEncoding.EncodeToString(sum[:]), time.Now().UTC().Format(http.TimeFormat)
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "POST\n%s\n%s;%s;%s", address, date, host, content)
		header := http.Header{
			"Authorization": {"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
			"X-Ms-Date":     {date}, "X-Ms-Content-Sha256": {content}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {address},
		}
		for _, to := range []string{f.origin + path, "http://" + f.addr + "/_vipps/webhook"} {
			if w := f.browser().send(http.MethodPost, to, header.Clone(), strings.NewReader(body)); w.StatusCode != status {
				f.t.Errorf("signed for %s, sent to %s: %d", address, to, w.StatusCode)
			}
		}
	}
}

// metric is a line of the service's metrics; 0 where there is none.
func (f *front) metric(name string) (value float64) {
	f.t.Helper()
	for line := range strings.Lines(f.get("http://" + f.ops + "/metrics").text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	return value
}

// wakes starts a login by telephone that is asked for once a minute, has it approved, and wants to know at once.
func wakes(f *front) {
	f.t.Helper()
	control := f.vipps.Control()
	if err := control.MerchantInterval(time.Minute); err != nil {
		f.t.Fatal(err)
	}
	type state struct{ ID, State string }
	call := func(method, path, body string) (s state) {
		f.t.Helper()
		req, err := http.NewRequestWithContext(f.t.Context(), method, f.origin+"/_vipps/merchant/logins"+path, strings.NewReader(body))
		if err != nil {
			f.t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + callerToken}, "Content-Type": {"application/json"}}
		client := http.Client{Timeout: 25 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
		w, err := client.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		defer w.Body.Close()
		if err := json.NewDecoder(w.Body).Decode(&s); err != nil || w.StatusCode >= 300 {
			f.t.Fatalf("%s %s: %d, %v", method, path, w.StatusCode, err)
		}
		return s
	}
	login := call(http.MethodPost, "", `{"phone":"`+phoneAase+`"}`)
	eventually(f.t, "the approval", func() bool { return control.MerchantApprove(phoneAase) == nil })
	began := time.Now()
	if s := call(http.MethodGet, "/"+login.ID+"?wait=20", ""); s.State != "approved" || time.Since(began) > 10*time.Second {
		f.t.Errorf("after %s: %+v", time.Since(began), s)
	}
	if d := delivered(f, emulator.DeliverWebhook); d.Status != http.StatusOK || d.Attempts != 1 {
		f.t.Errorf("the ping: %+v", d)
	}
	if n := f.metric(`vippsauth_webhook_pings_total{waited_for="yes"}`); n != 1 {
		f.t.Errorf("%v pings were waited for", n)
	}
}

// endsSessions has Åse withdraw her consent.
func endsSessions(f *front) {
	f.t.Helper()
	b := f.loggedIn()
	if w := b.send(http.MethodGet, f.origin+"/_vipps/me", nil, nil); w.StatusCode != http.StatusOK {
		f.t.Fatalf("before: %d %s", w.StatusCode, w.text)
	}
	if err := f.vipps.Control().RevokeConsent(phoneAase); err != nil {
		f.t.Fatal(err)
	}
	if d := delivered(f, emulator.DeliverConsentRevoked); d.Status != http.StatusOK || d.Attempts != 1 {
		f.t.Errorf("the withdrawal: %+v", d)
	}
	eventually(f.t, "the session ends", func() bool {
		return b.send(http.MethodGet, f.origin+"/_vipps/me", nil, nil).StatusCode == http.StatusUnauthorized
	})
}

// Attack: the address for withdrawn consents is a secret, and the proxy in front writes every address into its access log, where more people
// read it than should; and into its error log when vippsauth is away.
func TestSec_A170_E020_PathSecretStaysOutOfTheProxysLogs(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T, f *front){
		"nginx":   func(t *testing.T, f *front) { f.serve("--trusted-proxies=loopback"); startNginx(t, f) },
		"haproxy": func(t *testing.T, f *front) { f.serve("--trusted-proxies=loopback"); startHAProxy(t, f) },
		"caddy":   func(t *testing.T, f *front) { f.serve("--trusted-proxies=loopback"); startCaddyForwardAuth(t, f) },
		"apache2": func(t *testing.T, f *front) { f.serveApache(); startApache(t, f, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "caddy" {
				need(t, name)
			}
			f := newFront(t)
			f.secrets.add("path of withdrawn consents", revokedSecret)
			f.env = []string{"VIPPSAUTH_CONSENT_REVOKED_SECRET=" + revokedSecret}
			run(t, f)
			post := func() int {
				w := f.browser().send(http.MethodPost, f.origin+"/_vipps/consent-revoked/"+revokedSecret, http.Header{"Content-Type": {"text/plain"}}, strings.NewReader("unreadable"))
				return w.StatusCode
			}
			if code := post(); code != http.StatusOK {
				t.Errorf("%d", code)
			}
			if n := f.metric(`vippsauth_webhooks_received_total{kind="consent_revoked",outcome="unreadable"}`); n != 1 {
				t.Errorf("%v came", n)
			}
			f.get(f.origin + "/_vipps/logout") // so that there is something to log
			f.service.end()
			if code := post(); code < 500 {
				t.Errorf("%d while vippsauth is away", code)
			}
		})
	}
}
