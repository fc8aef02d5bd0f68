package forwardauth

import (
	"strings"

	"go.uber.org/zap"
)

// What the log says against refusals that a client can bring about as well as a proxy.
const (
	cureUnreadable = "the proxy has to set it itself, once, as the configuration that vippsauth snippet prints does; a single one may be a client's own malformed request"
	cureAlias      = "if a proxy of yours sends it, have it removed there; clients have no business with it"
)

func (e *Engine) logHost(host string, more ...zap.Field) {
	host = clip(host)
	e.log.Warn("request for a host that is no public_url", append(more, zap.String("host", host), zap.String("cure", hostCure(host)))...)
}

// hostCure says how to make a host one of ours.
func hostCure(host string) string {
	for _, scheme := range [...]string{"https://", "http://"} { // http only where it may be, on loopback
		if _, _, loopback, err := parsePublicURL(scheme + host); err == nil && loopback == (scheme == "http://") {
			return "add " + scheme + host + " to public_url if this host is yours"
		}
	}
	return "the proxy must pass on the Host that the browser asked for"
}

// clip bounds and cleans what goes into the log from outside.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100]
	}
	return strings.Map(func(r rune) rune {
		if r <= 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}

// unreadable counts and logs a question that doesn't say which request it is about.
func (e *Engine) unreadable(err error, peer string) {
	e.metrics.refused("forwarded_headers")
	if e.limits.allow("forwarded", 1, e.now()) {
		e.log.Warn("request refused: forwarded headers are missing or malformed", zap.Error(err), zap.String("peer", peerAddress(peer)), zap.String("cure", cureUnreadable))
	}
}
