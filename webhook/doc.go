// Package webhook receives what Vipps MobilePay sends by itself: signed webhooks, which wake a merchant-initiated login
// that waits, and consent-revoked webhooks, which end a person's sessions. [QR] receives the callbacks of printed QR codes, a flow
// that Vipps has withdrawn: of each comes one login, for whoever the code belongs to.
//
// Anybody can send to its addresses. So what isn't rightly signed is answered alike, whatever is wrong with it, and has no
// effect; the log says why, for the operator. What is rightly signed but late, sent twice or about something else has no effect
// either, and is answered as if it had, since Vipps would send it again for days. An effect happens after the answer,
// from a queue with an end; only that of withdrawn consent is waited for, a little. None makes a session.
//
//	            ┌ 413, 408: too long, too slow
//	POST ─ body ┼ 401: not signed by Vipps, for this address (or, of a consent-revoked webhook, without the secret)
//	            ├ 200: late, sent before, about something else, unreadable: nothing happens
//	            ├ 429, 503: too many at once; Vipps sends it again
//	            └ 200: queued ─ Ping, EndSessions
package webhook
