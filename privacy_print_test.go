package vippsauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	zaplog "go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/caddymodule"
	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

// told stands in everything of a value that is a person's or a secret. Its first bytes are looked for in hex too.
const told = "canary-9f27c1-and-more"

// printable are the exported types that hold something of a person, or a secret, each with a value that does.
func printable(t *testing.T) map[string]any {
	t.Helper()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := vipps.Config{Issuer: "https://op.example/", ClientID: "c", ClientSecret: told}
	client, err := vipps.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	policy := forwardauth.Policy{Name: "staff", Allow: []string{told}}
	site := forwardauth.Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://o.example"}, ProxySecret: told, Allow: []string{told}, Policies: []forwardauth.Policy{policy},
	}
	engine, err := forwardauth.New(site)
	if err != nil {
		t.Fatal(err)
	}
	address, account := vipps.Address{StreetAddress: told, Formatted: told}, vipps.Account{Name: told, Number: told}
	user := vipps.User{
		Sub: told, Name: told, Email: told, PhoneNumber: told, Birthdate: told, NIN: told, Address: &address, Accounts: []vipps.Account{account},
		Claims: map[string]json.RawMessage{"nin": json.RawMessage(`"` + told + `"`)},
	}
	answer := vipps.ConsentAnswer{ID: told, Text: told}
	consents := vipps.Consents{Answers: []vipps.ConsentAnswer{answer}, Raw: json.RawMessage(`"` + told + `"`)}
	events := outbox.Config{URL: "https://app.example/" + told, Dir: t.TempDir(), Secret: vipps.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(told+told))), Keys: session.Keys{key}}
	box, err := outbox.New(events)
	if err != nil {
		t.Fatal(err)
	}
	tills := merchant.Config{Client: client, Keys: session.Keys{key}, RedirectURI: "https://o.example/" + told, File: t.TempDir() + "/" + told}
	logins, err := merchant.New(tills)
	if err != nil {
		t.Fatal(err)
	}
	tillAPI, err := merchant.NewAPI(merchant.APIConfig{Logins: logins, Callers: []string{"till=certificate:" + told}, SiteName: told})
	if err != nil {
		t.Fatal(err)
	}
	param := fcgi.Param{Name: "HTTP_COOKIE", Value: told}
	header := http.Header{"Cookie": {told}, "X-Vipps-Sub": {told}}
	verifier, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: "https://o.example/", Secrets: []vipps.Secret{told}})
	if err != nil {
		t.Fatal(err)
	}
	hooks := webhook.Config{Verifier: verifier, ConsentRevokedSecret: told + "-more-and-more", EndSessions: func(string, time.Time) error { return nil }}
	receiver, err := webhook.New(hooks)
	if err != nil {
		t.Fatal(err)
	}
	scans, err := merchant.NewQRLogins([]string{told + "=till"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := scans.OfferQR(&vipps.Login{User: vipps.User{Sub: told, Name: told, Claims: map[string]json.RawMessage{"qr_id": json.RawMessage(`"` + told + `"`)}}}); err != nil {
		t.Fatal(err)
	}
	qr, err := webhook.NewQR(webhook.QRConfig{Client: client, Login: func(context.Context, *vipps.Login) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"vipps.QRCallback": vipps.QRCallback{AuthReqID: told}, "merchant.QRLogins": scans, "webhook.QR": qr,
		"vipps.Secret": vipps.Secret(told), "vipps.Config": cfg, "vipps.Client": client, "vipps.User": user, "vipps.Login": vipps.Login{User: user},
		"vipps.Address": address, "vipps.Account": account, "vipps.Callback": vipps.Callback{State: told, Code: told},
		"vipps.Consents": consents, "vipps.ConsentAnswer": answer,
		"vipps.PendingLogin": vipps.PendingLogin{State: told, Nonce: told, Verifier: told}, "vipps.LoginRequest": vipps.LoginRequest{ID: told, StateSuffix: told},
		"vipps.MerchantLoginRequest": vipps.MerchantLoginRequest{Phone: told, CustomerToken: told}, "vipps.PendingMerchantLogin": vipps.PendingMerchantLogin{AuthReqID: told, Nonce: told, State: told},
		"forwardauth.Config": site, "forwardauth.Policy": policy, "forwardauth.Engine": engine, "forwardauth.Original": forwardauth.Original{URI: "/" + told, Header: header},
		"forwardauth.Decision": forwardauth.Decision{Location: "https://o.example/_vipps/login?rd=" + told},
		"outbox.Config":        events, "outbox.Outbox": box,
		"merchant.API": tillAPI, "merchant.APIConfig": merchant.APIConfig{Callers: []string{"till=certificate:" + told}, SiteName: told}, "merchant.Operator": merchant.Operator{Sub: told, Name: told},
		"merchant.Config": tills, "merchant.Logins": logins, "merchant.Request": merchant.Request{Phone: told, CustomerToken: told, ReturnTo: told},
		"merchant.Status":    merchant.Status{ID: told, Code: told, State: merchant.Approved, Login: &vipps.Login{User: user}},
		"forwardauth.Person": forwardauth.Person{Sub: told, Name: told, PhoneNumber: told},
		"vipps.Webhook":      vipps.Webhook{Secret: told}, "vipps.WebhookConfig": vipps.WebhookConfig{Secrets: []vipps.Secret{told}}, "vipps.WebhookVerifier": verifier,
		"vipps.WebhookDelivery": vipps.WebhookDelivery{Body: []byte(told)}, "vipps.ConsentRevoked": vipps.ConsentRevoked{Sub: told},
		"webhook.Config": hooks, "webhook.Receiver": receiver,
		"fcgi.Param": param, "fcgi.Request": fcgi.Request{Params: []fcgi.Param{param}}, "fcgi.Answer": fcgi.Answer{Header: header, Body: []byte(told)},
		"caddymodule.Handler": caddymodule.Handler{ClientSecret: told, CookieKeys: []string{told}, Allow: []string{told}},
	}
}

// holdNothing are the other exported types, and those whose own package tests that nothing prints them (session.Key, Keys and Box).
func holdNothing() []string {
	return []string{
		"vipps.Answer", "vipps.ClientAuth", "vipps.ConfigError", "vipps.Environment", "vipps.Error", "vipps.Polling", "vipps.Probe", "vipps.Stage",
		"session.Binding", "session.Box", "session.Found", "session.Jar", "session.Key", "session.Keys", "session.Reader",
		"forwardauth.Landing", "forwardauth.Registration", "forwardauth.RevocationFile", "forwardauth.RevocationKeeper", "forwardauth.RevocationStore", "forwardauth.State", "forwardauth.UnusedScope", "forwardauth.Verdict",
		"fcgi.Server", "extauthz.Server", "merchant.LimitError", "merchant.State", "webhook.QRConfig",
	}
}

// shownByJSON are those that encoding/json shows, as their comments say: it is how they are stored or configured.
func shownByJSON() []string {
	return []string{
		"vipps.User", "vipps.Login", "vipps.Address", "vipps.Account", "vipps.PendingLogin", "caddymodule.Handler", "forwardauth.Policy", "vipps.Callback", "vipps.LoginRequest",
		"vipps.MerchantLoginRequest", "vipps.PendingMerchantLogin", "vipps.QRCallback",
		"vipps.Consents", "vipps.ConsentAnswer", "forwardauth.Original", "forwardauth.Decision", "fcgi.Param", "fcgi.Request", "fcgi.Answer", "merchant.Request", "merchant.Status", "merchant.Operator", "merchant.APIConfig",
		"vipps.Consents", "vipps.ConsentAnswer", "vipps.WebhookDelivery", "vipps.ConsentRevoked", "forwardauth.Original", "forwardauth.Decision", "fcgi.Param", "fcgi.Request", "fcgi.Answer",
	}
}

// Attack: somebody writes a value into a log while looking for a fault, and so whoever reads the log gets the session, the secret or
// the person. fmt, slog and zap show none of it, on its own, behind a pointer, in a list and in another value.
func TestSec_E013_NothingPrintsPeople(t *testing.T) {
	t.Parallel()
	shows := func(text string) bool {
		text = strings.ToLower(text)
		return strings.Contains(text, told[:12]) || strings.Contains(text, fmt.Sprintf("%x", told[:12])) || strings.Contains(text, fmt.Sprintf("% x", told[:12])) ||
			strings.Contains(text, strings.Trim(fmt.Sprint([]byte(told[:12])), "[]"))
	}
	for name, value := range printable(t) {
		holder := struct{ Value any }{value}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d"} {
			for _, v := range []any{value, &value, holder, &holder, []any{value}, map[string]any{"k": value}} {
				if shows(fmt.Sprintf(verb, v)) {
					t.Errorf("%s: %s shows it", name, verb)
					break
				}
			}
		}
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "value", value)
		}
		if shows(out.String()) {
			t.Errorf("%s: slog shows it", name)
		}
		out.Reset()
		for _, enc := range []zapcore.Encoder{zapcore.NewJSONEncoder(zaplog.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zaplog.NewDevelopmentEncoderConfig())} {
			zaplog.New(zapcore.NewCore(enc, zapcore.AddSync(&out), zaplog.DebugLevel)).Info("x", zaplog.Any("value", value))
		}
		if shows(out.String()) {
			t.Errorf("%s: zap shows it", name)
		}
		if text, err := json.Marshal(value); err == nil && shows(string(text)) && !slices.Contains(shownByJSON(), name) {
			t.Errorf("%s: encoding/json shows it", name)
		}
	}
}

// A new exported type has to be put into one of the lists above.
func TestSec_E013_EveryExportedTypeIsLookedAt(t *testing.T) {
	t.Parallel()
	known := printable(t)
	n := 0
	for _, dir := range []string{"vipps", "session", "forwardauth", "forwardauth/fcgi", "forwardauth/extauthz", "caddymodule", "merchant", "webhook", "outbox"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil || strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if _, local := node.(*ast.FuncDecl); local {
					return false
				}
				if spec, ok := node.(*ast.TypeSpec); ok && spec.Name.IsExported() {
					n++
					name := filepath.Base(dir) + "." + spec.Name.Name
					if _, looked := known[name]; !looked && !slices.Contains(holdNothing(), name) {
						t.Errorf("%s: may it hold something of a person? Put it into printable or holdNothing", name)
					}
				}
				return true
			})
		}
	}
	if n < 35 {
		t.Errorf("only %d types", n)
	}
}
