// Package forwardauth stands in front of a web app and lets in whoever has logged in with Vipps MobilePay, or with
// any other OpenID provider, without the app changing by one line.
//
// An [Engine] judges requests: [Engine.Decide] reads a sealed session cookie and the policy, and returns a
// [Decision] as a value. It writes nothing and asks nothing of the network, since most proxies drop what an
// allowed sub-request sets. Around it stand the front ends, each a few lines: [Engine.ForwardAuth] answers proxies
// (Traefik, nginx, HAProxy, Caddy, Envoy), [Engine.FastCGI] Apache, package extauthz Envoy over gRPC, by [Engine.Judge];
// [Engine.Protect] is middleware for Go programs and the sidecar, [Engine.Serve] is what the Caddy module calls.
//
// One Engine serves any number of sites. Each of [Config].Sites is a configuration of its own, and a request is judged by
// that of the site that its host names.
//
// # The login
//
//	navigation without a session
//	        │ 302
//	        ▼
//	/_vipps/login ──── live session ───────────────────────────────► page asked for
//	        │   ├───── after a logout: a page that waits for a click
//	        │   ├───── third round in a minute: a page with the likely cause
//	        │   └───── without_session page, silent missed: the page with the button
//	        │ 302, an attempt's cookie
//	        ▼
//	provider, silent first (requested_flow=no_dialog), or full
//	        │ 302 with code or error
//	        ▼
//	/_vipps/callback   the cookie of this attempt, its state, once; only then anything else
//	        │ 303
//	        ├── session ───────────────────────────────────────────► page asked for
//	        ├── who continues? ──► /_vipps/result: "Continue as …" ─► page asked for
//	        ├── silent miss ─────► /_vipps/result ─► full login, page with the button, or anonymous
//	        ├── cookie lost ─────► with a session the page asked for; else one restart, then the loop page
//	        └── refused, away ───► /_vipps/result: a page that says so, in words for the person
//
// A miss is remembered in the browser, and so is an attempt that never came back: nobody bounces twice. A full
// login follows a miss at most once. A person's own "no" (access_denied after some seconds, wrong_challenge,
// outdated_app_version) is an answer and never a miss.
//
// # What browsers hold
//
// All cookies are sealed and none is readable: the session, one for each login attempt, and a hint (a miss, a
// logout that waits for its click, a login that has just succeeded). What they seal is bound to issuer, client,
// site and purpose; session and hint to the domain in place of the site, where [Config].CookieDomain shares them.
//
// # What this package does not check
//
// Which paths are protected: that is said in the proxy, where routes are said. Whether the app can be reached
// around the proxy: it must not be. Replays of a logged-out cookie are refused by the process that saw the
// logout, until a restart; see [State].
package forwardauth
