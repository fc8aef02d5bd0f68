// Package session seals small payloads into cookies and reads them back.
//
// It knows nothing of Vipps, of logins or of people: it turns bytes into
// cookies that a browser can neither read nor change, and tells its caller
// which bytes came back. What the bytes mean, how long they are good for and
// whom they belong to is the caller's business, and is written inside them.
//
// The parts, in the order in which a payload meets them:
//
//	Append…, Reader   fields ⇄ payload       codec.go
//	Box               payload ⇄ sealed text  box.go   (keys: keys.go, keyfile.go)
//	Jar               sealed text ⇄ cookies  jar.go
//	StripCookies      keeps our cookies from the application behind us
//
// A sealed text is the character '1', which names the format, and the value
// that gorilla/securecookie makes of the payload: AES-256 in counter mode, then
// HMAC-SHA-256 (encrypt, then authenticate). The padding of its base64 is left
// off, so it holds letters, digits, '-' and '_' only and fits in a cookie and
// in a URL alike. The two keys are derived with HKDF-SHA-256 (RFC 5869) from
// one configured [Key]; the derivation takes in the [Binding], so a cookie of
// one purpose, issuer, client or site is garbage to every other.
//
// # What this package does not do
//
// Sealed text has no end of its own: put the issue and expiry times into the
// payload and check them. It can be copied: whoever has the cookie has the
// payload, and there is no revocation here. Its length is visible. Nothing is
// logged.
package session
