// Package caddymodule is the Caddy module http.handlers.vipps_auth, with its Caddyfile directive and global option
// vipps_auth. It has no logic of its own: it fills the settings of package forwardauth, recovers from Caddy what
// the browser asked for, and keeps over a reload what has to outlive it.
//
// Import it for its side effect in a Caddy build, or build with
//
//	xcaddy build --with github.com/vippsauth/vippsauth/caddymodule
//
// The comments of [Handler] and its fields are the manual.
package caddymodule
