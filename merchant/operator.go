package merchant

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	operatorPath   = "operator/"
	operatorScript = "operator.js"
	maxForm        = 4 << 10
)

// An Operator is a person who may start logins by hand. Whoever calls [API.Operator] has made sure of that.
type Operator struct {
	// Sub is who it is.
	Sub string
	// Name is shown on the page. Zero: none is.
	Name string
	// Still reports whether they may by now: an answer that waits for a customer ends where it says no. Zero: they may.
	Still func() bool
}

// caller is the name under which an operator's logins are kept: no caller of the API can have it, and it doesn't say who it is.
func (o Operator) caller() string {
	sum := sha256.Sum256([]byte("operator of merchant logins\x00" + o.Sub))
	return "operator/" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// IsOperatorPath reports whether a path, as it was sent, is one of the pages of [API.Operator].
func IsOperatorPath(path string) bool {
	rest, ok := strings.CutPrefix(path, PathPrefix)
	return ok && (rest == "" || rest == operatorScript || strings.HasPrefix(rest, operatorPath))
}

// Operator serves the page on which a person starts logins, and sees how they end. Who it is, and that they may, is the business
// of the caller, and so is that nobody logged in is asked to log in first.
func (a *API) Operator(w http.ResponseWriter, r *http.Request, who Operator) {
	origin := a.originOf(r)
	if origin == "" {
		a.refuse(w, r, errMisdirected)
		return
	}
	rest := strings.TrimPrefix(r.URL.EscapedPath(), PathPrefix)
	id, action, _ := strings.Cut(strings.TrimPrefix(rest, operatorPath), "/")
	p := &operatorPage{api: a, who: who, origin: origin, id: id}
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.URL.RawQuery != "":
		a.refuse(w, r, errNoPath) // nothing of ours has a query, in which something might be asked for
	case rest == operatorScript && get:
		a.script(w, r)
	case rest == "" && get:
		p.form(w, r, http.StatusOK, formView{})
	case rest == "" && r.Method == http.MethodPost:
		p.ifOwn(w, r, p.start)
	case !strings.HasPrefix(rest, operatorPath) || id == "":
		a.refuse(w, r, errNoPath)
	case action == "" && get:
		p.watch(w, r, false)
	case action == "events" && r.Method == http.MethodGet:
		p.ifOwn(w, r, p.events)
	case action == "cancel" && r.Method == http.MethodPost:
		p.ifOwn(w, r, p.cancel)
	case action == "result" && r.Method == http.MethodPost:
		p.ifOwn(w, r, func(w http.ResponseWriter, r *http.Request) { p.watch(w, r, true) })
	default:
		a.refuse(w, r, errNoPath)
	}
}

// An operatorPage is one request of an operator.
type operatorPage struct {
	api    *API
	who    Operator
	origin string
	id     string
}

// ifOwn lets a request through that a page of ours has sent: what starts, ends or takes something.
func (p *operatorPage) ifOwn(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request)) {
	site, origin := r.Header["Sec-Fetch-Site"], r.Header["Origin"]
	bySite, byOrigin := slices.Equal(site, []string{"same-origin"}), slices.Equal(origin, []string{p.origin})
	if bySite && (byOrigin || len(origin) == 0) || byOrigin && len(site) == 0 {
		next(w, r)
		return
	}
	p.api.refuse(w, r, errCrossOrigin)
}

// start begins a login as the form says.
func (p *operatorPage) start(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || len(r.PostForm["phone"]) != 1 {
		p.form(w, r, http.StatusBadRequest, formView{problem: "error.form"})
		return
	}
	phone := strings.TrimSpace(r.PostForm["phone"][0])
	// What isn't ticked isn't asked for: no scopes at all would stand for all of them.
	request := Request{Phone: phone, Scopes: append([]string{vipps.ScopeOpenID}, r.PostForm["scope"]...)}
	st, err := p.api.logins.Start(r.Context(), p.who.caller(), request)
	if err != nil {
		p.failed(w, r, err, formView{phone: phone, ticked: r.PostForm["scope"], sent: true})
		return
	}
	p.seeOther(w, PathPrefix+operatorPath+st.ID)
}

// cancel ends a login, and shows that it has ended.
func (p *operatorPage) cancel(w http.ResponseWriter, r *http.Request) {
	if err := p.api.logins.Cancel(r.Context(), p.who.caller(), p.id); err != nil {
		p.failed(w, r, err, formView{})
		return
	}
	p.seeOther(w, PathPrefix+operatorPath+p.id)
}

func (p *operatorPage) seeOther(w http.ResponseWriter, path string) {
	neverCache(w.Header())
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// events streams what the page shows.
func (p *operatorPage) events(w http.ResponseWriter, r *http.Request) {
	text := p.api.text(r)
	caller := p.who.caller()
	err := p.api.stream(w, r, caller, p.id, maxOperatorStreams, p.who.Still, func(ctx context.Context, st Status) any {
		st, login := p.api.taken(ctx, caller, st)
		return text.watch(st, login)
	})
	if err != nil {
		p.api.refuse(w, r, err)
	}
}

// watch shows a login. Only a page without scripts asks it to take the result.
func (p *operatorPage) watch(w http.ResponseWriter, r *http.Request, take bool) {
	caller := p.who.caller()
	st, err := p.api.status(r.Context(), caller, p.id)
	if err != nil {
		p.failed(w, r, err, formView{})
		return
	}
	var login *vipps.Login
	if take {
		st, login = p.api.taken(r.Context(), caller, st)
	}
	text := p.api.text(r)
	view := text.watch(st, login)
	view.address(st)
	p.api.page(w, r, p, http.StatusOK, text, &pageView{Watch: view, Title: view.Now})
}

// failed shows the form with what went wrong.
func (p *operatorPage) failed(w http.ResponseWriter, r *http.Request, err error, f formView) {
	answer, internal := refusalOf(err)
	if internal != nil {
		p.api.failed("a request of the operator page failed", answer.status, internal)
	}
	f.retryAfter = answer.retryAfter
	var limit *LimitError
	switch {
	case errors.As(err, &limit):
		f.problem = "error.limit"
	case answer.status == http.StatusNotFound:
		f.problem = "error.unknown"
	case answer.Field == "phone":
		f.problem = "error.phone"
	case answer.Field == "scopes":
		f.problem = "error.scopes"
	case answer.status == http.StatusServiceUnavailable:
		f.problem = "error.unavailable"
	default:
		f.problem = "error.other"
	}
	p.form(w, r, answer.status, f)
}
