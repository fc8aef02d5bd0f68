package vipps_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	webhooksPath = "/webhooks/v1/webhooks"
	webhookID    = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
	hookAddress  = "https://app.example/_vipps/webhook"
)

// A sales unit registers, lists and deletes, as the Webhooks API documents it.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	var sent string
	p.handle(webhooksPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			respond(200, "application/json", `{"webhooks":[{"id":"`+webhookID+`","url":"`+hookAddress+`","events":["login.merchant-initiated.ping.v1"]},{"id":"b","url":"https://b.example/","events":["epayments.payment.captured.v1","x"]}]}`)(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		sent = r.Header.Get("Content-Type") + " " + string(body)
		respond(201, "application/json", `{"id":"`+webhookID+`","secret":"`+vectorSecret+`"}`)(w, r)
	})
	p.handle(webhooksPath+"/"+webhookID, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			t.Errorf("%s", r.Method)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c, ctx := p.merchant(), context.Background()

	hook, err := c.RegisterWebhook(ctx, hookAddress)
	want := vipps.Webhook{ID: webhookID, URL: hookAddress, Events: []string{"login.merchant-initiated.ping.v1"}, Secret: vectorSecret}
	if err != nil || cmp.Diff(want, *hook) != "" {
		t.Errorf("%v, %s", err, cmp.Diff(want, *hook))
	}
	var body map[string]any
	kind, text, _ := strings.Cut(sent, " ")
	if err := json.Unmarshal([]byte(text), &body); err != nil || kind != "application/json" {
		t.Errorf("%q, %v", sent, err)
	}
	if diff := cmp.Diff(map[string]any{"url": hookAddress, "events": []any{"login.merchant-initiated.ping.v1"}}, body); diff != "" {
		t.Error(diff)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer token-1", "Ocp-Apim-Subscription-Key": subscriptionKey, "Merchant-Serial-Number": "123456", "Vipps-System-Name": "vippsauth", "client_secret": "",
	} {
		if got := p.last(webhooksPath).Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}

	all, err := c.Webhooks(ctx)
	want.Secret = ""
	if diff := cmp.Diff([]vipps.Webhook{want, {ID: "b", URL: "https://b.example/", Events: []string{"epayments.payment.captured.v1", "x"}}}, all); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if err := c.DeleteWebhook(ctx, webhookID); err != nil {
		t.Error(err)
	}
	if n := p.calls(accessTokenPath); n != 1 {
		t.Errorf("%d access tokens for three calls", n)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", hook, *hook, hook), mustJSON(t, hook)} {
		if strings.Contains(text, vectorSecret[:12]) {
			t.Errorf("%s shows the secret", text)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A token that is refused is dropped: the next call has another.
func TestWebhooks_TokenRefused(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	p.handle(webhooksPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			respond(401, "application/json", `{"statusCode":401,"message":"token-1 has ended"}`)(w, r)
			return
		}
		respond(200, "application/json", `{"webhooks":[]}`)(w, r)
	})
	c := p.merchant()
	_, err := c.Webhooks(context.Background())
	e := refused(t, err, vipps.CodeHTTP)
	if strings.Contains(e.Error(), "token-1") || len(e.Causes()) == 0 || !strings.Contains(e.Causes()[0], "subscription_key") {
		t.Errorf("%v, causes %q", e, e.Causes())
	}
	if all, err := c.Webhooks(context.Background()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// A token that wasn't refused stays in use, whatever else goes wrong.
func TestWebhooks_TokenStays(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	p.handle(webhooksPath, respond(503, "text/html", "<p>away</p>"))
	c := p.merchant()
	for range 3 {
		_, err := c.Webhooks(context.Background())
		refused(t, err, vipps.CodeHTTP)
	}
	if n := p.calls(accessTokenPath); n != 1 {
		t.Errorf("%d tokens", n)
	}
	if kind := p.last(webhooksPath).Header.Get("Content-Type"); kind != "" {
		t.Errorf("a GET has the Content-Type %q", kind)
	}
	p.srv.CloseClientConnections()
	p.handle(accessTokenPath, respond(503, "text/html", "<p>away</p>"))
	_, err := p.merchant().RegisterWebhook(context.Background(), hookAddress)
	if e := refused(t, err, vipps.CodeHTTP); e.Stage != vipps.StageAccessToken {
		t.Errorf("%v", e)
	}
}

// What the API refuses is said in its own words, field by field.
func TestWebhooks_ProblemDetails(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	p.handle(webhooksPath, respond(400, "application/problem+json", `{"type":"https://x","title":"Bad Request","status":400,"detail":"Invalid request","instance":"/webhooks","traceId":"0af7651916cd43dd8448eb211c80319c","extraDetails":[{"name":"Url","reason":"must not be localhost"},{"name":"Events","reason":"limit of 25 reached"}]}`))
	_, err := p.merchant().RegisterWebhook(context.Background(), hookAddress)
	e := refused(t, err, vipps.CodeHTTP)
	for _, part := range []string{"Bad Request", "Invalid request", "Url: must not be localhost", "Events: limit of 25 reached"} {
		if !strings.Contains(e.Description, part) {
			t.Errorf("%q lacks %q", e.Description, part)
		}
	}
	if e.Stage != vipps.StageWebhooks || e.Status != 400 {
		t.Errorf("%v", e)
	}
}

// Attack: something in the place of the API answers with what is no registration.
func TestWebhooks_HostileAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		post, list string
	}{
		"no id":           {201, `{"secret":"` + vectorSecret + `"}`, `{"webhooks":[{"url":"https://a","events":[]}]}`},
		"an id with path": {201, `{"id":"../x","secret":"` + vectorSecret + `"}`, `{"webhooks":[{"id":"../x","url":"https://a","events":[]}]}`},
		"no secret":       {201, `{"id":"a"}`, `{}`},
		"a broken secret": {201, `{"id":"a","secret":"a\nb"}`, `{"webhooks":[{"id":"a","url":"https://a\u001b[2J","events":[]}]}`},
		"another case":    {201, `{"ID":"a","Secret":"` + vectorSecret + `"}`, `{"Webhooks":[]}`},
		"a page":          {200, `<p>`, `<p>`},
		"a list":          {200, `[]`, `[]`},
		"another type":    {200, `{"id":1,"secret":2}`, `{"webhooks":{}}`},
		"events":          {200, `{}`, `{"webhooks":[{"id":"a","url":"https://a","events":[1]}]}`},
		"too many":        {200, `{}`, `{"webhooks":[` + strings.TrimSuffix(strings.Repeat(`{"id":"a","url":"u","events":[]},`, 1001), ",") + `]}`},
		"no content":      {204, ``, ``},
		"elsewhere":       {307, ``, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handleTokens(`"expires_in":"3600",`)
			p.handle(webhooksPath, func(w http.ResponseWriter, r *http.Request) {
				body := tt.list
				if r.Method == http.MethodPost {
					body = tt.post
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, body)
			})
			c := p.merchant()
			_, postErr := c.RegisterWebhook(context.Background(), hookAddress)
			_, listErr := c.Webhooks(context.Background())
			for _, err := range []error{postErr, listErr} {
				var e *vipps.Error
				if !errors.As(err, &e) || e.Stage != vipps.StageWebhooks {
					t.Errorf("%v", err)
				}
			}
			if p.calls("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

// What can't be meant is refused before anybody is asked.
func TestWebhooks_BadInput(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c, ctx := p.merchant(), context.Background()
	for _, id := range []string{"", "../../accesstoken/get", "a/b", "a?b", "a b", strings.Repeat("a", 129)} {
		var ce *vipps.ConfigError
		if err := c.DeleteWebhook(ctx, id); !errors.As(err, &ce) || ce.Setting != "id" {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, address := range []string{"", "http://app.example/", "/x", "https://app.example/#a", "https://u:p@app.example/"} {
		var ce *vipps.ConfigError
		if _, err := c.RegisterWebhook(ctx, address); !errors.As(err, &ce) || ce.Setting != "webhook_url" {
			t.Errorf("%q: %v", address, err)
		}
	}
	var ce *vipps.ConfigError
	if _, err := c.RegisterWebhook(ctx, hookAddress, strings.Split(strings.Repeat("a,", 50)+"a", ",")...); !errors.As(err, &ce) || ce.Setting != "events" {
		t.Errorf("51 events: %v", err)
	}
	for _, event := range []string{"", "a b", "A", strings.Repeat("a", 101), `x","y`} {
		var ce *vipps.ConfigError
		if _, err := c.RegisterWebhook(ctx, hookAddress, event); !errors.As(err, &ce) || ce.Setting != "events" {
			t.Errorf("%q: %v", event, err)
		}
	}
	if n := p.calls(accessTokenPath) + p.calls(webhooksPath); n != 0 {
		t.Errorf("%d calls", n)
	}
}
