package vipps

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	callTimeout = 10 * time.Second
	maxBody     = 1 << 20 // of any answer
	maxErrBody  = 64 << 10
)

// Client logs people in with one provider, as one client. It is safe for
// concurrent use, and keeps nothing of a login.
type Client struct {
	cfg      Config
	http     *http.Client
	metadata *cached[*metadata]
	keys     *keySet
	access   *cached[accessToken]
}

// New returns a client, or an error that joins a *ConfigError for each faulty
// setting. It does no I/O: whether the provider exists and knows the client
// shows at the first login, or with Discover.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: httpClient(cfg.HTTPClient)}
	c.metadata = &cached[*metadata]{now: cfg.Now, stage: StageDiscovery, fetch: c.fetchMetadata}
	c.keys = newKeySet(c)
	c.access = &cached[accessToken]{now: cfg.Now, stage: StageAccessToken, fetch: c.fetchAccessToken}
	return c, nil
}

// Issuer returns the configured issuer.
func (c *Client) Issuer() string { return c.cfg.Issuer }

// ClientID returns the configured client_id.
func (c *Client) ClientID() string { return c.cfg.ClientID }

// ACRValues returns the configured authentication context classes.
func (c *Client) ACRValues() string { return c.cfg.ACRValues }

// Ready returns nil while the last fetch of the provider's metadata and of its
// keys succeeded, or none was needed yet, and what went wrong otherwise. It
// does no I/O, so it doesn't find out that the provider is back: Discover does.
func (c *Client) Ready() error {
	if err := c.metadata.lastError(); err != nil {
		return err
	}
	return c.keys.cache.lastError()
}

// Discover fetches the provider's metadata and keys if they are missing or
// have expired. It keeps to the back-off after a failure, and returns nil when older ones
// are still in use; Ready tells these two apart.
func (c *Client) Discover(ctx context.Context) error {
	if _, err := c.metadata.get(ctx); err != nil {
		return err
	}
	if err := c.keys.load(ctx); err != nil {
		return err
	}
	if c.keys.cache.lastError() != nil { // of a fetch for a key that isn't known; those at hand may be fresh for long
		_, serial := c.keys.cache.snapshot()
		c.keys.cache.refresh(ctx, serial, func(time.Time) bool { return true })
	}
	return nil
}

// httpClient copies hc, or makes our own if it is nil, and takes away what a
// login must not have: cookies and redirects.
func httpClient(hc *http.Client) *http.Client {
	out := &http.Client{Timeout: callTimeout}
	if hc != nil {
		*out = *hc
	} else {
		dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}
		out.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    3 * time.Second,
			ResponseHeaderTimeout:  5 * time.Second,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConns:           20,
			MaxIdleConnsPerHost:    10,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}
	}
	out.Jar = nil
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return out
}

// answer is a good one of the provider.
type answer struct {
	header http.Header
	body   []byte
	skew   time.Duration // the Date header minus our clock
	dated  bool
}

// do sends one request, never twice, and reads a bounded answer. Any status
// but 200 becomes an *Error that is built from the status first; what the
// body adds is welcome but not needed. Secrets are kept out of its description.
func (c *Client) do(ctx context.Context, stage Stage, req *http.Request, secrets ...string) (*answer, error) {
	return c.send(ctx, stage, req, []int{http.StatusOK}, secrets...)
}

// send is do where other statuses are good answers.
func (c *Client) send(ctx context.Context, stage Stage, req *http.Request, good []int, secrets ...string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.SystemName+"/"+c.cfg.SystemVersion)
	req.Header.Set("Vipps-System-Name", c.cfg.SystemName)
	req.Header.Set("Vipps-System-Version", c.cfg.SystemVersion)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.hinted(transportError(ctx, stage, err))
	}
	defer func() { _ = resp.Body.Close() }()

	a := &answer{header: resp.Header}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.skew, a.dated = date.Sub(c.cfg.Now()), true
	}
	if !slices.Contains(good, resp.StatusCode) {
		return nil, c.statusError(stage, resp, a, secrets)
	}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, c.hinted(transportError(ctx, stage, err))
	}
	if len(a.body) > maxBody {
		return nil, c.hinted(&Error{Stage: stage, Code: CodeTooLarge, Status: resp.StatusCode})
	}
	return a, nil
}

func (c *Client) statusError(stage Stage, resp *http.Response, a *answer, secrets []string) *Error {
	e := c.hinted(&Error{Stage: stage, Code: CodeHTTP, Status: resp.StatusCode})
	e.hint.skew, e.hint.haveSkew = a.skew, a.dated
	e.RetryAfter = retryAfter(resp.Header, c.cfg.Now().Add(a.skew), stage.longestWait())
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		e.Code = CodeRedirect
		return e
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrBody))
	if err != nil {
		return e
	}
	if o, err := decodeObject(body); err == nil {
		describe(e, o, append(secrets, c.cfg.ClientSecret.Reveal()))
	}
	return e
}

// describe fills code and description from an error body: that of OAuth 2.0,
// of older Vipps services (error_code), of the gateway in front of them (message), or problem details (RFC 9457).
func describe(e *Error, o object, secrets []string) {
	code, _ := o.text("error")
	// Where both are there, what Vipps says of the person says more than the standard's code.
	if vippsCode, _ := o.text("error_code"); code == "" || slices.Contains(notEligible(), vippsCode) {
		code = vippsCode
	}
	if code != "" {
		e.Code = cleanCode(code)
	}
	var words []string
	for _, name := range []string{"error_description", "error_hint", "error_debug", "title", "detail", "message"} {
		if s, _ := o.text(name); s != "" {
			words = append(words, s)
		}
	}
	words = append(words, extraDetails(o)...)
	e.Description = cleanText(strings.Join(words, " "), secrets...)
}

// hinted adds what Causes needs to know of the configuration.
func (c *Client) hinted(e *Error) *Error {
	e.hint.auth = c.cfg.ClientAuth
	e.hint.issuer = c.cfg.Issuer
	e.hint.keyed = c.cfg.UserinfoSubscriptionKey
	id, secret := c.cfg.ClientID, c.cfg.ClientSecret.Reveal()
	e.hint.encodes = url.QueryEscape(id) != id || url.QueryEscape(secret) != secret
	return e
}

// fail returns an *Error of a check of our own.
func (c *Client) fail(stage Stage, code, reason string) *Error {
	e := c.hinted(&Error{Stage: stage, Code: code})
	if reason != "" {
		e.Err = errors.New(reason)
	}
	return e
}

// maxRetryAfter bounds what we let a provider ask for.
const maxRetryAfter = 5 * time.Minute

// longestWait is longer where only one person's login waits: see retryAfter.
func (s Stage) longestWait() time.Duration {
	switch s {
	case StageBackchannel, StageUserExists, StageToken:
		return time.Hour
	default:
		return maxRetryAfter
	}
}

// retryAfter reads Retry-After in both of its forms (RFC 9110 §10.2.3), up to a limit. A date in it is by the provider's clock, and so is now.
func retryAfter(h http.Header, now time.Time, limit time.Duration) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.Atoi(v); err == nil {
		d = time.Duration(min(n, int(limit/time.Second))) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return max(0, min(d, limit))
}
