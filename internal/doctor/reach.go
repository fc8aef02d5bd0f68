package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// certificateEnds is how long before its end a certificate should have been renewed, at the latest: two weeks, or a sixth of its
// life where it is made for a few days or hours. What renews by itself does so with a third left.
func certificateEnds(c *x509.Certificate) time.Duration {
	return min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/6)
}

// span is a time in words.
func span(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// reach connects to the site: name, address, TLS and certificate. Without it nothing else can be asked.
func (v *visit) reach(ctx context.Context) bool {
	conn, err := v.connect(ctx, v.target, "http/1.1")
	if err != nil {
		v.unreachable(err)
		return false
	}
	defer func() { _ = conn.Close() }() // nothing was asked
	secured, ok := conn.(*tls.Conn)
	if !ok {
		if !isLoopback(v.target.Hostname()) {
			v.problem("tls", "the site is asked over http", "everybody on the way can read the session and log in with it, and Vipps takes only https in production",
				"serve the site on https, and give that to --url and to public_url")
			return true
		}
		v.note("tls", "the site is on http, on this machine: good for trying things out only", "")
		return true
	}
	v.cert = secured.ConnectionState().PeerCertificates[0]
	left := v.cert.NotAfter.Sub(v.site.Now())
	if left < certificateEnds(v.cert) {
		v.warn("tls", "the certificate ends in "+span(left)+", on "+v.cert.NotAfter.UTC().Format(time.DateOnly),
			"after that no browser opens the site", "renew it, and see why it isn't renewed by itself")
		return true
	}
	v.ok("tls", "the site answers, and its certificate is good for "+span(left))
	return true
}

// unreachable says why there is no connection.
func (v *visit) unreachable(err error) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		v.problem("tls", "the name "+v.target.Hostname()+" can't be resolved: "+short(dns.Err), "browsers can't find the site", "add the name to DNS, or look at --url for a typing error")
		return
	}
	if why := certificateFault(err, v.site.Now()); why != "" {
		v.problem("tls", "the certificate is not accepted: "+why, "browsers show a warning in place of the site",
			"install a certificate for "+v.target.Hostname()+" with its whole chain; where the authority is your own, name it in --ca-file")
		return
	}
	v.problem("tls", "no connection to "+hostPort(v.target)+": "+reason(err), "browsers don't get there either", "start the proxy, and look at its address and at the firewall")
}

func certificateFault(err error, now time.Time) string {
	if expired, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if expired.Reason == x509.Expired && expired.Cert != nil && now.After(expired.Cert.NotAfter) {
			return "it ended on " + expired.Cert.NotAfter.UTC().Format(time.DateOnly)
		}
		return short(expired.Error())
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return "it is for " + short(strings.Join(host.Certificate.DNSNames, ", "))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "nobody that this machine trusts has signed it"
	}
	return ""
}

// reason is an error in few words, without addresses of this machine.
func reason(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, errEnough):
		return "the number of requests is used up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return short(op.Err.Error())
	}
	return short(err.Error())
}

// plain asks for the site over http: a browser that is given only the name begins there.
func (v *visit) plain(ctx context.Context) {
	port := v.site.PlainPort
	if !v.secure() || port == "" && v.target.Port() != "" {
		return
	}
	if port == "" {
		port = "80"
	}
	w, err := v.send(ctx, ask{
		at: &url.URL{Scheme: "http", Host: net.JoinHostPort(v.target.Hostname(), port)}, path: "/", header: navigation(), host: v.target.Hostname(),
	})
	switch {
	case err != nil:
		v.note("https", "nothing answers on http, port "+port+": who types the name without https:// may not get here", "redirect http to https there")
	case w.location() != nil && strings.HasPrefix(w.header.Get("Location"), v.origin):
		v.ok("https", "http leads to https")
	case w.location() != nil:
		v.warn("https", "http leads elsewhere: "+w.says(), "the session is for "+v.origin+" alone", "redirect http to "+v.origin)
	case w.status == http.StatusOK || w.status == http.StatusUnauthorized:
		v.problem("https", "the site is served over http too: "+w.says(), "cookies of ours are for https only, so logins go round there, and others can read along",
			"redirect every request on port "+port+" to "+v.origin)
	default:
		v.ok("https", "http serves nothing: "+w.says())
	}
}

// strictTransport looks for HSTS.
func (v *visit) strictTransport(context.Context) {
	if !v.secure() || v.nav == nil {
		return
	}
	if v.nav.header.Get("Strict-Transport-Security") == "" {
		v.note("hsts", "there is no Strict-Transport-Security: a first visit over http can be turned aside", "let the proxy send Strict-Transport-Security: max-age=31536000 when all of the site is on https")
		return
	}
	v.ok("hsts", "browsers are told to use https only")
}

// http2 asks for the page over HTTP/2, where the site offers it: names are in lower case there.
func (v *visit) http2(ctx context.Context) {
	if !v.secure() || v.nav == nil {
		return
	}
	conn, err := v.connect(ctx, v.target, "h2")
	if err != nil {
		v.note("http2", "HTTP/2 is not offered", "")
		return
	}
	_ = conn.Close()
	if secured, ok := conn.(*tls.Conn); !ok || secured.ConnectionState().NegotiatedProtocol != "h2" {
		v.note("http2", "HTTP/2 is not offered", "")
		return
	}
	w, err := v.overHTTP2(ctx)
	if err != nil {
		v.warn("http2", "HTTP/2 is offered, but gives no answer: "+reason(err), "browsers use it when it is offered", "look at the proxy's log")
		return
	}
	if w.status != v.nav.status || w.header.Get("Location") != v.nav.header.Get("Location") {
		v.problem("http2", "the answer over HTTP/2 is another: "+w.says(), "browsers use HTTP/2, where the host is in :authority and header names are in lower case",
			"let the proxy pass host and Sec-Fetch headers on alike for both versions")
		return
	}
	v.ok("http2", "HTTP/2 gets the same answer")
}

func (v *visit) overHTTP2(ctx context.Context) (*answer, error) {
	if v.requests >= maxRequests {
		return nil, errEnough
	}
	v.requests++
	cfg := v.tls.Clone()
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DialContext: v.dial}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, perRequest)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.origin+v.path, http.NoBody)
	if err != nil {
		return nil, err
	}
	for _, line := range navigation("User-Agent: " + v.userAgent) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w, err := tr.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_ = w.Body.Close()
	return &answer{status: w.StatusCode, header: w.Header, at: time.Now()}, nil
}

func isLoopback(host string) bool {
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
