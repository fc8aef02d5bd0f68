package forwardauth

import (
	"net/http"
	"strings"
)

// What front ends ask who serve pages beside the engine's.

// IsPage reports whether somebody who has logged in at origin, one of the public URLs, may be sent on to address: the whole address
// of a page that has that session, at this site or at one that shares it, and none of our own pages. Whether there is such a
// page isn't known here.
func (e *Engine) IsPage(origin, address string) bool {
	_, host, _ := strings.Cut(origin, "://")
	s := e.siteOf(host)
	if s == nil || s.origin != origin {
		return false
	}
	for _, at := range append([]string{origin}, s.shared...) {
		if rest, ok := strings.CutPrefix(address, at); ok {
			if _, ok := cleanReturnTo(rest); ok {
				return true
			}
		}
	}
	return false
}

// ClientOf names whose requests are counted together where something is limited: the address that r came from or, where that is a
// trusted proxy's, what the proxy says of its own client; "unknown" where nobody knows.
func (e *Engine) ClientOf(r *http.Request) string {
	if client := e.clientOf(r); client.IsValid() {
		return client.String()
	}
	return ClientUnknown
}
