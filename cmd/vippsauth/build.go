package main

import (
	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// What the emulator's own client is called. Nothing but the emulator knows them, and it is on loopback only.
const (
	emulatorClientID     = "vippsauth-demo"
	emulatorClientSecret = "emulator-demo-secret" //nolint:gosec // of the emulator, where it protects nothing
	emulatorIssuerPath   = "/access-management-1.0/access/"

	callbackPath = "/_vipps/callback"
	authzPrefix  = "/_vipps/authz/"
	ownPrefix    = "/_vipps/"
)

// expectedIssuer is the issuer that the configuration means. That of the emulator is known for certain when it has started.
func (c *config) expectedIssuer() string {
	if c.issuer != "" {
		return c.issuer
	}
	if c.environment == envEmulator {
		return "http://" + c.emulatorListen + emulatorIssuerPath
	}
	issuer, _ := vipps.Environment(c.environment).Issuer()
	return issuer
}

// credentials returns client id and secret, which the emulator has of its own.
func (c *config) credentials() (string, vipps.Secret) {
	id, secret := c.clientID, c.clientSecret
	if c.environment == envEmulator {
		if id == "" {
			id = emulatorClientID
		}
		if secret == "" {
			secret = emulatorClientSecret
		}
	}
	return id, secret
}

// emulatorAddr is where the emulator listens; empty when there is none.
func (c *config) emulatorAddr() string {
	if c.environment == envEmulator {
		return c.emulatorListen
	}
	return ""
}

// vippsConfig returns the settings of the API client.
func (c *config) vippsConfig(issuer string) vipps.Config {
	id, secret := c.credentials()
	return vipps.Config{
		Issuer:        issuer,
		ClientID:      id,
		ClientSecret:  secret,
		ClientAuth:    c.clientAuth,
		Scopes:        c.scopes,
		Market:        c.market,
		ACRValues:     c.acrValues,
		SystemName:    c.systemName,
		SystemVersion: c.systemVersion,

		MerchantSerialNumber: c.msn,
		SubscriptionKey:      c.subscriptionKeyFor(),

		UserinfoSubscriptionKey: c.userinfoKey == "on",
	}
}

// engineConfig returns the settings of the engine, without logger and metrics.
func (c *config) engineConfig(client *vipps.Client, keys session.Keys) forwardauth.Config {
	return forwardauth.Config{
		Client:         client,
		Keys:           keys,
		PublicURLs:     c.publicURLs,
		Production:     c.environment == envProduction,
		Emulator:       c.environment == envEmulator,
		Scopes:         c.scopes,
		Market:         c.market,
		Allow:          c.allow,
		Silent:         c.silent,
		SilentRetry:    c.silentRetry,
		WithoutSession: c.withoutSession,
		AppFlow:        c.app.flow, AppCallbackURI: c.app.callbackURI, FinalRedirectIsApp: c.app.finalRedirect == "on",
		QRs:             c.app.qrIDs,
		ConfirmPerson:   c.confirmPerson,
		Headers:         c.headers,
		HeaderEncoding:  c.headerEncoding,
		EmailUnverified: c.emailUnverified,
		AppCookies:      c.appCookies,
		LogoutPaths:     c.logoutPaths,
		SiteName:        c.siteName,
		Contact:         c.contact,
		SessionTTL:      c.sessionTTL,
		SessionIdle:     c.sessionIdle,
		SessionPersist:  c.sessionPersist,
		CookieDomain:    c.cookieDomain,
		AuthURL:         c.authURL,
		Policies:        c.policies,
		TrustedProxies:  c.trustedProxies,
		ProxySecret:     c.proxySecret,
		LoginLimit:      c.loginLimit,
		LoginLimitTotal: c.loginLimitTotal,
	}
}
