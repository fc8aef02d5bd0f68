// Package vippsauth puts a Vipps MobilePay login in front of any web application. It holds no code of its own; this page
// says which package to open first.
//
//   - To protect a Go program's own handler, open [github.com/vippsauth/vippsauth/forwardauth] and its Protect.
//   - To speak to the Vipps Login API and nothing more, open [github.com/vippsauth/vippsauth/vipps]: BeginLogin and
//     FinishLogin, with every check that the answer needs.
//   - To test against a Vipps that needs no agreement and no phone, open
//     [github.com/vippsauth/vippsauth/vipps/emulator].
//   - To understand or change how a login runs, read docs/architecture.md, then forwardauth's package comment, which
//     draws the states and their routes.
//   - To use Caddy, open [github.com/vippsauth/vippsauth/caddymodule]; the comments there are the manual of the
//     vipps_auth directive.
//   - Sealed cookies by themselves are [github.com/vippsauth/vippsauth/session].
//
// The programs are cmd/vippsauth, the standalone service with its demo, its emulator and its doctor, and cmd/caddy, a Caddy with the
// module built in. Who may import whom is in docs/architecture.md and is held by a test of this package.
package vippsauth
