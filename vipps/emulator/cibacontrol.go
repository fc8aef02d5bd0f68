package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MerchantLogin is a merchant-initiated login, as Control.MerchantLogins gives it.
type MerchantLogin struct {
	AuthReqID string `json:"auth_req_id"`
	ClientID  string `json:"client_id"`
	Phone     string `json:"phone"`
	// Code is the binding message.
	Code string `json:"code"`
	// Flow is app, or browser for requested_flow=login_to_webpage.
	Flow string `json:"flow"`
	// State is waiting, approved, denied, expired, or done when the tokens were fetched.
	State string `json:"state"`
	// Reason is the error code of a denied one.
	Reason string `json:"reason,omitempty"`
	// Started and Expires are by the emulator's clock.
	Started time.Time `json:"started"`
	Expires time.Time `json:"expires"`
	// Interval is the least time between polls, in seconds, as slow_down answers have made it.
	Interval int `json:"interval"`
	// Polls counts the token requests for it. The rest is about those of them that found it waiting, and is measured from the answer to
	// the start or to the poll before: SmallestSpacing in milliseconds, Early those that came before the interval was over, Overlapping
	// those that came before the answer.
	Polls           int   `json:"polls"`
	SmallestSpacing int64 `json:"smallest_spacing_ms"`
	Early           int   `json:"polls_under_interval"`
	Overlapping     int   `json:"polls_overlapping"`
	// AfterEnd counts polls of one that is denied, expired or done, but for the one that learns of it.
	AfterEnd int `json:"polls_after_end"`
	// Link is where the phone's browser goes once one that ends in a browser is approved.
	Link string `json:"link,omitempty"`
}

// MerchantLogins gives the merchant-initiated logins that the emulator keeps, at most 20,000, the oldest first.
func (c *Control) MerchantLogins() []MerchantLogin {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.e.merchantLogins()
}

func (e *Emulator) merchantLogins() []MerchantLogin {
	now := e.nowLocked()
	out := make([]MerchantLogin, 0, len(e.state.pushes.byKey))
	for p := range e.state.pushes.all() {
		out = append(out, p.show(now))
	}
	return out
}

func (p *push) show(now time.Time) MerchantLogin {
	m := MerchantLogin{
		AuthReqID: p.id, ClientID: p.req.clientID, Phone: p.phone, Code: p.binding, Flow: "app", State: string(p.state), Reason: p.reason,
		Started: p.started.UTC(), Expires: p.expires.UTC(), Interval: int(p.interval / time.Second), Polls: p.counts.polls,
		SmallestSpacing: p.counts.spacing.Milliseconds(), Early: p.counts.early, Overlapping: p.counts.overlapping, AfterEnd: p.counts.afterEnd,
		Link: p.link(),
	}
	if p.browser {
		m.Flow = "browser"
	}
	if p.state == pushWaiting && p.over(now) {
		m.State = string(pushExpired)
	}
	return m
}

// link has no state: the code is all that the browser brings.
func (p *push) link() string {
	if p.code == "" {
		return ""
	}
	return join(p.req.redirectURI, "code="+p.code)
}

// autoAnswer is how a person answers by themselves.
type autoAnswer struct {
	after time.Duration
	code  string // empty: approve
}

// answerByItself is MerchantAuto at work: at once, or after a while of real time. It is called with the lock held.
func (e *Emulator) answerByItself(p *push) {
	a, ok := e.state.merchant.auto[p.person]
	if !ok {
		a, ok = e.state.merchant.auto[""]
	}
	switch {
	case !ok:
	case a.after == 0:
		_ = e.answerPush(p, a.code, e.state.ticksByItself)
	default:
		id := p.id
		time.AfterFunc(a.after, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if live, ok := e.state.pushes.get(id); ok {
				_ = e.answerPush(live, a.code, e.state.ticksByItself)
			}
		})
	}
}

// everybody says how people answer who have no answer of their own.
func (m *merchantState) everybody() string {
	a, ok := m.auto[""]
	switch {
	case !ok:
		return "by hand"
	case a.code != "":
		return a.code + " after " + a.after.String()
	}
	return "approve after " + a.after.String()
}

// merchantGroup are the buttons of the control page.
func (e *Emulator) merchantGroup(s *snapshot) controlGroup {
	g := controlGroup{Title: "Merchant-initiated logins", Verb: "merchant-auto", CSRF: e.controlToken}
	g.Hint = "How everybody answers what arrives on the phone from now on."
	for _, b := range []controlButton{
		{Label: "by hand", JSON: `{"after":"-1s"}`},
		{Label: "approve after 0s", JSON: `{"after":"0s"}`},
		{Label: "approve after 5s", JSON: `{"after":"5s"}`},
		{Label: "access_denied after 5s", JSON: `{"after":"5s","code":"access_denied"}`},
	} {
		b.On = b.Label == s.MerchantAuto
		g.Buttons = append(g.Buttons, b)
	}
	return g
}

var errNotWaiting = errors.New("emulator: no merchant-initiated login waits there")

var errIncomplete = errors.New("emulator: what is required isn't ticked")

// norsk says whether the person's phone speaks Norwegian.
func (p *push) norsk() bool { return strings.HasPrefix(p.phone, "47") }

// answerPush is the person's answer: approve with what is ticked, or with a code deny. It is called with the lock held.
func (e *Emulator) answerPush(p *push, denial string, tick func(b box) bool) error {
	now := e.nowLocked()
	if p.over(now) {
		return errNotWaiting
	}
	if denial != "" {
		p.state, p.reason, p.settled = pushDenied, denial, now
		return nil
	}
	p.req.answers = newAnswers(e.state.lacking(&p.req, p.person), tick, p.norsk(), now)
	if !p.req.answers.complete() {
		return errIncomplete
	}
	e.state.consent(p.req.clientID, p.person, p.req.scopes)
	p.state, p.authTime, p.settled = pushApproved, now, now
	if !p.browser {
		e.pingLocked(p.req.clientID, p.id)
		return nil
	}
	if e.takeLocked(BreakPingInBrowser) {
		e.pingLocked(p.req.clientID, p.id)
	}
	p.code = e.state.issue(&p.req, p.person, now, now)
	g, _ := e.state.codes.get(p.code)
	g.flow, g.authReqID = flowCIBARedirect, p.id
	return nil
}

// find gives the login that who names: an auth_req_id, or a phone number, whose latest waiting one it is.
func (e *Emulator) find(who string) *push {
	now := e.nowLocked()
	if p, ok := e.state.pushes.get(who); ok && !p.over(now) {
		return p
	}
	person := e.state.personByPhone(who)
	if person == nil {
		return nil
	}
	ids := e.state.merchant.byPerson[person.ID]
	for i := len(ids) - 1; i >= 0; i-- {
		if p, ok := e.state.pushes.get(ids[i]); ok && !p.over(now) {
			return p
		}
	}
	return nil
}

// MerchantApprove approves a merchant-initiated login that waits: the one of an auth_req_id, or the latest of a phone number. What is
// to be ticked is ticked as ConsentAnswers says.
func (c *Control) MerchantApprove(who string) error { return c.answer(who, "") }

// MerchantDeny ends a merchant-initiated login that waits, named as for MerchantApprove, with an error: access_denied when the person
// says no (that is what an empty code means), old_app, invalid_user…
func (c *Control) MerchantDeny(who, code string) error {
	if code == "" {
		code = "access_denied"
	}
	if err := checkErrorCode(code); err != nil {
		return err
	}
	return c.answer(who, code)
}

func checkErrorCode(code string) error {
	if !errorMode.MatchString("error:" + code) {
		return fmt.Errorf("emulator: an error code is lower-case letters and underscores, not %q", printable(code))
	}
	return nil
}

func (c *Control) answer(who, denial string) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	p := c.e.find(who)
	if p == nil {
		return errNotWaiting
	}
	return c.e.answerPush(p, denial, c.e.state.ticksByItself)
}

// MerchantExpire ends a merchant-initiated login that waits, named as for MerchantApprove, before its time.
func (c *Control) MerchantExpire(who string) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	p := c.e.find(who)
	if p == nil {
		return errNotWaiting
	}
	p.expires = c.e.nowLocked()
	return nil
}

// MerchantRefuse makes starts of merchant-initiated logins for a person fail with an error: old_app, invalid_user… An empty code ends it.
func (c *Control) MerchantRefuse(phone, code string) error {
	p, err := c.person(phone)
	if err != nil {
		return err
	}
	if code != "" {
		if err := checkErrorCode(code); err != nil {
			return err
		}
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.merchant.refuse[p.ID] = code
	return nil
}

// MerchantAuto makes a person answer every merchant-initiated login that is started from now on by themselves, after a while of real
// time, at most an hour: approve it, or with a code deny it. An empty phone number is everybody who has no answer of their own. A negative while ends it.
func (c *Control) MerchantAuto(phone string, after time.Duration, code string) error {
	if after > time.Hour {
		return fmt.Errorf("emulator: %s is more than an hour", after)
	}
	if code != "" {
		if err := checkErrorCode(code); err != nil {
			return err
		}
	}
	var id string
	if phone != "" {
		p, err := c.person(phone)
		if err != nil {
			return err
		}
		id = p.ID
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if after < 0 {
		delete(c.e.state.merchant.auto, id)
		return nil
	}
	c.e.state.merchant.auto[id] = autoAnswer{after, code}
	return nil
}

var statusMode = regexp.MustCompile(`^status:[1-9][0-9]{2}$`)

// MerchantPollMode says how polls are answered, for the next times polls or with zero until it is called again: one of the Polls
// constants, "error:<code>" or "status:<number>", which looks as FailNext's does. Polls of logins that the emulator doesn't know aren't
// concerned. Unlike those that FailNext fails, these are counted for their login.
func (c *Control) MerchantPollMode(mode string, times int) error {
	switch mode {
	case PollsReal, PollsSlowDown, PollsPending, PollsDropped:
	default:
		status, _ := strconv.Atoi(strings.TrimPrefix(mode, "status:"))
		if !errorMode.MatchString(mode) && (!statusMode.MatchString(mode) || status < 200 || status > http.StatusNetworkAuthenticationRequired) {
			return fmt.Errorf("emulator: there is no mode %q of polls", printable(mode))
		}
	}
	if times < 0 {
		return errors.New("emulator: times is negative")
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.merchant.polls, c.e.state.merchant.pollsLeft = mode, times
	return nil
}

// MerchantInterval is the interval of logins that are started from now on: whole seconds, one to an hour. At first it is five seconds.
func (c *Control) MerchantInterval(d time.Duration) error {
	if d < time.Second || d > time.Hour || d%time.Second != 0 {
		return fmt.Errorf("emulator: an interval of %s is not whole seconds from 1s to 1h", d)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.merchant.interval = d
	return nil
}

// MerchantLimit is how many merchant-initiated logins may wait for one person at the same time before a start is answered with 429;
// zero is no limit. At first it is five.
func (c *Control) MerchantLimit(waiting int) error {
	if waiting < 0 {
		return errors.New("emulator: a limit isn't negative")
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.merchant.limit = waiting
	return nil
}

// whose names a login over HTTP, by either member.
type whose struct {
	Phone     string
	AuthReqID string `json:"auth_req_id"`
}

func (w whose) who() string {
	if w.AuthReqID != "" {
		return w.AuthReqID
	}
	return w.Phone
}

// merchantVerbs are these over HTTP.
func (c *Control) merchantVerbs() []verb {
	return []verb{
		{"merchant-approve", `{"phone" or "auth_req_id"}`, takes(func(a whose) error { return c.MerchantApprove(a.who()) })},
		{"merchant-deny", `{"phone" or "auth_req_id","code":"access_denied"}`, takes(func(a struct {
			whose
			Code string
		},
		) error {
			return c.MerchantDeny(a.who(), a.Code)
		})},
		{"merchant-expire", `{"phone" or "auth_req_id"}`, takes(func(a whose) error { return c.MerchantExpire(a.who()) })},
		{"merchant-refuse", `{"phone","code":"old_app"}`, takes(func(a struct{ Phone, Code string }) error { return c.MerchantRefuse(a.Phone, a.Code) })},
		{"merchant-auto", `{"phone","after":"2s","code":""}`, takes(func(a struct {
			Phone, Code string
			After       duration
		},
		) error {
			return c.MerchantAuto(a.Phone, time.Duration(a.After), a.Code)
		})},
		{"merchant-poll-mode", `{"mode":"slow_down","times":0}`, takes(func(a struct {
			Mode  string
			Times int
		},
		) error {
			return c.MerchantPollMode(a.Mode, a.Times)
		})},
		{"merchant-interval", `{"duration":"5s"}`, takes(func(a struct{ Duration duration }) error { return c.MerchantInterval(time.Duration(a.Duration)) })},
		{"consent-answers", `{"ticked":["email"]} or {}`, takes(func(a struct{ Ticked []string }) error { return c.ConsentAnswers(a.Ticked) })},
		{"consents-every-time", `{"on":true}`, takes(func(a struct{ On bool }) error { c.ConsentsEveryTime(a.On); return nil })},
		{"merchant-limit", `{"waiting":5}`, takes(func(a struct{ Waiting int }) error { return c.MerchantLimit(a.Waiting) })},
	}
}
