// Package vipps logs people in with Vipps MobilePay Login, or with any other
// OpenID provider that is named as the issuer.
//
// It speaks every flow that Vipps MobilePay documents, and knows nothing of
// cookies, proxies or loggers. One [Client] serves them all:
//
//	issuer, _ := vipps.Test.Issuer() // or vipps.Production
//	client, err := vipps.New(vipps.Config{Issuer: issuer, ClientID: id, ClientSecret: vipps.Secret(secret), Scopes: []string{"name"}})
//
// Package emulator, below this one, is a Vipps for tests. Each flow has an example that uses it: go doc doesn't show them,
// pkg.go.dev and the files example*_test.go do.
//
// # In a browser
//
// This is the authorization code flow of OpenID Connect with PKCE. A login takes two steps:
//
//	pending, authorizeURL, err := client.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: "https://example.com/callback"})
//	// Keep pending where only this browser can bring it back, send the browser to authorizeURL.
//	login, err := client.FinishLogin(ctx, pending, callbackQuery)
//
// The caller keeps [PendingLogin] between the two: sealed, bound to the browser,
// and used once. FinishLogin does not remember which logins it has finished;
// a second call with the same code reaches the provider, which refuses it.
//
// A login that begins in an app sets [LoginRequest].Flow, and the app reads with [ParseAppCallback] what Vipps opens in it. With
// [LoginRequest].ACRValues the person has to confirm in the Vipps app, also in a browser that Vipps remembers.
//
// # From a phone number
//
// At a till, on the telephone or on a device, a merchant-initiated login (OpenID Connect CIBA, poll mode) sends the person a push
// message. Vipps forbids it on web pages and in apps.
//
//	pending, err := client.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{Phone: "+47 909 00 123"})
//	// Show or read pending.BindingMessage to the person, who compares it with the code in the app.
//	login, err := client.WaitMerchantLogin(ctx, pending)
//
// errors.Is tells the ends apart: [ErrDenied], [ErrExpired], [ErrNotEligible]. Who waits for many at once calls
// [Client.PollMerchantLogin] whenever [Polling] says so. With [MerchantLoginRequest].RedirectURI the login ends in the browser of the
// person's telephone, and [Client.FinishMerchantLogin] takes the place of the polls. [Client.UserExists] asks beforehand whether a
// number is known. Whose telephone rings, how often, and who may ask is the caller's to say.
//
// # From a QR code
//
// Vipps has withdrawn this flow. [Client.VerifyQRCallback] reads what comes when somebody scans a code, and [Client.FinishQRLogin] or
// [Client.FinishQRRedirect] finishes the login.
//
// # Consents and partners
//
// With the scope delegatedConsents or customFlow the provider tells once what a person answered, and [User.Consents] reads it. With
// [ClientAuthPartner] a partner's keys log people in for another merchant, whom Config.MerchantSerialNumber names.
//
// # Webhooks
//
// [Client.RegisterWebhook], [Client.Webhooks] and [Client.DeleteWebhook] manage them. A [WebhookVerifier] tells what is rightly signed.
// [WebhookDelivery.MerchantLoginPing] names a login by its AuthReqID: poll that one now, without waiting for [Polling] to say so. And
// [ParseConsentRevoked] reads the message that somebody withdrew their consent.
//
// # What is checked
//
// FinishLogin compares state, refuses doubled parameters, and checks the issuer
// of RFC 9207. The ID token must be in compact form, signed with RS256 or ES256 by a key of the
// provider's key set that fits, and carry the right iss, aud, azp, nonce, exp,
// iat, nbf, sub, at_hash and, when asked for, acr; then the userinfo answer must
// be about the same sub. The other flows check the same, but for nonce, which Vipps leaves out there: where it is, it must match, and so
// must auth_req_id, which a merchant-initiated login that ends in a browser has to have. They can't ask for an acr: a QR login is refused without
// one of [Config].ACRValues, if there are any, while a merchant-initiated one, which is always confirmed in the app, has in [Login].ACR what the
// provider says. Names in tokens are compared exactly and doubled names are refused.
//
// # Sources
//
// What this package knows of Vipps MobilePay is in its documents of several ages, from https://developer.vippsmobilepay.com and
// https://github.com/vippsas. Where these disagree it takes both: errors named error and error_code, addresses as an object and as a list,
// auth_req_id in each of its spellings. What can't be both is a field of [Config].
//
// # What is not checked
//
// Signed (application/jwt) userinfo answers are refused, not verified. Encrypted tokens,
// the implicit and hybrid flows, aggregated and distributed claims, refresh
// tokens and logout tokens are not supported: no URL inside a token is ever
// fetched. Nothing says that an e-mail address or a phone number still belongs
// to the person; only Sub identifies them, and only within one issuer and client.
//
// # Networks and clocks
//
// New does no I/O. The provider's metadata and keys are fetched when first
// needed and kept as long as their Cache-Control says (a minute at least, a day
// at most, an hour when it says nothing). When the provider is away what was
// fetched before stays in use; failed fetches are repeated no sooner than a
// growing back-off of one to thirty seconds allows, and until then fail at once
// with [ErrUnavailable]. No answer above 1 MiB is read and no redirect is followed.
package vipps
