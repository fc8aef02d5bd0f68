package main

import "net/http"

const headerForwardedFor = "X-Forwarded-For"

// forwardedFor keeps X-Forwarded-For of requests from trusted proxies, for the application to see whom it serves, and
// drops it from all others. Nothing is decided by it.
func forwardedFor(trusts func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trusts(r) {
			r.Header.Del(headerForwardedFor)
		}
		next.ServeHTTP(w, r)
	})
}
