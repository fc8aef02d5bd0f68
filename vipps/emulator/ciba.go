package emulator

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The paths of merchant-initiated login.
const (
	pathBackchannel = "/vipps-login-ciba/api/backchannel/authentication"
	pathUserExists  = "/vipps-login-ciba/api/v1/user-exists"
)

const (
	maxPushes     = 20000 // merchant-initiated logins that are kept, waiting or over
	waitingPerson = 5     // that may wait for one person at the same time

	defaultExpiry   = 10 * time.Minute
	defaultInterval = 5 * time.Second
)

// pushState is where a merchant-initiated login is. That one has expired is not stored: see Emulator.settled.
type pushState string

const (
	pushWaiting  pushState = "waiting"
	pushApproved pushState = "approved" // and its tokens not fetched
	pushDenied   pushState = "denied"
	pushExpired  pushState = "expired"
	pushDone     pushState = "done"
)

// push is a merchant-initiated login: a message on the phone, and what its auth_req_id stands for.
type push struct {
	id      string // auth_req_id
	req     request
	phone   string
	person  string // ID
	binding string
	browser bool // ends in a browser (requested_flow=login_to_webpage)
	started time.Time
	expires time.Time

	state    pushState
	reason   string // error code, when denied
	told     bool   // the client knows that it is over
	authTime time.Time
	settled  time.Time // when the person answered
	code     string    // of the browser flow, once approved

	interval time.Duration
	answered time.Time // when the start or the last poll was answered
	counts   pollCounts
}

// over says whether nothing more will happen to it on the phone.
func (p *push) over(now time.Time) bool {
	return p.state != pushWaiting || !now.Before(p.expires)
}

// serveBackchannel starts a merchant-initiated login.
func (e *Emulator) serveBackchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	answer, bad := e.backchannel(w, r)
	if bad != nil {
		bad.write(w, r)
		return
	}
	for kind, member := range map[string]string{
		BreakNoAuthReqID: "auth_req_id", BreakNoExpiresIn: "expires_in", BreakNoInterval: "interval",
	} {
		if e.take(kind) {
			delete(answer, member)
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// backchannelParameters are those that the emulator models; every other one is refused.
var backchannelParameters = [...]string{
	"login_hint", "scope", "binding_message", "requested_expiry", "state", "nonce", "requested_flow", "redirect_uri", "client_id", "client_secret",
}

func (e *Emulator) backchannel(w http.ResponseWriter, r *http.Request) (map[string]any, *tokenError) {
	form, bad := readForm(w, r)
	if bad != nil {
		return nil, bad
	}
	client, bad := e.authenticate(w, r, form)
	if bad != nil {
		return nil, bad
	}
	p, bad := e.checkBackchannel(&client, form)
	if bad != nil {
		return nil, bad
	}
	if p.person, bad = e.hint(form.Get("login_hint")); bad != nil {
		return nil, bad
	}
	if bad := e.refusesPush(p.person); bad != nil {
		return nil, bad
	}
	if bad := e.startPush(p); bad != nil {
		return nil, bad
	}
	return map[string]any{
		"auth_req_id": p.id,
		"expires_in":  int(p.expires.Sub(p.started) / time.Second),
		"interval":    int(p.interval / time.Second),
	}, nil
}

// refusesPush is the answer to a start for somebody who can't log in, or whom Control.MerchantRefuse names.
func (e *Emulator) refusesPush(personID string) *tokenError {
	e.mu.Lock()
	defer e.mu.Unlock()
	code := e.state.merchant.refuse[personID]
	if personID == "" {
		code = "unknown_user_id"
	}
	if code == "" {
		return nil
	}
	bad := oauthError(code, describeDenial(code))
	bad.errorCode = e.takeLocked(BreakErrorCode)
	return bad
}

var bindingMessage = regexp.MustCompile(`^[A-Z0-9-]{5,8}$`)

// checkBackchannel checks all but whom the login is for.
func (e *Emulator) checkBackchannel(client *Client, form url.Values) (*push, *tokenError) {
	if bad := unmodelled(form, backchannelParameters[:]); bad != nil {
		return nil, bad
	}
	if form.Get("login_hint") == "" {
		return nil, badToken("Request parameter 'login_hint' is missing.")
	}
	p := &push{state: pushWaiting, req: request{clientID: client.ID, nonce: form.Get("nonce"), state: form.Get("state")}}
	if bad := e.checkScope(&p.req, client, form.Get("scope")); bad != nil {
		return nil, &tokenError{status: http.StatusBadRequest, code: bad.code, description: bad.description}
	}
	if p.binding = form.Get("binding_message"); form.Has("binding_message") && !bindingMessage.MatchString(p.binding) {
		return nil, &tokenError{
			status: http.StatusBadRequest, code: "invalid_binding_message",
			description: "The binding_message must match ^[A-Z0-9\\-]{5,8}$.",
		}
	}
	expiry, bad := requestedExpiry(form)
	if bad != nil {
		return nil, bad
	}
	p.expires = time.Time{}.Add(expiry) // startPush makes a time of it
	return p, checkWebpage(p, client, form)
}

func requestedExpiry(form url.Values) (time.Duration, *tokenError) {
	if !form.Has("requested_expiry") {
		return defaultExpiry, nil
	}
	n, err := strconv.ParseUint(form.Get("requested_expiry"), 10, 16)
	if err != nil || n < 60 || n > 900 {
		return 0, badToken("The requested_expiry must be a whole number of seconds from 60 to 900.")
	}
	return time.Duration(n) * time.Second, nil
}

// checkWebpage checks the flow that ends in a browser: requested_flow and redirect_uri go together.
func checkWebpage(p *push, client *Client, form url.Values) *tokenError {
	switch flow := form.Get("requested_flow"); {
	case flow == "login_to_webpage":
		p.browser, p.req.redirectURI = true, form.Get("redirect_uri")
		if !slices.Contains(client.RedirectURIs, p.req.redirectURI) {
			return &tokenError{status: http.StatusBadRequest, code: "invalid_request", description: descRedirectURI}
		}
	case flow != "":
		return badToken("The emulator does not model requested_flow '" + printable(flow) + "'.")
	case form.Has("redirect_uri"):
		return badToken("A redirect_uri needs requested_flow=login_to_webpage.")
	}
	return nil
}

// unmodelled refuses what the emulator wouldn't look at.
func unmodelled(form url.Values, known []string) *tokenError {
	for name := range form {
		if !slices.Contains(known, name) {
			return badToken("The emulator does not model the parameter '" + printable(name) + "'.")
		}
	}
	return nil
}

// startPush puts a login into the table and onto the phone, unless too many wait there already.
func (e *Emulator) startPush(p *push) *tokenError {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.nowLocked()
	if limit := e.state.merchant.limit; limit > 0 {
		if n, first := e.state.waiting(p.person, now); n >= limit {
			return &tokenError{failure: &failure{
				status: http.StatusTooManyRequests, retryAfter: max(time.Second, first.Sub(now)), now: now, date: e.takeLocked(BreakRetryAfterDate),
			}}
		}
	}
	p.id = base64.RawURLEncoding.EncodeToString(randomBytes(20)) // 27 characters, as in the documents
	p.started, p.expires = now, now.Add(p.expires.Sub(time.Time{}))
	p.req.received, p.answered = now, now
	p.interval = e.state.merchant.interval
	if person := e.state.personByID(p.person); person != nil {
		p.phone = person.Phone
	}
	e.state.pushes.put(p.id, p)
	e.state.merchant.byPerson[p.person] = append(e.state.merchant.byPerson[p.person], p.id)
	e.answerByItself(p)
	return nil
}

// waiting counts the logins that wait for a person, and says when the first of them ends. Those that are over leave the list.
func (s *state) waiting(personID string, now time.Time) (n int, first time.Time) {
	var kept []string
	for _, id := range s.merchant.byPerson[personID] {
		p, ok := s.pushes.get(id)
		if !ok || p.over(now) {
			continue
		}
		kept = append(kept, id)
		if first.IsZero() || p.expires.Before(first) {
			first = p.expires
		}
	}
	s.merchant.byPerson[personID] = kept
	return len(kept), first
}

// serveUserExists says whether a phone number could log in.
func (e *Emulator) serveUserExists(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, bad := readForm(w, r)
	if bad == nil {
		_, bad = e.authenticate(w, r, form)
	}
	if bad == nil {
		bad = unmodelled(form, []string{"login_hint", "client_id", "client_secret"})
	}
	var person string
	if bad == nil {
		if strings.HasPrefix(form.Get("login_hint"), "urn:customer-token:") {
			bad = &tokenError{status: http.StatusBadRequest, code: "invalid_request", description: descLoginHint}
		} else {
			person, bad = e.hint(form.Get("login_hint"))
		}
	}
	if bad != nil {
		bad.write(w, r)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"exists": person != ""})
}
