package forwardauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// Landing is where logins end that this browser did not start: those that began with a phone number or a QR code, and that
// Vipps then sends to a browser with nothing but a code. Whoever has such an address can open it in anybody's browser, so
// that it logs nobody in by itself: a page asks "Continue as …?" first, always, and only the click there makes a session.
type Landing struct {
	// Path is the path of the redirect URI that is registered for these logins, such as /_vipps/callback/merchant. It is
	// the engine's at each of its sites, and must begin with /_vipps/.
	Path string
	// Finish redeems the code of the query, once, and returns who logged in and where they wanted to go: a path, or an
	// address of the same site. It must check that the login is one that was started here, and be safe for concurrent use.
	// The query has exactly one code, no state and nothing twice.
	//
	// An error that is no [*vipps.Error] means that nobody here waits for this login.
	Finish func(ctx context.Context, query url.Values) (login *vipps.Login, returnTo string, err error)
	// TellsConsents says that Finish tells of consents by itself, so that Config.Consented is not told of these logins.
	TellsConsents bool
}

// checkLandings says what is wrong with Config.Landings.
func (c *Config) checkLandings() error {
	var seen []string
	for _, l := range c.Landings {
		clean, ok := strings.CutPrefix(l.Path, pathPrefix)
		own := []string{pathLogin, pathCallback, pathResult, pathLogout, pathMe}
		switch {
		case !ok || !plainPath(clean) || strings.HasPrefix(l.Path, pathAuthz) || slices.Contains(own, l.Path):
			return errors.New("forwardauth: the path of a Landing must be one below " + pathPrefix + " that nothing else has, such as /_vipps/callback/merchant")
		case slices.Contains(seen, l.Path):
			return errors.New("forwardauth: two Landings have one path")
		case l.Finish == nil:
			return errors.New("forwardauth: Landing.Finish is required")
		}
		seen = append(seen, l.Path)
	}
	return nil
}

// plainPath reports lower-case names with hyphens between slashes, which nobody reads in two ways.
func plainPath(path string) bool {
	return !slices.ContainsFunc(strings.Split(path, "/"), func(name string) bool {
		return name == "" || strings.ContainsFunc(name, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r == '-') })
	})
}

// landingAt returns the landing of a path, or nil. Where sessions are shared, landings are too: people log in at one of the sites.
func (e *Engine) landingAt(path string) *Landing {
	for _, other := range e.all {
		if !e.sharesWith(other) {
			continue
		}
		for i := range other.cfg.Landings {
			if other.cfg.Landings[i].Path == path {
				return &other.cfg.Landings[i]
			}
		}
	}
	return nil
}

// sharesWith reports whether a session of one of two engines is one of the other.
func (e *Engine) sharesWith(other *Engine) bool {
	return other == e || e.cfg.CookieDomain != "" && other.cfg.CookieDomain == e.cfg.CookieDomain
}

// land answers the redirect at the end of a login that began elsewhere. It shows nothing, since its address holds a code,
// and makes no session: it goes on to the page that asks.
func (e *Engine) land(w http.ResponseWriter, r *http.Request, s *site, o Original, l *Landing) {
	if r.Method != http.MethodGet { // a HEAD would burn the code for nothing
		w.Header().Set("Allow", "GET")
		writeJSON(w, r, http.StatusMethodNotAllowed, errorAnswer{Error: "method_not_allowed"})
		return
	}
	// A preview of the link, a prefetch or a script is nobody who could answer. The code is still good when the person comes.
	if classify(&Original{Method: r.Method, Scheme: o.Scheme, Host: o.Host, URI: o.URI, Header: r.Header}) != kindNavigation {
		writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "navigation_only"})
		return
	}
	query, code, err := landingQuery(r.URL.RawQuery)
	if err != nil {
		e.landingFailed(w, r, s, code, err)
		return
	}
	if limit, wait := e.takeLogin(r, s); limit != limitNone {
		e.toResult(w, r, s, result{Kind: resultTooMany, RetryAfter: limitSeconds(wait)}, nil)
		return
	}
	began := e.now()
	login, returnTo, err := l.Finish(context.WithoutCancel(r.Context()), query)
	if err == nil {
		err = e.landingFits(login)
	}
	if err != nil {
		e.landingFailed(w, r, s, landingCode(err), err)
		return
	}
	e.warnStale()
	if !l.TellsConsents {
		e.consented(r.Context(), s, login)
	}
	e.metrics.loginsEnded.WithLabelValues(flowLanding, outcomeSuccess).Inc()
	e.log.Info("login completed", zap.String("site", s.host), zap.String("flow", flowLanding))
	e.askLanded(w, r, s, login, returnTo, began)
}

const flowLanding = "landing"

// landingQuery takes a query apart that holds exactly one code. code is that of the error page for any other.
func landingQuery(raw string) (query url.Values, code string, err error) {
	query, err = url.ParseQuery(raw)
	if err != nil {
		return nil, codeBadCallback, err
	}
	for _, values := range query {
		if len(values) > 1 {
			return nil, codeBadCallback, errors.New("the query of the landing has a parameter twice")
		}
	}
	if query.Has("state") { // the answer to a login that a browser began, which belongs to that browser
		return nil, codeBadCallback, errors.New("the query of the landing has a state: such logins come back to the callback only")
	}
	cb, err := vipps.ParseCallback(query)
	var ve *vipps.Error
	noState := errors.As(err, &ve) && ve.Code == vipps.CodeMissingState
	switch {
	case !noState:
		return nil, codeBadCallback, fmt.Errorf("the query of the landing: %w", err)
	case (query.Has("error") || cb.Error != "") && !query.Has("code"):
		if _, ours := ownCodes[cb.Error]; ours || cb.Error == "" {
			cb.Error = vipps.CodeUnknown
		}
		return nil, cb.Error, errors.New("the provider sent an error to the landing")
	case query.Has("error") || cb.Error != "" || cb.Code == "":
		return nil, codeBadCallback, errors.New("the query of the landing needs a code or an error, and not both")
	}
	return query, "", nil
}

// ownCodes are those that no provider's answer may speak for.
var ownCodes = map[string]struct{}{
	codeLostState: {}, codeBadCallback: {}, codeUsedState: {}, codeNotWaiting: {}, codeBadForm: {}, codeProviderRefused: {}, codeClock: {}, codeACR: {}, codeInternal: {}, codeUnavailable: {},
}

// landingFits checks what a login of any browser of this site had to prove as well.
func (e *Engine) landingFits(login *vipps.Login) error {
	if login == nil || login.User.Sub == "" {
		return errors.New("the landing has finished with nobody")
	}
	if acr := e.client.ACRValues(); acr != "" && !slices.Contains(strings.Fields(acr), login.ACR) {
		return &vipps.Error{Stage: vipps.StageIDToken, Code: vipps.CodeACR, Err: errors.New("the login did not prove what acr_values asks for")}
	}
	return nil
}

// landingCode sorts what Finish has found under the codes that our page has words for. A code that the provider doesn't
// take any more has most likely been opened a second time; what isn't the provider's fault at all is a login that nobody
// here waits for.
func landingCode(err error) string {
	var ve *vipps.Error
	switch {
	case errors.Is(err, vipps.ErrDenied), errors.Is(err, vipps.ErrNotEligible):
		return "access_denied"
	case !errors.As(err, &ve), errors.Is(err, vipps.ErrExpired):
		return codeNotWaiting
	case ve.Stage == vipps.StageToken && ve.Code == "invalid_grant":
		return codeUsedState
	default:
		return codeOf(err, "")
	}
}

// landingFailed goes on to the page that says what went wrong. Anybody can open such an address, with any code.
func (e *Engine) landingFailed(w http.ResponseWriter, r *http.Request, s *site, code string, err error) {
	e.metrics.loginsEnded.WithLabelValues(flowLanding, outcomeOf(code)).Inc()
	res := result{Kind: resultError, Code: code}
	var ve *vipps.Error
	if errors.As(err, &ve) && ve.Temporary() {
		res.Kind, res.RetryAfter = resultUnavailable, retryAfter(ve)
	}
	if !e.limits.allow("landing", manyMessages, e.now()) {
		err = nil
	}
	e.toResult(w, r, s, res, err)
}

// askLanded keeps the login in a cookie of this browser and goes on to the page that asks who continues. It counts from
// before the code was redeemed: a logout or a revocation meanwhile ends it.
func (e *Engine) askLanded(w http.ResponseWriter, r *http.Request, s *site, login *vipps.Login, returnTo string, began time.Time) {
	d := e.newSession(login, began, true)
	e.askPerson(w, r, s, &attempt{ReturnTo: s.landsAt(returnTo), Clicked: true}, d, resultLanded)
}

// landsAt is where somebody goes on to who landed: a path of this site, which its own address names as well, or a page of
// a site that shares its sessions. Anything else is "/".
func (s *site) landsAt(rd string) string {
	if rest, ok := strings.CutPrefix(rd, s.origin); ok {
		rd = rest
	}
	return s.returnTo(rd)
}
