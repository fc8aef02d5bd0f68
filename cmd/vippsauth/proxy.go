package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// mainHandler returns what the site's listener serves: the sidecar, or the endpoints that a proxy and browsers use.
func (s *service) mainHandler(c *config) http.Handler {
	switch {
	case c.isSidecar():
		apps := map[string]http.Handler{}
		for _, sc := range c.all() {
			app := newSidecar(sc, s.log, s.engine.AppUnavailable)
			for _, raw := range sc.publicURLs {
				if origin, err := forwardauth.Origin(raw); err == nil { // or the engine would not have been made
					apps[origin] = app
				}
			}
		}
		return forwardedFor(s.engine.Trusts, s.engine.ProtectSites(func(origin string) http.Handler { return apps[origin] }))
	case s.authz != nil:
		return withoutAuthz(s.engine.ForwardAuth())
	default:
		return s.engine.ForwardAuth()
	}
}

// A sidecar passes requests on to the application. It decides nothing: the engine in front of it has.
type sidecar struct {
	upstream *url.URL
	schemes  map[string]string                                                   // host of a public_url → its scheme
	away     func(w http.ResponseWriter, r *http.Request, status int, err error) // answers for an application that doesn't
}

const (
	dialTimeout      = 5 * time.Second
	idleUpstreams    = 128
	idleUpstreamTime = 60 * time.Second
	copyBuffer       = 32 << 10
)

// newSidecar returns the proxy to upstream. It asks no proxy of the environment (HTTP_PROXY), compresses nothing, and
// limits only the time to connect: how long the application takes is its own business.
func newSidecar(c *config, log *zap.Logger, away func(http.ResponseWriter, *http.Request, int, error)) http.Handler {
	s := &sidecar{upstream: c.upstream, schemes: map[string]string{}, away: away}
	for _, raw := range c.publicURLs {
		if origin, err := forwardauth.Origin(raw); err == nil {
			scheme, host, _ := strings.Cut(origin, "://")
			s.schemes[host] = scheme // as browsers write it, and as others may:
			s.schemes[host+map[string]string{"https": ":443", "http": ":80"}[scheme]] = scheme
		}
	}
	return &httputil.ReverseProxy{
		Rewrite: s.rewrite,
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ExpectContinueTimeout: time.Second,
			MaxIdleConns:          idleUpstreams,
			MaxIdleConnsPerHost:   idleUpstreams,
			IdleConnTimeout:       idleUpstreamTime,
			DisableCompression:    true,
			ForceAttemptHTTP2:     true,
		},
		FlushInterval: -1,
		BufferPool:    &bufferPool{},
		ErrorHandler:  s.failed,
		ErrorLog:      stdLog(log),
	}
}

// rewrite makes the request to the application: the same Host, path and query, byte for byte, and forwarding headers of
// our own. What else came of those is gone, since the application can't know whom to believe; X-Forwarded-For goes on
// from what forwardedFor has left.
func (s *sidecar) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(s.upstream)
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery, r.Out.URL.ForceQuery = r.In.URL.RawQuery, r.In.URL.ForceQuery
	for name := range r.Out.Header {
		if folded := strings.ReplaceAll(strings.ToLower(name), "_", "-"); strings.HasPrefix(folded, "x-forwarded-") || folded == "forwarded" || folded == "x-real-ip" {
			delete(r.Out.Header, name)
		}
	}
	if before := r.In.Header[headerForwardedFor]; len(before) > 0 {
		r.Out.Header[headerForwardedFor] = slices.Clone(before)
	}
	r.SetXForwarded()
	if scheme := s.schemes[strings.ToLower(r.In.Host)]; scheme != "" {
		r.Out.Header.Set("X-Forwarded-Proto", scheme)
	}
	if up := r.Out.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") { // h2c would get past us
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}
	if r.Out.Body != nil && r.Out.Body != http.NoBody {
		r.Out.Body = &clientBody{ReadCloser: r.Out.Body}
	}
	// An application that answers a HEAD with a body, against RFC 9110, leaves it on the connection. net/http notices, but a
	// moment after it has lent the connection out again: to the next request, whose answer that body is.
	r.Out.Close = r.In.Method == http.MethodHead
	if len(r.Out.Trailer) > 0 && r.Out.Body != nil {
		r.Out.Body = &trailed{ReadCloser: r.Out.Body, in: r.In, out: r.Out}
	}
}

// A trailed body hands on the trailers that follow it, which are known when it has been read: those that were announced.
type trailed struct {
	io.ReadCloser
	in, out *http.Request
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for name := range t.out.Trailer {
			t.out.Trailer[name] = t.in.Trailer[name]
		}
	}
	return n, err
}

// A clientBody remembers that it could not be read, so that nobody takes what a client did for what the application did.
type clientBody struct {
	io.ReadCloser
	broken atomic.Bool // the transport reads it beside the handler
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.broken.Store(true)
	}
	return n, err
}

// clientBroke reports whether the body of a request to the application was none.
func clientBroke(r *http.Request) bool {
	body := r.Body
	if t, ok := body.(*trailed); ok {
		body = t.ReadCloser
	}
	b, ok := body.(*clientBody)
	return ok && b.broken.Load()
}

// failed answers in place of an application that doesn't.
func (s *sidecar) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil { // the client went away
		return
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok && tooLarge != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		return
	}
	if clientBroke(r) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Connection", "close") // nobody knows where the next request begins
		http.Error(w, "malformed request body", http.StatusBadRequest)
		return
	}
	status := http.StatusBadGateway
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		status = http.StatusGatewayTimeout
	}
	s.away(w, r, status, err)
}

// A bufferPool keeps the buffers that bodies are copied through.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, copyBuffer)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
