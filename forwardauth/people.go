package forwardauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/vippsauth/vippsauth/vipps"
)

// pathPeople is the one page of ours that a login comes back to, see [Engine.ForPeople].
const pathPeople = pathPrefix + "merchant/"

// Person is somebody who is logged in.
type Person struct {
	// Sub is the verified subject.
	Sub string
	// Name and PhoneNumber are what the session knows of them; empty where it doesn't.
	Name, PhoneNumber string
	// Still reports whether they are logged in and listed by now, for an answer that takes long.
	Still func() bool
}

// ForPeople returns a handler for pages of our own, under /_vipps/merchant/, that people of a list may use, in the form of
// Config.Allow, at the public URLs of this engine's own configuration and at no other host. Without a session a navigation
// goes to the login, and comes back to /_vipps/merchant/; anything else gets 401. Who isn't on the list gets 403. Of what
// changes something, only requests of these pages themselves reach next, and of what else scripts ask. Nothing of it is
// cached. Identity headers that a client sends don't reach next.
//
// It must be called before the engine serves anything: sessions keep from then on what the list needs.
func (e *Engine) ForPeople(allow []string, next func(w http.ResponseWriter, r *http.Request, who Person)) (http.Handler, error) {
	if len(allow) == 0 || slices.Contains(allow, "anyone") {
		return nil, &vipps.ConfigError{Setting: "merchant_operators", Reason: "must list people: subs, phone numbers, or files of them"}
	}
	who, problems := parseAllow(allow, e.cfg.Market, e.cfg.Now)
	for i, err := range problems {
		var ce *vipps.ConfigError
		if errors.As(err, &ce) {
			problems[i] = &vipps.ConfigError{Setting: "merchant_operators", Reason: ce.Reason}
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if who.listsPhones() && !slices.Contains(e.cfg.Scopes, vipps.ScopePhoneNumber) && !slices.Contains(e.cfg.Scopes, "phone") {
		return nil, &vipps.ConfigError{Setting: "scopes", Reason: "lacks phoneNumber, which merchant_operators needs: it lists phone numbers"}
	}
	e.keepFor(who)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if op, ok := e.admit(w, r, who); ok {
			name, _ := op.data.claim("name")
			next(w, r, Person{Sub: op.data.Sub, Name: name, PhoneNumber: op.phone, Still: func() bool { return e.isStill(op, who) }})
		}
	}), nil
}

// keepFor lets sessions keep the claims that a list needs, at every engine that shares them.
func (e *Engine) keepFor(who *policy) {
	e.people = append(e.people, who)
	for _, other := range e.all {
		if !e.sharesWith(other) {
			continue
		}
		for _, name := range []string{"phone_number", "name"} {
			if !slices.Contains(other.claims, name) {
				other.claims = append(slices.Clip(other.claims), name)
			}
		}
	}
}

// isStill reports whether a session that was admitted would be again.
func (e *Engine) isStill(op *opened, who *policy) bool {
	now := e.now()
	return now.Unix() < op.until && !e.revoked(op, now) && who.allows(op.data.Sub, op.phone)
}

// listed reports whether somebody may use pages of ForPeople.
func (e *Engine) listed(op *opened) bool {
	return slices.ContainsFunc(e.people, func(p *policy) bool { return p.allows(op.data.Sub, op.phone) })
}

// admit lets a request of a listed person pass, and answers any other.
func (e *Engine) admit(w http.ResponseWriter, r *http.Request, who *policy) (*opened, bool) {
	boundBody(w, r)
	o := e.browserRequest(r)
	s := e.siteOf(o.Host)
	if s == nil || s.engine != e {
		e.misdirected(w, r, o)
		return nil, false
	}
	kind := classify(&o)
	if fault := ownRequest(r, kind, s); fault != "" {
		e.metrics.refused("cross_origin_form")
		writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: fault})
		return nil, false
	}
	now := e.now()
	op, _ := e.session(s, r.Header, now)
	switch {
	case op == nil:
		e.refuse(w, r, o, Decision{Verdict: Login, kind: kind, site: s, Location: s.loginFor(s.returnTo(rawPath(r)))})
		return nil, false
	case !who.allows(op.data.Sub, op.phone):
		if kind == kindNavigation {
			e.forbidPage(w, r, s, op, page{Ours: true, ReturnTo: "/"})
		} else {
			writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "forbidden"})
		}
		return nil, false
	case e.renewalDue(op, now) && kind == kindNavigation && op.askRenewal(now):
		e.sendTo(w, o, s.loginFor(s.returnTo(rawPath(r))))
		return nil, false
	}
	e.strip.clean(r.Header)
	neverCache(w.Header())
	return op, true
}

// ownRequest says what is wrong with a request that another site may have had sent by a person's browser: one that changes
// something, or a script's. Whoever follows a link is fine.
func ownRequest(r *http.Request, kind requestKind, s *site) (fault string) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case reads && kind == kindNavigation, reads && len(r.Header["Sec-Fetch-Site"]) == 0:
		return ""
	case !sameOriginPost(r, s.origin):
		return "cross_origin"
	}
	return ""
}
