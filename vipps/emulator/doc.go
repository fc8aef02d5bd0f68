// Package emulator is a Vipps that is not Vipps: the Login API of Vipps MobilePay as an http.Handler, for tests, demos and work
// without a network. It has the real paths under one base URL, pages a person can click through in a browser, keys of its own and a
// dozen people who don't exist.
//
// It is meant to be as strict as the real thing, and it refuses what it doesn't model rather than answer it with something that looks
// right: unknown parameters, flows and grants are errors. What it knows of Vipps is what Vipps MobilePay documents; where the
// documents are silent it follows RFC 6749, RFC 7636, OpenID Connect Core and the texts of ory/fosite, the engine that the
// documented answers point to.
//
// Guard-rails: it serves loopback only (base URL, listen address, redirect URIs and Host header), says on every page that it isn't
// Vipps, puts "emulator-" before every sub, makes new keys at each start, and keeps nothing on exit.
//
//	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{
//		ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{"http://localhost:4190/_vipps/callback"},
//	}}})
//	defer srv.Close()
//	err = srv.Control().AutoApprove("4790000001") // no pages: every login is Åse's
//
// Merchant-initiated logins arrive on the page that plays the phones, /_emulator/phone, and Control approves, denies and expires them
// too. Control.MerchantLogins, and the state, tell how each was polled: how often, and with how little time in between.
//
// What Vipps sends by itself goes to receivers on loopback: signed webhooks, the message that consent was taken back, and the JWS of a
// QR login. It is tried again on Vipps' schedule, which Config.RetryScale makes faster; Close ends it.
//
// Not modelled: the consent part of the app flows, which happens on the same pages, revocation and logout endpoints.
package emulator
