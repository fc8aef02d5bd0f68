package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Grants of merchant-initiated login.
const (
	grantCIBA         = "urn:openid:params:grant-type:ciba"
	grantCIBARedirect = "urn:vipps:params:grant-type:ciba-redirect"
)

// flow is the way to a login, which its tokens' shapes depend on. The empty one is the browser's.
type flow string

const (
	flowCIBA         flow = "ciba"
	flowCIBARedirect flow = "ciba-redirect"
)

// cibaTTL is how long an access token of a polled login lives.
const cibaTTL = 300 * time.Second

// Modes of Control.MerchantPollMode. Beside them "error:<code>" answers every poll with that error, and "status:<number>" with that
// HTTP status.
const (
	PollsReal     = "real"      // as documented
	PollsSlowDown = "slow_down" // always slow_down
	PollsPending  = "pending"   // always authorization_pending, whatever the person said
	PollsDropped  = "dropped"   // the connection ends without an answer
)

// merchantState is what a merchant-initiated login depends on beside itself.
type merchantState struct {
	byPerson map[string][]string // auth_req_ids, the oldest first; may hold some that are over
	limit    int
	interval time.Duration

	polls     string // a mode of Control.MerchantPollMode
	pollsLeft int    // for so many polls; zero: until it is changed

	auto   map[string]autoAnswer // by person ID; "" is everybody
	refuse map[string]string     // error codes by person ID
}

func newMerchantState() merchantState {
	return merchantState{
		byPerson: make(map[string][]string), limit: waitingPerson, interval: defaultInterval, polls: PollsReal, auto: make(map[string]autoAnswer),
		refuse: make(map[string]string),
	}
}

// pollCounts are what a test wants to know of the polls of one login.
type pollCounts struct {
	polls, early, overlapping, afterEnd int
	spacing                             time.Duration
	measured                            bool
}

// count measures a poll that arrived then.
func (p *push) count(arrived, now time.Time) (early bool) {
	p.counts.polls++
	if p.over(now) {
		if p.told {
			p.counts.afterEnd++
		}
		return false
	}
	spacing := arrived.Sub(p.answered)
	if !p.counts.measured || spacing < p.counts.spacing {
		p.counts.measured, p.counts.spacing = true, spacing
	}
	if spacing < 0 {
		p.counts.overlapping++
	}
	early = spacing < p.interval
	if early {
		p.counts.early++
	}
	return early
}

func oauthError(code, description string) *tokenError {
	return &tokenError{status: http.StatusBadRequest, code: code, description: description}
}

// cibaToken answers a poll.
func (e *Emulator) cibaToken(w http.ResponseWriter, client *Client, form url.Values) (map[string]any, *tokenError) {
	if bad := unmodelled(form, []string{"grant_type", "auth_req_id", "client_id", "client_secret"}); bad != nil {
		return nil, bad
	}
	id := form.Get("auth_req_id")
	if id == "" {
		return nil, badToken("Request parameter 'auth_req_id' is missing.")
	}
	access, g, bad := e.poll(client, id, arrival(w, e))
	if bad != nil {
		return nil, bad
	}
	return e.tokenAnswer(client, g, access)
}

// poll judges one poll. What it costs doesn't depend on how many logins wait.
func (e *Emulator) poll(client *Client, id string, arrived time.Time) (string, *grant, *tokenError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.state.pushes.get(id)
	now := e.nowLocked()
	if !ok || p.req.clientID != client.ID {
		return "", nil, invalidGrant("")
	}
	if p.browser {
		p.counts.polls++
		return "", nil, invalidGrant("This login ends in a browser; its auth_req_id is not exchanged.")
	}
	early := p.count(arrived, now)
	defer func() { p.answered = now }()
	if bad := e.pollMode(p); bad != nil {
		return "", nil, bad
	}
	if p.state == pushWaiting && p.over(now) {
		p.state = pushExpired
	}
	p.told = p.state != pushWaiting
	switch {
	case p.state == pushExpired:
		return "", nil, oauthError("expired_token", "The auth_req_id has expired. The Client will need to make a new Authentication Request.")
	case p.state == pushDenied:
		return "", nil, e.denied(p)
	case p.state == pushWaiting && early:
		return "", nil, p.slowDown()
	case p.state == pushWaiting:
		return "", nil, pollPending()
	case p.state == pushDone:
		return "", nil, invalidGrant("The auth_req_id was used already.")
	}
	p.state = pushDone
	g := &grant{req: p.req, person: p.person, authTime: p.authTime, sid: newUUID(), issued: now, flow: flowCIBA, authReqID: p.id, ttl: cibaTTL}
	access := "ciba." + newOpaque()
	e.state.tokens.put(access, g)
	return access, g, nil
}

func pollPending() *tokenError {
	return oauthError("authorization_pending", "The authorization request is still pending")
}

// slowDown makes the interval five seconds longer for good (CIBA Core §11).
func (p *push) slowDown() *tokenError {
	p.interval += 5 * time.Second
	return oauthError("slow_down", "The authorization request is still pending and polling should continue, but the interval must be increased by at least 5 seconds")
}

// denied is the answer to a poll of a login that ended badly.
func (e *Emulator) denied(p *push) *tokenError {
	bad := oauthError(p.reason, describeDenial(p.reason))
	bad.errorCode = e.takeLocked(BreakErrorCode)
	return bad
}

func describeDenial(code string) string {
	switch code {
	case "access_denied":
		return "The end-user denied the authorization request."
	case "old_app":
		return "The app is too old for this login"
	case "invalid_user", "unknown_user_id":
		return descNoAccount
	case "server_error":
		return descServerError
	}
	return describe(code)
}

// pollMode is what Control.MerchantPollMode asks for, if anything.
func (e *Emulator) pollMode(p *push) *tokenError {
	m := &e.state.merchant
	mode := m.polls
	if m.pollsLeft > 0 {
		if m.pollsLeft--; m.pollsLeft == 0 {
			m.polls = PollsReal
		}
	}
	switch {
	case mode == PollsSlowDown:
		return p.slowDown()
	case mode == PollsPending:
		return pollPending()
	case mode == PollsDropped:
		return &tokenError{failure: &failure{}}
	}
	if code, ok := strings.CutPrefix(mode, "error:"); ok {
		p.told = true
		bad := oauthError(code, describeDenial(code))
		bad.errorCode = e.takeLocked(BreakErrorCode)
		return bad
	}
	if text, ok := strings.CutPrefix(mode, "status:"); ok {
		status, _ := strconv.Atoi(text) // checked by MerchantPollMode
		return &tokenError{failure: &failure{status: status, now: e.nowLocked(), date: e.takeLocked(BreakRetryAfterDate)}}
	}
	return nil
}

// pushRedeemed says that the tokens of a login that ends in a browser were fetched. It is called with the lock held.
func (e *Emulator) pushRedeemed(id string) {
	if p, ok := e.state.pushes.get(id); ok {
		p.state, p.code = pushDone, ""
	}
}
