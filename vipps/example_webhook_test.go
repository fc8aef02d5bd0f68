package vipps_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A merchant registers an address, gets a ping there when somebody has approved a login, and takes the registration back. Here the
// emulator is Vipps.
func ExampleClient_RegisterWebhook() {
	provider, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: "shop", Secret: "shop-secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer provider.Close()
	client, err := vipps.New(vipps.Config{
		Issuer: provider.Issuer, ClientID: "shop", ClientSecret: "shop-secret", SubscriptionKey: "0f14ebcab0ec4b29ae0cb90d91b4a84a",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	pings := make(chan string, 1)
	var verifier *vipps.WebhookVerifier
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			return
		}
		delivery, err := verifier.Verify(r, body)
		if err != nil {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if id, err := delivery.MerchantLoginPing(); err == nil && delivery.Fresh {
			pings <- id // and remember delivery.Digest, or it could be sent again
		}
	}))
	defer receiver.Close()

	hook, err := client.RegisterWebhook(ctx, receiver.URL+"/hooks/vipps")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err = vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: hook.URL, Secrets: []vipps.Secret{hook.Secret}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := provider.Control().Ping("shop", "VYGaaAMRkI6SyAm_uIywhxsN2K0"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ask for", <-pings)

	all, err := client.Webhooks(ctx)
	fmt.Println(len(all), all[0].Events, err)
	fmt.Println(client.DeleteWebhook(ctx, hook.ID))
	// Output:
	// ask for VYGaaAMRkI6SyAm_uIywhxsN2K0
	// 1 [login.merchant-initiated.ping.v1] <nil>
	// <nil>
}

// The delivery that Vipps MobilePay's documents show, and the same with another body.
func ExampleWebhookVerifier_Verify() {
	verifier, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{
		URL:     "https://webhook.site/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63",
		Secrets: []vipps.Secret{"A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="},
		Now:     func() time.Time { return time.Date(2023, 3, 30, 8, 40, 0, 0, time.UTC) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	body := `{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}`
	r := httptest.NewRequest(http.MethodPost, "/behind/a/proxy", strings.NewReader(body))
	r.Header.Set("X-Ms-Date", "Thu, 30 Mar 2023 08:38:32 GMT")
	r.Header.Set("X-Ms-Content-Sha256", "lNlsp1XA03N34HrQsVzPgJKtC+r7l/RBF4V3JQUWMj4=")
	r.Header.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U=")

	delivery, err := verifier.Verify(r, []byte(body))
	fmt.Println(delivery.Fresh, err)

	_, err = verifier.Verify(r, []byte(`{"some-unique-content":"another"}`))
	var e *vipps.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code)
		fmt.Println(e.Causes()[0])
	}
	// Output:
	// true <nil>
	// content_mismatch
	// The body is not the one that was signed: something in front changes it (a firewall that rewrites JSON, a proxy that inflates or adds a line end).
}

// The body that Vipps MobilePay's documents show. Nobody has signed it.
func ExampleParseConsentRevoked() {
	revoked, err := vipps.ParseConsentRevoked([]byte("eyJhbGciOiJub25lIiwidHlwIjogIkpXVCJ9Cg.eyJleHAiOjE1OTI1NzE3ODgsImlhdCI6MTU5MjU3MTQ4OCwibmJmIjoxNTkyNTcxNDg4LCJzdWIiOiJjOWQxMDQ0NC1kOTkyLTQ4NTAtYWM2MC05ZDM1MDIwOTUwMDgiLCJldmVudCI6IkNPTlNFTlRfUkVWT0tFRCJ9"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(revoked)
	fmt.Println("end the sessions of", revoked.Sub, "that began before", revoked.IssuedAt.UTC().Format(time.RFC3339))
	// Output:
	// consent revoked [redacted]
	// end the sessions of c9d10444-d992-4850-ac60-9d3502095008 that began before 2020-06-19T12:58:08Z
}
