package forwardauth

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Codes of our own for the error page, besides those that the provider's redirect brings.
const (
	codeLostState       = pageCodeLostState
	codeBadCallback     = pageCodeBadCallback
	codeUsedState       = pageCodeUsedState
	codeNotWaiting      = pageCodeNotWaiting
	codeBadForm         = pageCodeBadForm
	codeProviderRefused = pageCodeProviderRefused
	codeClock           = pageCodeClock
	codeACR             = pageCodeACR
	codeInternal        = pageCodeInternal
	codeUnavailable     = "unavailable"
)

// loopCause is why a login doesn't stick, as far as a request can tell.
type loopCause string

const (
	causeCookiesRefused loopCause = "cookies-refused"
	causeOtherKey       loopCause = "other-key"
	causeHTTP           loopCause = "http-not-https"
	causeOtherHost      loopCause = "other-host"
	causeTooBig         loopCause = "cookie-too-big"
	causeClock          loopCause = "clock"
	causeNotSeen        loopCause = "session-not-seen"
	causeUnknown        loopCause = "unknown"
)

// resultKind is what /_vipps/result does next.
type resultKind int64

const (
	resultError       resultKind = iota + 1
	resultUnavailable            // Vipps is away
	resultLoop                   // a page that names the likely cause
	resultRestart                // the login starts again: its cookie was lost
	resultFull                   // the full login, after a silent miss
	resultLogin                  // the page with the button, after a silent miss
	resultConfirm                // "Continue as …"
	resultLanded                 // the same for a login that this browser did not start
	resultTooMany                // logins were started
	resultElsewhere              // the login began in another browser, and can begin again here
)

const (
	resultVersion = 1
	resultTTL     = 10 * time.Minute
)

// result is what the callback hands on to /_vipps/result, sealed in its URL.
type result struct {
	Kind       resultKind
	Code       string
	Cause      loopCause
	ReturnTo   string
	Reference  string
	ID         string // resultConfirm and resultLanded: of the cookie that holds the login
	Round      int64
	RetryAfter int64 // seconds
	Clicked    bool
	Mode       mode
	Made       time.Time
}

func (res *result) payload() []byte {
	b := session.AppendVersion(nil, resultVersion)
	b = session.AppendInt(b, int64(res.Kind))
	for _, s := range []string{res.Code, string(res.Cause), res.ReturnTo, res.Reference, res.ID} {
		b = session.AppendText(b, s)
	}
	b = session.AppendInt(b, res.Round)
	b = session.AppendInt(b, res.RetryAfter)
	b = session.AppendBool(b, res.Clicked)
	b = session.AppendInt(b, int64(res.Mode))
	return session.AppendTime(b, res.Made)
}

func (res *result) read(payload []byte) error {
	r := session.NewReader(payload)
	if r.Version() != resultVersion {
		return session.ErrPayload
	}
	res.Kind = resultKind(r.Int())
	res.Code = r.Text()
	res.Cause = loopCause(r.Text())
	res.ReturnTo = r.Text()
	res.Reference = r.Text()
	res.ID = r.Text()
	res.Round = r.Int()
	res.RetryAfter = r.Int()
	res.Clicked = r.Bool()
	res.Mode = mode(r.Int())
	res.Made = r.Time()
	return r.Done()
}

// toResult ends the callback: 303 to the page that says or does what comes next. A fault is logged here, once,
// with the reference that the page shows.
func (e *Engine) toResult(w http.ResponseWriter, r *http.Request, s *site, res result, err error) {
	if res.ReturnTo == "" {
		res.ReturnTo = "/"
	}
	if err != nil {
		code := failureCode(res)
		// Anybody can send callbacks that are none.
		if made := code != codeBadCallback && code != codeLostState; made || e.limits.allow("callback", manyMessages, e.now()) {
			res.Reference = newReference()
			e.logFailure(res.Reference, s, code, err)
		}
	}
	res.Made = e.now()
	sealed, err := s.results.Seal(res.payload())
	if err != nil {
		e.logCookieError("result", err)
		sealed = ""
	}
	redirect(w, r, s.origin+pathResult+"?t="+url.QueryEscape(sealed))
}

func failureCode(res result) string {
	if res.Code != "" {
		return res.Code
	}
	if res.Cause != "" {
		return string(res.Cause)
	}
	return codeUnavailable
}

func (e *Engine) openResult(s *site, token string) (result, bool) {
	var res result
	payload, err := s.results.Open(token)
	if err != nil || res.read(payload) != nil {
		return result{}, false
	}
	age := e.now().Sub(res.Made)
	return res, age < resultTTL && age > -clockSkew
}

// result answers /_vipps/result: what a callback ended in. A POST is the answer to "Continue as …".
func (e *Engine) result(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	if r.Method == http.MethodPost {
		e.personAnswered(w, r, s)
		return
	}
	if !e.navigationOnly(w, r, s, o) {
		return
	}
	tokens := r.URL.Query()["t"]
	var res result
	ok := len(tokens) == 1
	if ok {
		res, ok = e.openResult(s, tokens[0])
	}
	if !ok {
		e.page(w, r, s, page{Kind: pageError, Status: http.StatusBadRequest, Code: codeLostState})
		return
	}
	res.ReturnTo = s.returnTo(res.ReturnTo)
	switch res.Kind {
	case resultRestart, resultFull, resultLogin:
		e.goOn(w, r, s, res)
	case resultConfirm, resultLanded:
		e.confirmPage(w, r, s, res, tokens[0])
	case resultUnavailable:
		e.page(w, r, s, page{Kind: pageUnavailable, ReturnTo: res.ReturnTo, Reference: res.Reference, RetryAfter: int(res.RetryAfter)})
	case resultElsewhere:
		e.elsewherePage(w, r, s, res)
	case resultTooMany:
		e.page(w, r, s, page{Kind: pageTooMany, ReturnTo: res.ReturnTo, RetryAfter: int(res.RetryAfter)})
	case resultLoop:
		e.metrics.loop(res.Cause)
		e.page(w, r, s, page{Kind: pageLoop, Cause: string(res.Cause), ReturnTo: res.ReturnTo, Reference: res.Reference})
	default:
		e.page(w, r, s, page{Kind: pageError, Status: statusOf(res.Code), Code: res.Code, ReturnTo: res.ReturnTo, Reference: res.Reference})
	}
}

// goOn starts the login that follows a miss or a lost attempt, unless a session has come up meanwhile or a
// logout waits for its click.
func (e *Engine) goOn(w http.ResponseWriter, r *http.Request, s *site, res result) {
	now := e.now()
	if op, _ := e.session(s, r.Header, now); op != nil {
		e.loginDone(w, r, s, op, res.ReturnTo, now)
		return
	}
	h := e.hint(s, r.Header)
	st := start{returnTo: res.ReturnTo, clicked: res.Clicked, round: res.Round, mode: res.Mode}
	switch {
	case h.Logout == waitsForClick || res.Kind == resultLogin:
		e.loginPage(w, r, s, res.ReturnTo, h.Logout == waitsForClick)
	case res.Kind == resultFull:
		e.startLogin(w, r, s, st, h)
	default:
		e.nextLogin(w, r, s, st, h, now)
	}
}

// statusOf is the status of the error page for a code.
func statusOf(code string) int {
	switch code {
	case codeBadCallback, codeLostState, codeUsedState, codeNotWaiting:
		return http.StatusBadRequest
	case codeInternal:
		return http.StatusInternalServerError
	case codeBadForm:
		return http.StatusForbidden
	case "server_error", "temporarily_unavailable", codeProviderRefused, codeClock, codeACR,
		"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_state":
		return http.StatusBadGateway
	default:
		return http.StatusForbidden // a person's own answer, or that of their app
	}
}

// codeOf sorts a failed login under the codes that our page has words for. answered is the error that the callback
// brought, if any.
func codeOf(err error, answered string) string {
	var ve *vipps.Error
	if !errors.As(err, &ve) {
		return codeInternal
	}
	switch {
	case providersOwn(ve, answered):
		return ve.Code
	case ve.Stage == vipps.StageAuthorize:
		return codeBadCallback
	case ve.Temporary():
		return codeUnavailable
	case ve.Code == vipps.CodeACR:
		return codeACR
	case ve.Code == vipps.CodeExpired, ve.Code == vipps.CodeIssuedInFuture, ve.Code == vipps.CodeTooOld:
		return codeClock
	default:
		return codeProviderRefused
	}
}

func retryAfter(ve *vipps.Error) int64 {
	return int64(min(max(ve.RetryAfter, 5*time.Second), 5*time.Minute) / time.Second)
}

// failure is a login that could not even start.
type failure struct {
	code     string
	returnTo string
	err      error
}

// fail answers with the page for a failure and logs it, with the reference that the page shows.
func (e *Engine) fail(w http.ResponseWriter, r *http.Request, s *site, f failure) {
	reference := newReference()
	e.logFailure(reference, s, f.code, f.err)
	p := page{Kind: pageError, Status: statusOf(f.code), Code: f.code, ReturnTo: f.returnTo, Reference: reference}
	var ve *vipps.Error
	if errors.As(f.err, &ve) && ve.Temporary() {
		p.Kind, p.Status, p.RetryAfter = pageUnavailable, http.StatusServiceUnavailable, int(retryAfter(ve))
	}
	e.page(w, r, s, p)
}

// logFailure tells the operator what went wrong, at which stage, and how to mend it. It names no person.
func (e *Engine) logFailure(reference string, s *site, code string, err error) {
	fields := []zap.Field{zap.String("reference", reference), zap.String("site", s.host), zap.String("code", code), zap.Error(err)}
	var ve *vipps.Error
	if errors.As(err, &ve) {
		fields = append(fields, zap.String("stage", string(ve.Stage)))
		if causes := ve.Causes(); len(causes) > 0 {
			fields = append(fields, zap.Strings("likely_causes", causes))
		}
		if code != codeBadCallback { // which anybody can bring about
			e.metrics.providerError(ve.Stage)
		}
	}
	switch code {
	case "access_denied", "wrong_challenge", "outdated_app_version", codeLostState, codeUsedState, codeNotWaiting, codeBadCallback:
		e.log.Info("login did not complete", fields...)
	default:
		e.log.Error("login failed", fields...)
	}
}

// warnStale tells the operator that logins go on with metadata or keys that the provider would not renew: an issuer that
// changed, or an answer that is none. It fails nobody's login.
func (e *Engine) warnStale() {
	err := e.client.Ready()
	if err == nil || !e.limits.allowOnce("stale", e.client.Issuer(), e.now()) {
		return
	}
	fields := []zap.Field{zap.Error(err)}
	var ve *vipps.Error
	if errors.As(err, &ve) {
		fields = append(fields, zap.String("stage", string(ve.Stage)), zap.Strings("likely_causes", ve.Causes()))
	}
	e.log.Warn("the provider's metadata or keys can't be renewed: older ones are in use", fields...)
}
