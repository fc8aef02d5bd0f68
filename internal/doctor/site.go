package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The paths of vippsauth's own pages.
const (
	pathLogin    = "/_vipps/login"
	pathCallback = "/_vipps/callback"
	pathResult   = "/_vipps/result"
	pathMe       = "/_vipps/me"
	pathAuthz    = "/_vipps/authz/"
)

// Site is a protected site to examine.
type Site struct {
	// URL is a page that needs a login. https, or http on loopback. Required.
	URL *url.URL
	// Version goes into the User-Agent. Default: dev.
	Version string
	// Cookie is the Cookie header of somebody who is logged in. Default: nobody is.
	Cookie string
	// EchoPath is a path of the application that answers with the request headers that it got. Default: there is none.
	EchoPath string
	// LogInAs is the phone number of one of the emulator's people, as whom to log in where logins go to it. Default: nobody.
	LogInAs string
	// AskProvider lets one request go to the provider's authorize endpoint, as a browser that is sent there would. Default: none does.
	AskProvider bool
	// Roots are the certificate authorities to trust. Default: the system's.
	Roots *x509.CertPool
	// PlainPort is where the site answers http, for the redirect to https. Default: 80, and only for a site on port 443.
	PlainPort string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// visit is one examination on its way: what was asked and answered so far.
type visit struct {
	site   Site
	origin string
	path   string // of the page asked for, with a query of ours
	cert   *x509.Certificate
	asker
	findings

	nav       *answer  // the page as a browser asks for it
	scripted  *answer  // and as a script does
	pages     *url.URL // scheme and host where logins are made: the site's own, unless auth_url says otherwise
	login     *answer
	attempt   *http.Cookie // of the login
	authorize *url.URL     // where the login leads to
	live      bool         // the session in Site.Cookie is good
}

// askedQuery is appended to the page asked for: what a proxy that decodes, drops or encodes a query does to it shows.
const askedQuery = "vippsauth-doctor=%C3%A5%26b%2Fc+d&twice=1&twice=2"

// Examine asks the site and reports what it found. It returns an error only when the Site itself can't be used.
func (s Site) Examine(ctx context.Context) (*Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, inAll)
	defer cancel()
	v := s.visit()
	v.run(ctx)
	return &Report{About: s.URL.String(), Findings: v.list, Requests: v.requests}, nil
}

func (s *Site) check() error {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Version == "" {
		s.Version = "dev"
	}
	u := s.URL
	switch {
	case u == nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an absolute https URL, such as https://app.example.com/")
	case u.User != nil:
		return errors.New("must not hold a user name or a password")
	case strings.ContainsAny(s.Cookie, "\r\n\x00"):
		return errors.New("the cookie holds a line break")
	case s.EchoPath != "" && (!strings.HasPrefix(s.EchoPath, "/") || strings.ContainsAny(s.EchoPath, " \r\n#")):
		return errors.New("the echo path must begin with a slash")
	}
	return nil
}

func (s Site) visit() *visit {
	path := s.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	query := askedQuery
	if s.URL.RawQuery != "" {
		query = s.URL.RawQuery + "&" + askedQuery
	}
	target := &url.URL{Scheme: s.URL.Scheme, Host: strings.ToLower(s.URL.Host)}
	if port := target.Port(); port == "443" && target.Scheme == "https" || port == "80" && target.Scheme == "http" {
		target.Host = strings.TrimSuffix(target.Host, ":"+port)
	}
	return &visit{
		site: s, origin: target.String(), pages: target, path: path + "?" + query,
		asker: asker{
			target: target, userAgent: "vippsauth-doctor/" + s.Version,
			tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots, Time: s.Now}, dial: dialer(),
		},
	}
}

// run makes the checks in an order in which each can build on those before.
func (v *visit) run(ctx context.Context) {
	if !v.reach(ctx) {
		return
	}
	for _, check := range []func(context.Context){
		v.plain, v.navigation, v.script, v.method, v.websocket,
		v.loginPage, v.loginAgain, v.provider, v.callback, v.cookiesBack,
		v.spoofedIdentity, v.spoofedForwarded, v.otherHost, v.authz, v.authzTricks,
		v.bigHeader, v.http2, v.caching, v.clock, v.strictTransport,
		v.logIn, v.session, v.appHeaders, v.name,
	} {
		if ctx.Err() != nil {
			v.warn("time", "the examination took too long, and was ended", "the remaining checks were not made", "ask again when the site answers faster")
			return
		}
		check(ctx)
	}
}

// ask sends one request for a check. When nothing comes back, it says so, once for the check, and returns nil.
func (v *visit) ask(ctx context.Context, check string, q ask) *answer {
	w, err := v.send(ctx, q)
	if err != nil {
		v.warn(check, "no answer: "+reason(err), "this could not be looked at", "ask again; if it stays so, look at the proxy's log")
		return nil
	}
	return w
}

// secure reports whether the site is on https.
func (v *visit) secure() bool { return v.target.Scheme == "https" }
