package caddymodule

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const directiveName = "vipps_auth"

func init() {
	httpcaddyfile.RegisterDirective(directiveName, parseDirective)
	httpcaddyfile.RegisterDirectiveOrder(directiveName, httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterGlobalOption(directiveName, parseGlobalOption)
}

// parseDirective sets up the handler of a site from a Caddyfile. Syntax:
//
//	vipps_auth [<matcher>] {
//	    environment       production|test|emulator
//	    issuer            <url>
//	    client_id         <id>
//	    client_secret     <secret>
//	    client_auth       basic|basic-raw|post|partner
//	    msn               <merchant serial number>
//	    subscription_key  <key>
//	    userinfo_subscription_key on|off
//	    scopes            <scope...>
//	    market            NO|DK|FI|SE
//	    acr_values        <value...>
//	    system_name       <name>
//	    system_version    <version>
//	    public_url        <origin...>
//	    cookie_domain     <domain>
//	    auth_url          <origin>
//	    allow             anyone|<phone|sub|@file...>
//	    emulator_listen   <address>
//	    silent            first|off
//	    silent_retry      <duration>
//	    without_session   login|page|anonymous
//	    confirm_person    after-logout|always|never
//	    app_flow          off|automatic-return|app-to-app|app-to-app-v2
//	    app_callback_uri  <uri>
//	    final_redirect_is_app on|off
//	    headers           default|<Header=claim[;encoding]...>
//	    header_encoding   utf-8|percent|base64url|latin1|ascii
//	    email_unverified  drop|pass
//	    app_cookies       <name...>
//	    logout_paths      <path...>
//	    login_limit       <count>/<duration>|off
//	    login_limit_total <count>/<duration>|off
//	    site_name         <name>
//	    contact           <text>
//	    cookie_keys       <key...>
//	    cookie_keys_file  <path>
//	    session_ttl       <duration>
//	    session_idle      <duration>
//	    session_persist   on|off
//	    store             cookie
//	}
//
// The matcher says which requests are protected; the handler itself is there for the whole site, since it
// serves /_vipps/ and removes identity headers from every request. It stands before basic_auth, and so before
// request_header, which therefore must not delete X-Vipps-*. Each setting may be given once. What the site doesn't
// set comes from the global option vipps_auth, which has the same syntax, without a matcher.
//
// public_url may be left out where the site's addresses name hosts: example.com is https://example.com. Inside handle,
// handle_path, or a route with a matcher, the handler would not see /_vipps/ or all requests: a warning says so.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	match, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h.Next() // the directive's name, again
	here := h.Token()
	// The matcher has gone from the dispenser, so the site is read at the token that is left.
	site, known := blockOf(h)

	b := newBlock(here)
	if defaults, ok := h.Option(directiveName).(*block); ok {
		b.inherit(defaults)
	}
	if err := b.parse(h.Dispenser); err != nil {
		return nil, err
	}
	if match != nil {
		b.handler.MatcherSetsRaw = caddyhttp.RawMatcherSets{match}
	}
	switch {
	case h.IsNamedRoute():
		site.keys = nil
	case nested(h):
		warnNested(here, site, known)
	case known:
		if err := onlyOne(h, site, here); err != nil {
			return nil, err
		}
	}
	var missing error
	if len(b.handler.PublicURL) == 0 {
		b.handler.PublicURL, missing = derivedURLs(h, site)
	}
	if err := b.check(missing); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, b.handler), nil
}

func derivedURLs(h httpcaddyfile.Helper, site siteBlock) ([]string, error) {
	urls, err := publicURLs(site.keys, portOption(h, "http_port", caddyhttp.DefaultHTTPPort), portOption(h, "https_port", caddyhttp.DefaultHTTPSPort))
	if err != nil {
		return nil, &urlRequiredError{err}
	}
	return urls, nil
}

// urlRequiredError says why public_url can't be left out.
type urlRequiredError struct{ reason error }

func (e *urlRequiredError) Error() string { return "public_url is required here: " + e.reason.Error() }

// As makes it a *vipps.ConfigError among others.
func (e *urlRequiredError) As(target any) bool {
	faulty, ok := target.(**vipps.ConfigError)
	if ok {
		*faulty = &vipps.ConfigError{Setting: "public_url", Reason: e.reason.Error()}
	}
	return ok
}

// parseGlobalOption reads the defaults of all sites.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next()
	if existing != nil {
		return nil, d.Errf("the global option vipps_auth is there twice")
	}
	b := newBlock(d.Token())
	if err := b.parse(d); err != nil {
		return nil, err
	}
	return b, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens, with the syntax of the directive but for the
// matcher. It checks the form of settings, not their values.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := newBlock(d.Token())
	b.handler = h
	return b.parse(d)
}

// nested reports whether the directive stands in a block within its site. Caddy gives such blocks a state of their
// own, and the site block itself that of the whole adaptation.
func nested(h httpcaddyfile.Helper) bool {
	return reflect.ValueOf(h.State).Pointer() != reflect.ValueOf(h.BlockState).Pointer()
}

// warnNested tells that a handler in a block doesn't see every request, and how to do it with a matcher.
func warnNested(here caddyfile.Token, site siteBlock, known bool) {
	instead := directiveName + " <matcher> { … }"
	around := "a block"
	for i, line := range site.blocks {
		name, matcher, _ := strings.Cut(line, " ")
		if name == "route" && matcher == "" {
			if i == len(site.blocks)-1 && known {
				return // sees what its site sees
			}
			continue
		}
		around = line
		instead = strings.Join(strings.Fields(directiveName+" "+matcher+" { … }"), " ")
		break
	}
	caddy.Log().Named("caddyfile").Warn(
		"vipps_auth inside "+around+" never sees /_vipps/, so nobody can log in, and leaves identity headers on the requests beside it: "+
			"write it at the top of the site, with the matcher of what is protected: "+instead,
		zap.String("file", here.File), zap.Int("line", here.Line))
}

// onlyOne refuses a second vipps_auth in one site: the first would take away the cookies that the second looks for.
func onlyOne(h httpcaddyfile.Helper, site siteBlock, here caddyfile.Token) error {
	key := "vippsauth " + site.where + " " + strings.Join(site.keys, " ")
	if first, ok := h.State[key].(caddyfile.Token); ok {
		return errAt(here, fmt.Errorf("vipps_auth is in this site twice (first at %s:%d): write it once, with a matcher for all that is protected", first.File, first.Line))
	}
	h.State[key] = here
	return nil
}

// block is one vipps_auth { … } of a Caddyfile.
type block struct {
	handler *Handler
	opened  caddyfile.Token
	lines   map[string]caddyfile.Token // where each setting is set, here or in the global option
	own     map[string]bool            // those that this block sets
}

func newBlock(opened caddyfile.Token) *block {
	return &block{handler: &Handler{}, opened: opened, lines: map[string]caddyfile.Token{}, own: map[string]bool{}}
}

// inherit takes over the settings of the global option.
func (b *block) inherit(from *block) {
	*b.handler = *from.handler
	for name, token := range from.lines {
		b.lines[name] = token
	}
}

// parse reads the block that follows the current token.
func (b *block) parse(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	fields := map[string]field{}
	var names []string
	for _, f := range b.handler.fields() {
		fields[f.name] = f
		names = append(names, f.name)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		f, ok := fields[name]
		if !ok {
			return d.Errf("%s", unknownSetting(name, names))
		}
		if b.own[name] {
			return d.Errf("%s is set twice (first at line %d)", name, b.lines[name].Line)
		}
		b.own[name], b.lines[name] = true, d.Token()
		if err := f.set(d); err != nil {
			return err
		}
		b.displace(name)
	}
	if d.Next() {
		return d.Errf("unexpected %q after the block", d.Val())
	}
	return nil
}

// displace drops the global option's value of a setting that excludes the one that the site sets.
func (b *block) displace(name string) {
	h := b.handler
	drop := func(other string, forget func()) {
		if !b.own[other] {
			delete(b.lines, other)
			forget()
		}
	}
	switch name {
	case "environment":
		drop("issuer", func() { h.Issuer = "" })
	case "issuer":
		drop("environment", func() { h.Environment = "" })
	case "cookie_keys":
		drop("cookie_keys_file", func() { h.CookieKeysFile = "" })
	case "cookie_keys_file":
		drop("cookie_keys", func() { h.CookieKeys = nil })
	}
}

// set reads the arguments of a setting, whose name is the current token.
func (f *field) set(d *caddyfile.Dispenser) error {
	at := *d // errors belong to the line of the name, as does d's cursor after the arguments
	args := d.RemainingArgs()
	if len(args) == 0 {
		return at.Errf("%s needs a value", f.name)
	}
	for _, arg := range args {
		if strings.TrimSpace(arg) == "" {
			return at.Errf("%s has an empty value", f.name)
		}
	}
	if len(args) > 1 && f.list == nil && f.words == nil {
		return at.Errf("%s takes one value; put quotes around one that has spaces", f.name)
	}
	switch {
	case f.text != nil:
		*f.text = args[0]
	case f.words != nil:
		*f.words = strings.Join(args, " ")
	case f.list != nil:
		*f.list = args
	case f.duration != nil:
		duration, err := caddy.ParseDuration(args[0])
		if err != nil || duration <= 0 {
			return at.Errf("%s must be a duration above zero, such as 90s, 15m, 8h or 2d", f.name)
		}
		*f.duration = caddy.Duration(duration)
	}
	return nil
}

// errLater says of a value that it has placeholders, which only a running server knows.
var errLater = errors.New("not known yet")

// check returns all that is wrong with values that are known already, and the errors that it is given, each with
// its line.
func (b *block) check(given error) error {
	later := map[string]bool{}
	expanded, unknown := b.handler.expand(func(text string) (string, error) {
		if strings.Contains(text, "{") || strings.HasPrefix(text, "@") {
			return "", errLater // files, too, belong to the machine that runs the server
		}
		return text, nil
	})
	for _, err := range unknown {
		later[settingOf(err)] = true
	}
	expanded.CookieKeysFile = ""
	if later["cookie_keys"] {
		expanded.CookieKeys = nil
	}
	if later["allow"] {
		expanded.Allow = []string{"anyone"}
	}
	if later["public_url"] {
		expanded.PublicURL = []string{"http://localhost"}
	}
	set, resolveErrs := expanded.resolve(later)
	errs := append(each(given), resolveErrs...)
	if b.handler.CookieKeysFile != "" && len(b.handler.CookieKeys) > 0 {
		errs = append(errs, &vipps.ConfigError{Setting: "cookie_keys", Reason: "is set beside cookie_keys_file: keep one of them"})
	}
	errs = append(errs, set.check(errs)...)
	errs = slices.DeleteFunc(errs, func(err error) bool { return later[settingOf(err)] })
	slices.SortStableFunc(errs, func(one, other error) int { return b.where(one).Line - b.where(other).Line })
	for i, err := range errs {
		errs[i] = errAt(b.where(err), err)
	}
	return errors.Join(errs...)
}

// where is the token that an error is about: its setting's or, when that isn't set, the block's own.
func (b *block) where(err error) caddyfile.Token {
	if token, ok := b.lines[settingOf(err)]; ok {
		return token
	}
	return b.opened
}

// errAt adds a token's file and line to an error, as Caddy does.
func errAt(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d.WrapErr(err)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
