package main

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

const groupWebhooks = "Webhooks"

// emulatorSubscriptionKey is what we call ourselves to the emulator, which takes any.
const emulatorSubscriptionKey = "emulator"

// webhookSettings are the rows about what Vipps sends by itself, and the keys that registering for it needs.
func webhookSettings() []setting {
	g := groupWebhooks
	return []setting{
		{
			key: "msn", group: g, values: "from the Vipps MobilePay portal", note: "not sent",
			doc: "the merchant serial number of the sales unit, for `vippsauth webhooks` and `client_auth partner`",
			set: text(func(c *config) *string { return &c.msn }),
		},
		{
			key: "subscription_key", group: g, values: "from the Vipps MobilePay portal", note: "none", secret: true,
			doc: "the Ocp-Apim-Subscription-Key of the sales unit, for `vippsauth webhooks` and `client_auth partner`",
			set: func(c *config, items []string) error { c.subscriptionKey = vipps.Secret(items[0]); return nil },
		},
		{
			key: "userinfo_subscription_key", group: g, values: "`on`, `off`", def: "off",
			doc: "that `subscription_key` goes to the userinfo endpoint too, which older documents of Vipps demand and newer ones forbid",
			set: oneOf(func(c *config) *string { return &c.userinfoKey }, "on", "off"),
		},
		{
			key: "webhook_secrets", group: g, values: "what `vippsauth webhooks register` printed, as it is; several while one is replaced by another", note: "none: no webhooks are received", secret: true, list: commas,
			doc: "the secrets with which Vipps signs webhooks",
			set: func(c *config, items []string) error {
				c.webhookSecrets = nil
				for _, item := range items {
					c.webhookSecrets = append(c.webhookSecrets, vipps.Secret(item))
				}
				return nil
			},
		},
		{
			key: "webhook_url", group: g, values: "the URL that is registered, byte for byte", note: "the first `public_url` with `/_vipps/webhook` behind it",
			doc: "where Vipps sends webhooks, which is signed with them; a proxy may make another path of it",
			set: text(func(c *config) *string { return &c.registeredURL }),
		},
		{
			key: "consent_revoked_secret", group: g, values: "32 to 256 letters, digits, `-` and `_`, all random (`openssl rand -hex 32`)", note: "none: none are received", secret: true,
			doc: "the secret in the address to which Vipps sends that a person withdrew consent, `/_vipps/consent-revoked/<secret>`",
			set: func(c *config, items []string) error { c.consentRevokedSecret = vipps.Secret(items[0]); return nil },
		},
	}
}

// webhookURL is the address that is or is to be registered; empty where there is none.
func (c *config) webhookURL() string {
	if c.registeredURL != "" {
		return c.registeredURL
	}
	if origin := c.firstOrigin(); origin != "" {
		return origin + webhook.Path
	}
	return ""
}

// firstOrigin is the first public URL as browsers write it; empty where there is none.
func (c *config) firstOrigin() string {
	if urls := c.all()[0].publicURLs; len(urls) > 0 {
		if origin, err := forwardauth.Origin(urls[0]); err == nil {
			return origin
		}
	}
	return ""
}

// webhooks returns what is received, without its effects.
func (c *config) webhooks() (webhook.Config, error) {
	cfg := webhook.Config{ConsentRevokedSecret: c.consentRevokedSecret}
	if len(c.webhookSecrets) == 0 {
		return cfg, nil
	}
	var err error
	cfg.Verifier, err = vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: c.webhookURL(), Secrets: c.webhookSecrets})
	return cfg, err
}

// checkWebhooks looks at what is received, and at the keys for it.
func (c *config) checkWebhooks(rep *report) {
	var errs []error
	cfg, err := c.webhooks()
	if err != nil && (c.webhookURL() != "" || !rep.has("public_url")) {
		errs = append(errs, err)
	}
	cfg.EndSessions = func(string, time.Time) error { return nil }
	if _, err := webhook.New(cfg); err != nil {
		errs = append(errs, err)
	}
	if len(c.webhookSecrets) == 0 && c.registeredURL != "" { // to be registered
		_, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: c.registeredURL, Secrets: []vipps.Secret{"only the URL is looked at"}})
		errs = append(errs, err)
	}
	rep.addErrors(errors.Join(errs...))
	c.warnOfWebhooks(rep)
	for _, sc := range c.all() {
		for _, other := range []vipps.Secret{sc.clientSecret, sc.subscriptionKey, c.proxySecret} {
			if other == "" {
				continue
			}
			if slices.Contains(c.webhookSecrets, other) {
				rep.add(problem{rep.source("webhook_secrets"), "webhook_secrets", "holds one of the other secrets", "give what vippsauth webhooks register printed"})
				return
			}
			if c.consentRevokedSecret == other {
				rep.add(problem{rep.source("consent_revoked_secret"), "consent_revoked_secret", "is one of the other secrets", "make one of its own: openssl rand -hex 32"})
				return
			}
		}
	}
}

// warnOfWebhooks tells of settings that are right each, and have no effect together.
func (c *config) warnOfWebhooks(rep *report) {
	if len(c.webhookSecrets) > 0 && !c.offersMerchantLogins() && !rep.has("webhook_secrets") {
		rep.warn(problem{rep.source("webhook_secrets"), "webhook_secrets", "wakes nothing, since nobody may start logins by phone number", "name who may, in merchant_callers or merchant_operators, or take it out"})
	}
	u, err := url.Parse(c.registeredURL)
	if err != nil || u.Host == "" || rep.has("webhook_url") {
		return // there is none, or what is wrong with it is said
	}
	ours := func(sc *config) bool {
		return slices.ContainsFunc(sc.publicURLs, func(public string) bool { return sameOrigin(public, u.Scheme+"://"+u.Host) })
	}
	if !slices.ContainsFunc(c.all(), ours) {
		rep.warn(problem{rep.source("webhook_url"), "webhook_url", "is at none of the public URLs", "see that the proxy there brings what comes to it here, as " + webhook.Path + ", or take it out"})
	}
}

// webhookAddresses says what to tell Vipps about webhooks, as lines; none where nobody has asked for any.
func (c *config) webhookAddresses() []string {
	var lines []string
	if len(c.webhookSecrets) > 0 || c.registeredURL != "" || c.subscriptionKey != "" {
		lines = append(lines, "Webhook URL to register (vippsauth webhooks register):", "  "+c.webhookURL())
		if !strings.HasSuffix(c.webhookURL(), webhook.Path) {
			lines = append(lines, "  What comes there has to arrive here as "+webhook.Path+".")
		}
		if len(c.webhookSecrets) == 0 {
			lines = append(lines, "  No webhooks are received until webhook_secrets holds its secret.")
		}
	}
	if origin := c.firstOrigin(); c.consentRevokedSecret != "" && origin != "" {
		lines = append(lines, "Address for withdrawn consents, to tell Vipps MobilePay:", "  "+origin+webhook.ConsentRevokedPath+"<consent_revoked_secret>")
	}
	return lines
}

// subscriptionKeyFor is the key that is sent to Vipps, or to the emulator.
func (c *config) subscriptionKeyFor() vipps.Secret {
	if c.environment == envEmulator && c.subscriptionKey == "" {
		return emulatorSubscriptionKey
	}
	return c.subscriptionKey
}
