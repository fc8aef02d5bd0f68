package main

import (
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// mainHandler returns what the site's listener serves: the sidecar, or the endpoints that a proxy and browsers use.
func (s *service) mainHandler(c *config) http.Handler {
	switch {
	case c.upstream != nil:
		return c.forwardedFor(s.engine.Protect(newSidecar(c, s.log)))
	case s.authz != nil:
		return withoutAuthz(s.engine.ForwardAuth())
	default:
		return s.engine.ForwardAuth()
	}
}

// A sidecar passes requests on to the application. It decides nothing: the engine in front of it has.
type sidecar struct {
	upstream *url.URL
	schemes  map[string]string // host of a public_url → its scheme
	log      *zap.Logger
}

const (
	dialTimeout      = 5 * time.Second
	idleUpstreams    = 128
	idleUpstreamTime = 60 * time.Second
	copyBuffer       = 32 << 10
)

// newSidecar returns the proxy to upstream. It asks no proxy of the environment (HTTP_PROXY), compresses nothing, and
// limits only the time to connect: how long the application takes is its own business.
func newSidecar(c *config, log *zap.Logger) http.Handler {
	s := &sidecar{upstream: c.upstream, schemes: map[string]string{}, log: log}
	for _, raw := range c.publicURLs {
		if u, err := url.Parse(raw); err == nil {
			s.schemes[strings.ToLower(u.Host)] = u.Scheme
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
}

// failed answers in place of an application that doesn't.
func (s *sidecar) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil { // the client went away
		return
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok && tooLarge != nil {
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		return
	}
	status := http.StatusBadGateway
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		status = http.StatusGatewayTimeout
	}
	reference := rand.Text()[:8]
	s.log.Error("the application doesn't answer", zap.String("reference", reference), zap.String("method", r.Method), zap.Int("status", status), zap.Error(err))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	text := awayTexts["en"]
	if prefersNorwegian(r.Header.Get("Accept-Language")) {
		text = awayTexts["nb"]
	}
	_ = awayPage.Execute(w, struct {
		awayText
		Reference string
	}{text, reference}) // the client may be gone
}

type awayText struct{ Lang, Title, Text, Ref, Again string }

var awayTexts = map[string]awayText{
	"en": {"en", "The page can't be shown right now", "You are logged in as before, but the application behind this site doesn't answer. Wait a little, then try again.", "Reference", "Try again"},
	"nb": {"nb", "Siden kan ikke vises akkurat nå", "Innloggingen din er som før, men applikasjonen bak dette nettstedet svarer ikke. Vent litt, og prøv igjen.", "Referanse", "Prøv igjen"},
}

var awayPage = template.Must(template.New("away").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title>
<style>body{font:1.05rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto 0;padding:0 1.25rem;color:#1d1d2b;background:#fff}small{color:#595966}</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p><p><a href="">{{.Again}}</a></p><p><small>{{.Ref}}: {{.Reference}}</small></p></main></body></html>
`))

// prefersNorwegian reports whether the first language of an Accept-Language header is Norwegian.
func prefersNorwegian(accept string) bool {
	first, _, _ := strings.Cut(accept, ",")
	first, _, _ = strings.Cut(strings.TrimSpace(first), ";")
	primary, _, _ := strings.Cut(strings.ToLower(first), "-")
	return primary == "nb" || primary == "nn" || primary == "no"
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
