package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	envProduction = "production"
	envTest       = "test"
	envEmulator   = "emulator"

	onWord = "on"

	modulePath = "github.com/vippsauth/vippsauth"
)

// field is one setting of a Handler, by the name that it has in JSON and in a Caddyfile. One of its pointers is set.
type field struct {
	name     string
	text     *string
	words    *string // several arguments, joined by spaces
	list     *[]string
	duration *caddy.Duration
}

// fields lists all settings. They point into h.
func (h *Handler) fields() []field {
	return []field{
		{name: "environment", text: &h.Environment},
		{name: "issuer", text: &h.Issuer},
		{name: "client_id", text: &h.ClientID},
		{name: "client_secret", text: &h.ClientSecret},
		{name: "client_auth", text: &h.ClientAuth},
		{name: "msn", text: &h.MSN},
		{name: "subscription_key", text: &h.SubscriptionKey},
		{name: "userinfo_subscription_key", text: &h.UserinfoSubscriptionKey},
		{name: "scopes", list: &h.Scopes},
		{name: "market", text: &h.Market},
		{name: "acr_values", words: &h.ACRValues},
		{name: "system_name", text: &h.SystemName},
		{name: "system_version", text: &h.SystemVersion},
		{name: "public_url", list: &h.PublicURL},
		{name: "cookie_domain", text: &h.CookieDomain},
		{name: "auth_url", text: &h.AuthURL},
		{name: "allow", list: &h.Allow},
		{name: "emulator_listen", text: &h.EmulatorListen},
		{name: "silent", text: &h.Silent},
		{name: "silent_retry", duration: &h.SilentRetry},
		{name: "without_session", text: &h.WithoutSession},
		{name: "confirm_person", text: &h.ConfirmPerson},
		{name: "app_flow", text: &h.AppFlow},
		{name: "app_callback_uri", text: &h.AppCallbackURI},
		{name: "final_redirect_is_app", text: &h.FinalRedirectIsApp},
		{name: "headers", list: &h.Headers},
		{name: "header_encoding", text: &h.HeaderEncoding},
		{name: "email_unverified", text: &h.EmailUnverified},
		{name: "app_cookies", list: &h.AppCookies},
		{name: "logout_paths", list: &h.LogoutPaths},
		{name: "login_limit", text: &h.LoginLimit},
		{name: "login_limit_total", text: &h.LoginLimitTotal},
		{name: "site_name", text: &h.SiteName},
		{name: "contact", text: &h.Contact},
		{name: "cookie_keys", list: &h.CookieKeys},
		{name: "cookie_keys_file", text: &h.CookieKeysFile},
		{name: "session_ttl", duration: &h.SessionTTL},
		{name: "session_idle", duration: &h.SessionIdle},
		{name: "session_persist", text: &h.SessionPersist},
		{name: "store", text: &h.Store},
	}
}

// placeholder replaces the placeholders of one text.
type placeholder func(text string) (string, error)

// globalPlaceholders replaces {env.*}, {file.*}, {system.*} and {time.*}.
func globalPlaceholders() placeholder {
	repl := caddy.NewReplacer()
	return func(text string) (string, error) { return repl.ReplaceOrErr(text, true, true) }
}

// expand returns a copy of h with its placeholders replaced, and a *vipps.ConfigError for each setting whose
// placeholders can't be. Those settings are empty in the copy. An entry of a list that holds a placeholder may become
// several, separated by commas or line ends.
func (h *Handler) expand(replace placeholder) (Handler, []error) {
	out := *h
	var errs []error
	one := func(f field, text string) string {
		expanded, err := replace(text)
		if err != nil {
			errs = append(errs, &vipps.ConfigError{Setting: f.name, Reason: err.Error()})
			return ""
		}
		return expanded
	}
	for _, f := range out.fields() {
		switch {
		case f.text != nil:
			*f.text = one(f, *f.text)
		case f.words != nil:
			*f.words = one(f, *f.words)
		case f.list != nil:
			var list []string
			for _, entry := range *f.list {
				switch expanded := one(f, entry); {
				case expanded == entry:
					list = append(list, entry)
				default:
					list = append(list, splitList(expanded)...)
				}
			}
			*f.list = list
		}
	}
	return out, errs
}

// splitList cuts what a placeholder gave for a list into its entries.
func splitList(text string) []string {
	var list []string
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}

// settings is what a Handler means, in the terms of the packages that it is made of.
type settings struct {
	vipps    vipps.Config
	engine   forwardauth.Config // without client, keys, state, logger and metrics
	keys     session.Keys       // nil: from keysFile, or Caddy's storage without one
	keysFile string
	emulator string // where it listens; empty: none
	unused   []forwardauth.UnusedScope
}

// resolve turns an expanded Handler into settings. later names settings whose value isn't known yet; what stands
// in for them has no faults. The errors are *vipps.ConfigErrors.
func (h *Handler) resolve(later map[string]bool) (settings, []error) {
	set := settings{keysFile: h.CookieKeysFile}
	var errs []error
	bad := func(setting, reason string) {
		errs = append(errs, &vipps.ConfigError{Setting: setting, Reason: reason})
	}
	clientAuth := vipps.ClientAuthBasic
	if h.ClientAuth != "" {
		var err error
		if clientAuth, err = vipps.ParseClientAuth(h.ClientAuth); err != nil {
			errs = append(errs, err)
		}
	}
	var scopes []string
	for _, entry := range h.Scopes {
		scopes = append(scopes, strings.Fields(entry)...)
	}
	set.vipps = vipps.Config{
		ClientID: h.ClientID, ClientSecret: vipps.Secret(h.ClientSecret), ClientAuth: clientAuth, Scopes: scopes,
		Market: h.Market, ACRValues: h.ACRValues, SystemName: h.SystemName, SystemVersion: h.SystemVersion,
		MerchantSerialNumber: h.MSN, SubscriptionKey: vipps.Secret(h.SubscriptionKey), UserinfoSubscriptionKey: h.UserinfoSubscriptionKey == onWord,
	}
	if set.vipps.SystemVersion == "" {
		set.vipps.SystemVersion = version()
	}
	h.resolveProvider(&set, later, bad)
	set.engine = forwardauth.Config{
		PublicURLs: h.PublicURL, CookieDomain: h.CookieDomain, AuthURL: h.AuthURL, Production: h.Environment == envProduction, Emulator: h.Environment == envEmulator,
		Scopes: scopes, Market: h.Market, Allow: h.Allow,
		Silent: h.Silent, SilentRetry: time.Duration(h.SilentRetry), WithoutSession: h.WithoutSession, ConfirmPerson: h.ConfirmPerson,
		Headers: h.Headers, HeaderEncoding: h.HeaderEncoding, EmailUnverified: h.EmailUnverified,
		AppCookies: h.AppCookies, LogoutPaths: h.LogoutPaths, SiteName: h.SiteName, Contact: h.Contact,
		SessionTTL: time.Duration(h.SessionTTL), SessionIdle: time.Duration(h.SessionIdle), SessionPersist: h.SessionPersist,
		LoginLimit: h.LoginLimit, LoginLimitTotal: h.LoginLimitTotal,
		AppFlow: h.AppFlow, AppCallbackURI: h.AppCallbackURI, FinalRedirectIsApp: h.FinalRedirectIsApp == onWord,
	}
	h.checkWords(later, bad)
	switch {
	case len(h.CookieKeys) > 0 && h.CookieKeysFile != "":
		bad("cookie_keys", "is set beside cookie_keys_file: keep one of them")
	case len(h.CookieKeys) > 0:
		keys, err := session.ParseKeys(h.CookieKeys)
		if err != nil {
			bad("cookie_keys", oneLine(err))
		}
		set.keys = keys
	}
	switch h.Store {
	case "", "cookie":
	default:
		bad("store", "must be cookie: others are not supported in this version")
	}
	return set, errs
}

// checkWords looks at settings that are one word of few, and at scopes, which are words too.
func (h *Handler) checkWords(later map[string]bool, bad func(setting, reason string)) {
	for _, s := range [...]struct{ setting, value string }{
		{"userinfo_subscription_key", h.UserinfoSubscriptionKey}, {"final_redirect_is_app", h.FinalRedirectIsApp},
	} {
		if !slices.Contains([]string{"", onWord, "off"}, s.value) {
			bad(s.setting, "must be one of on, off")
		}
	}
	for i, scope := range h.Scopes {
		if strings.Contains(scope, ",") && h.Issuer == "" && !later["issuer"] { // Vipps has none such
			bad("scopes", fmt.Sprintf("scope %d holds a comma: put blanks between scopes, as in openid name phoneNumber", i+1))
		}
	}
}

// resolveProvider says which provider is meant, and who we are to it.
func (h *Handler) resolveProvider(set *settings, later map[string]bool, bad func(setting, reason string)) {
	const someIssuer = "https://issuer.invalid/" // so that the rest is looked at too
	named := h.Environment != "" || later["environment"]
	switch {
	case named && (h.Issuer != "" || later["issuer"]):
		bad("issuer", "is set beside environment: keep environment for Vipps MobilePay, or issuer for another provider")
		set.vipps.Issuer = someIssuer
	case h.Issuer != "":
		set.vipps.Issuer = h.Issuer
	case later["environment"], later["issuer"]:
		set.vipps.Issuer = someIssuer
	case h.Environment == envProduction || h.Environment == envTest:
		set.vipps.Issuer, _ = vipps.Environment(h.Environment).Issuer()
	case h.Environment == envEmulator:
		h.resolveEmulator(set, bad)
	case named:
		bad("environment", "must be production, test or emulator")
		set.vipps.Issuer = someIssuer
	default:
		bad("environment", "is missing: say which Vipps people log in with, production, test or emulator, or set issuer for another provider")
		set.vipps.Issuer = someIssuer
	}
	standIn(later["client_id"], &set.vipps.ClientID)
	if later["client_secret"] {
		set.vipps.ClientSecret = "later"
	}
	if later["msn"] {
		set.vipps.MerchantSerialNumber = "1234"
	}
	if later["subscription_key"] {
		set.vipps.SubscriptionKey = "later"
	}
}

func (h *Handler) resolveEmulator(set *settings, bad func(setting, reason string)) {
	addr := h.EmulatorListen
	if addr == "" {
		addr = emulatorAddress
	}
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	switch {
	case err != nil || port == "" || strings.Trim(port, "0") == "":
		bad("emulator_listen", "must be an address with its port, such as "+emulatorAddress)
		addr = emulatorAddress
	case host != "localhost" && (ip == nil || !ip.IsLoopback()):
		bad("emulator_listen", "is not on loopback: the emulator logs in anybody who asks; use "+emulatorAddress)
		addr = emulatorAddress
	}
	set.emulator = addr
	set.vipps.Issuer = "http://" + addr + emulatorIssuerPath
	if set.vipps.ClientID == "" {
		set.vipps.ClientID = emulatorClientID
	}
	if set.vipps.ClientSecret == "" {
		set.vipps.ClientSecret = emulatorClientSecret
	}
	if set.vipps.SubscriptionKey == "" {
		set.vipps.SubscriptionKey = emulatorSubscriptionKey
	}
}

func standIn(need bool, text *string) {
	if need {
		*text = "later"
	}
}

// check builds client and engine, with a key that is thrown away where none is known yet, and returns what is
// wrong with settings that known doesn't name. It asks nothing of the network.
func (s *settings) check(known []error) []error {
	seen := map[string]bool{}
	for _, err := range known {
		seen[settingOf(err)] = true
	}
	var errs []error
	add := func(err error) {
		fresh := slices.DeleteFunc(each(err), func(err error) bool { return seen[settingOf(err)] })
		for _, err := range fresh {
			seen[settingOf(err)] = true
		}
		errs = append(errs, fresh...)
	}
	client, err := vipps.New(s.vipps)
	if err != nil {
		add(err)
		client, err = vipps.New(vipps.Config{Issuer: "https://issuer.invalid/", ClientID: "none", ClientSecret: "none"})
		if err != nil {
			return append(errs, err)
		}
	}
	cfg := s.engine
	cfg.Client, cfg.Keys = client, s.keys
	if s.keys == nil {
		key, err := session.NewKey()
		if err != nil {
			return append(errs, err)
		}
		cfg.Keys = session.Keys{key}
	}
	if s.keys == nil && s.keysFile != "" {
		add(checkKeysFile(s.keysFile))
	}
	engine, err := forwardauth.New(cfg)
	add(err)
	if err == nil {
		s.unused = engine.UnusedScopes()
	}
	return errs
}

// each takes joined errors apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return slices.Clone(joined.Unwrap())
	}
	return []error{err}
}

// settingOf is the setting that an error is about, "" when it says none.
func settingOf(err error) string {
	var faulty *vipps.ConfigError
	if errors.As(err, &faulty) {
		return faulty.Setting
	}
	return ""
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), "session: ", ""), "\n", "; ")
}

// version is that of this module in the program that it is built into.
func version() string {
	const longest = 30
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	v := info.Main.Version
	if info.Main.Path != modulePath {
		v = ""
		for _, dep := range info.Deps {
			if dep.Path == modulePath {
				v = dep.Version
			}
		}
	}
	if v == "" || v == "(devel)" {
		return "dev"
	}
	return v[:min(len(v), longest)]
}
