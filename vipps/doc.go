// Package vipps logs people in with Vipps MobilePay Login, or with any other
// OpenID provider that is named as the issuer.
//
// It speaks the authorization code flow of OpenID Connect with PKCE and knows
// nothing of cookies, proxies or loggers. A login takes two steps:
//
//	pending, authorizeURL, err := client.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: "https://example.com/callback"})
//	// Keep pending where only this browser can bring it back, send the browser to authorizeURL.
//	login, err := client.FinishLogin(ctx, pending, callbackQuery)
//
// The caller keeps [PendingLogin] between the two: sealed, bound to the browser,
// and used once. FinishLogin does not remember which logins it has finished;
// a second call with the same code reaches the provider, which refuses it.
//
// # What is checked
//
// FinishLogin compares state, refuses doubled parameters, and checks the issuer
// of RFC 9207. The ID token must be in compact form, signed with RS256 or ES256 by a key of the
// provider's key set that fits, and carry the right iss, aud, azp, nonce, exp,
// iat, nbf, sub, at_hash and, when asked for, acr; then the userinfo answer must
// be about the same sub. Names in tokens are compared exactly and doubled names are refused.
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
