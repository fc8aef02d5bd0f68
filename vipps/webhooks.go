package vipps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	webhooksPath     = "/webhooks/v1/webhooks"
	maxWebhookEvents = 50
	maxEventName     = 100
	maxWebhookID     = 128
	maxWebhooks      = 1000
)

// Webhook is a registration with the Webhooks API.
type Webhook struct {
	// ID names the registration.
	ID string
	// URL is where deliveries go.
	URL string
	// Events are the names of the events that are delivered.
	Events []string
	// Secret is what deliveries are signed with. It is told once, by [Client.RegisterWebhook], and empty elsewhere.
	Secret Secret
}

// RegisterWebhook has events delivered to an address, [EventMerchantLoginPing] when none is named. The secret that it
// returns is told only this once. Vipps MobilePay takes 25 registrations of one event; to replace one, register its successor,
// wait until deliveries come, and delete it then.
//
// Vipps MobilePay wants an https address that all the world can reach, on a common port (80, 443, 8080), and that doesn't redirect. With partner
// keys it is registered for the sales unit of Config.MerchantSerialNumber.
//
// Config needs a SubscriptionKey. The error is a *ConfigError for a faulty address, event or Config, and an *Error of StageAccessToken or
// StageWebhooks otherwise. See https://developer.vippsmobilepay.com/docs/APIs/webhooks-api/.
func (c *Client) RegisterWebhook(ctx context.Context, address string, events ...string) (*Webhook, error) {
	if len(events) == 0 {
		events = []string{EventMerchantLoginPing}
	}
	if _, _, err := splitWebhookURL(address); err != nil {
		return nil, &ConfigError{Setting: "webhook_url", Reason: err.Error()}
	}
	if len(events) > maxWebhookEvents || slices.ContainsFunc(events, func(e string) bool { return !isEventName(e) }) {
		return nil, &ConfigError{Setting: "events", Reason: "must be names of events, such as " + EventMerchantLoginPing}
	}
	body, err := json.Marshal(map[string]any{"url": address, "events": events})
	if err != nil {
		return nil, err // can't be: it is text
	}
	o, err := c.callWebhooks(ctx, http.MethodPost, webhooksPath, body)
	if err != nil {
		return nil, err
	}
	w := &Webhook{ID: o.string("id"), URL: address, Events: events, Secret: Secret(o.string("secret"))}
	if !isWebhookID(w.ID) {
		return nil, c.fail(StageWebhooks, CodeInvalidResponse, "no usable id")
	}
	if credentialFault(w.Secret.Reveal()) != "" {
		return nil, c.fail(StageWebhooks, CodeInvalidResponse, "no usable secret: it is registered, and of no use; delete it")
	}
	return w, nil
}

// Webhooks returns the registrations of the sales unit, without their secrets. Its errors are as those of RegisterWebhook.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	o, err := c.callWebhooks(ctx, http.MethodGet, webhooksPath, nil)
	if err != nil {
		return nil, err
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(o["webhooks"], &raws); err != nil || len(raws) > maxWebhooks {
		return nil, c.fail(StageWebhooks, CodeInvalidResponse, "webhooks is not a list of registrations")
	}
	all := make([]Webhook, 0, len(raws))
	for _, raw := range raws {
		o, err := decodeObject(raw)
		if err != nil {
			return nil, c.fail(StageWebhooks, CodeInvalidResponse, err.Error())
		}
		events, err := o.texts("events")
		w := Webhook{ID: o.string("id"), URL: o.string("url"), Events: events}
		if err != nil || !isWebhookID(w.ID) || !isPrintable(w.URL+strings.Join(events, "")) {
			return nil, c.fail(StageWebhooks, CodeInvalidResponse, "a registration without usable id, url and events")
		}
		all = append(all, w)
	}
	return all, nil
}

// DeleteWebhook ends a registration: nothing more is delivered, and its secret is of no more use. Its errors are as those of RegisterWebhook; one
// with Status 404 says that there is no such registration.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	if !isWebhookID(id) {
		return &ConfigError{Setting: "id", Reason: "must be the id of a registration, such as 497f6eca-6276-4993-bfeb-53cbbbba6f08"}
	}
	_, err := c.callWebhooks(ctx, http.MethodDelete, webhooksPath+"/"+url.PathEscape(id), nil)
	return err
}

// callWebhooks returns what the Webhooks API says, an empty object when that is nothing.
func (c *Client) callWebhooks(ctx context.Context, method, path string, body []byte) (object, error) {
	token, err := c.apiToken(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.apiOrigin()+path, bytes.NewReader(body))
	if err != nil {
		return nil, c.fail(StageWebhooks, CodeInvalidMetadata, "the issuer makes no URL")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.setMerchant(req)
	good := []int{http.StatusOK, http.StatusCreated}
	if method == http.MethodDelete {
		good = []int{http.StatusOK, http.StatusNoContent}
	}
	a, err := c.send(ctx, StageWebhooks, req, good, token, c.cfg.SubscriptionKey.Reveal())
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnauthorized {
			c.dropAPIToken(token) // it may have been ended: the next call gets another
		}
		return nil, err
	}
	if method == http.MethodDelete {
		return object{}, nil
	}
	o, err := decodeObject(a.body)
	if err != nil {
		return nil, c.fail(StageWebhooks, CodeInvalidResponse, err.Error())
	}
	return o, nil
}

func isEventName(s string) bool {
	return s != "" && len(s) <= maxEventName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

func isWebhookID(id string) bool {
	return id != "" && len(id) <= maxWebhookID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// deliveryCauses are those of a delivery that was refused, or of a call that got no answer.
func (e *Error) deliveryCauses() []string {
	switch e.Code {
	case CodeWebhookHeader:
		return []string{"It has no signature as Vipps MobilePay makes them: it came from somebody else, or a proxy in front drops Authorization, x-ms-date or x-ms-content-sha256, as one does that asks for a password itself."}
	case CodeWebhookContent:
		return []string{"The body is not the one that was signed: something in front changes it (a firewall that rewrites JSON, a proxy that inflates or adds a line end)."}
	case CodeWebhookURL:
		return []string{"It was signed for another address than webhook_url: set webhook_url to the URL that is registered, byte for byte; vippsauth webhooks list shows it."}
	case CodeSignature:
		return []string{
			"It was signed with a secret that is not in webhook_secrets, or by somebody else: add the secret of each registration; one that is lost can't be had again, so register again and delete the old one.",
			"It was signed for another address than webhook_url, which has to be the one that is registered: vippsauth webhooks list shows it.",
		}
	}
	return nil
}
