package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Control tells an Emulator what to do. Each verb works in Go and, with the same name in lower case and dashes, over HTTP:
//
//	POST /_emulator/<verb>   a JSON object with the verb's arguments; 200 {"ok":true}, or 400 and {"error","error_description"}
//	GET  /_emulator/         a page with the state and buttons
//	GET  /_emulator/qr       a page that prints QR codes and scans them
//	GET  /_emulator/state    the state as JSON, counts of calls included
//
//	add-client          {"id","secret","name","redirect_uris":[],"app_uris":[],"scopes":[],"auth_method","advanced","msn",
//	                     "subscription_key","consent_revoked_uri","partner"}
//	add-redirect-uri    {"client_id","uri"}
//	add-person          {"id","phone","name","given_name","family_name","birthdate","email","email_verified",…}
//	change-phone        {"from","to"}
//	rotate-keys         {"keep_old":true}
//	remove-old-keys     {}
//	advance             {"duration":"10m"}
//	fail-next           {"endpoint","n":1,"status":503,"body":""}
//	delay               {"endpoint","duration":"2s"}
//	no-dialog           {"mode":"real"}
//	break               {"kind","times":1}
//	remember            {"phone"}   sets the cookie of the browser that asks
//	remember-default    {"on":true}
//	forget-browsers     {}
//	consent             {"client_id","phone","scopes":[]}
//	revoke-consent      {"who"}
//	auto-approve        {"phone"}
//	deny                {"code":"access_denied"}
//	add-qr              {"id","description","client_id","callback_uri" or "redirect_uri","scopes":[]}
//	remove-qr           {"id"}
//	scan-qr             {"id","phone","cancel":false}   where the phone's browser goes is in the header Location
//	ping                {"client_id","auth_req_id"}
//	deliver-now         {}
//	revoke-api-tokens   {}
//	reset               {}
//	merchant-approve    {"phone"} or {"auth_req_id"}
//	merchant-deny       {"phone" or "auth_req_id","code":"access_denied"}
//	merchant-expire     {"phone" or "auth_req_id"}
//	merchant-refuse     {"phone","code":"old_app"}
//	merchant-auto       {"phone","after":"2s","code":""}
//	merchant-poll-mode  {"mode":"slow_down","times":0}
//	merchant-interval   {"duration":"5s"}
//	merchant-limit      {"waiting":5}
//	consent-answers     {"ticked":["email"]}, or {} for all
//	consents-every-time {"on":true}
//
// HTTP control answers loopback peers only, and neither pages of other sites nor names that aren't loopback.
type Control struct{ e *Emulator }

// Control gives the control of e.
func (e *Emulator) Control() *Control { return &Control{e: e} }

// AddClient registers a client, or replaces the one of the same ID. Redirect URIs that aren't on loopback are refused.
func (c *Control) AddClient(client Client) error {
	if client.MSN == "" {
		client.MSN = c.e.cfg.MSN
	}
	if err := client.normalize(); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.state.clients[client.ID] == nil && len(c.e.state.clients) >= maxClients {
		return fmt.Errorf("emulator: there are %d clients already", maxClients)
	}
	c.e.state.clients[client.ID] = &client
	return nil
}

// AddRedirectURI registers one more redirect URI; one that is there already is no error.
func (c *Control) AddRedirectURI(clientID, uri string) error {
	if err := checkRedirectURI(uri); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	old := c.e.state.clients[clientID]
	switch {
	case old == nil:
		return errors.New("emulator: there is no such client")
	case slices.Contains(old.RedirectURIs, uri):
		return nil
	case len(old.RedirectURIs) >= maxEntries:
		return fmt.Errorf("emulator: the client has %d redirect URIs already", maxEntries)
	}
	fresh := *old // others may be reading the old one
	fresh.RedirectURIs = append(slices.Clone(old.RedirectURIs), uri)
	c.e.state.clients[clientID] = &fresh
	return nil
}

// AddPerson adds a person, or replaces the one of the same ID. A phone number that another person has is refused.
func (c *Control) AddPerson(p Person) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if other := c.e.state.personByPhone(p.Phone); other != nil && other.ID != p.ID {
		return fmt.Errorf("emulator: person %s: the phone number is %s's", p.ID, other.ID)
	}
	if c.e.state.personByID(p.ID) == nil && len(c.e.state.people) >= maxPeople {
		return fmt.Errorf("emulator: there are %d people already", maxPeople)
	}
	c.e.state.setPerson(&p)
	return nil
}

// ChangePhone gives the person with the number from the number to; sub stays. Give from to somebody else and it is recycled.
func (c *Control) ChangePhone(from, to string) error {
	p, err := c.person(from)
	if err != nil {
		return err
	}
	p.Phone = to
	return c.AddPerson(p)
}

func (c *Control) person(phone string) (Person, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	p := c.e.state.personByPhone(phone)
	if p == nil {
		return Person{}, errors.New("emulator: nobody has that phone number")
	}
	return *p, nil
}

// RotateKeys makes new signing keys. With keepOld the old ones stay published beside them, without it they are gone at once.
func (c *Control) RotateKeys(keepOld bool) error {
	fresh, err := newKeypair(c.e.cfg.RSABits) // takes a moment, so not under the lock
	if err != nil {
		return err
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.keys.add(fresh, keepOld)
	return nil
}

// RemoveOldKeys unpublishes all keys but those that sign.
func (c *Control) RemoveOldKeys() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.keys.generations = c.e.keys.generations[:1]
}

// Advance moves the emulator's clock, back too when d is negative, and a hundred years in all at most. Codes, tokens and attempts age
// by it; Delay doesn't.
func (c *Control) Advance(d time.Duration) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	const most = 100 * 365 * 24 * time.Hour
	c.e.state.offset = max(-most, min(most, c.e.state.offset+max(-most, min(most, d))))
}

// FailNext makes the next n calls of an endpoint fail. Status 0 drops the connection; 429 and 503 carry Retry-After: 5; an empty body
// is filled as Vipps' gateway or engine would (502 is HTML); a body that begins with a brace is sent as JSON, any other as HTML.
// n 0 ends it.
func (c *Control) FailNext(endpoint string, n, status int, body string) error {
	switch {
	case !knownEndpoint(endpoint):
		return fmt.Errorf("emulator: there is no endpoint %q", endpoint)
	case status != 0 && (status < 200 || status > 599):
		return fmt.Errorf("emulator: status %d is not between 200 and 599", status)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if n <= 0 {
		delete(c.e.state.failures, endpoint)
		return nil
	}
	c.e.state.failures[endpoint] = &failure{left: n, status: status, body: body}
	return nil
}

// Delay makes every call of an endpoint wait d of real time, five minutes at most, before anything else. Zero ends it.
func (c *Control) Delay(endpoint string, d time.Duration) error {
	if !knownEndpoint(endpoint) {
		return fmt.Errorf("emulator: there is no endpoint %q", endpoint)
	}
	if d < 0 || d > 5*time.Minute {
		return fmt.Errorf("emulator: a delay of %s is not between 0 and 5m", d)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.delays[endpoint] = d
	return nil
}

var errorMode = regexp.MustCompile(`^error:[a-z_]{1,64}$`)

// NoDialog says how silent attempts (requested_flow=no_dialog) end: one of the NoDialog constants, or "error:<code>".
func (c *Control) NoDialog(mode string) error {
	switch mode {
	case NoDialogReal, NoDialogHit, NoDialogMiss, NoDialogIgnored, NoDialogNeverReturns:
	default:
		if !errorMode.MatchString(mode) {
			return fmt.Errorf("emulator: there is no no_dialog mode %q", mode)
		}
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.noDialog = mode
	return nil
}

// Break puts a fault into the next answers that it fits: times of them, or with a negative number all of them until Reset. Zero ends it.
func (c *Control) Break(kind string, times int) error {
	if !slices.ContainsFunc(Breaks(), func(b BreakInfo) bool { return b.Kind == kind }) {
		return fmt.Errorf("emulator: there is no fault %q", kind)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	delete(c.e.state.breaks, kind)
	if times != 0 {
		c.e.state.breaks[kind] = times
	}
	return nil
}

// Remember makes a browser in which a person is remembered, and gives its cookie, to put into a jar for the base URL.
func (c *Control) Remember(phone string) (*http.Cookie, error) {
	p, err := c.person(phone)
	if err != nil {
		return nil, err
	}
	id := newOpaque()
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.browsers.put(id, browser{person: p.ID, authTime: c.e.nowLocked()})
	return c.e.cookie(id, true), nil
}

// RememberDefault says whether "Remember me in browser" is ticked beforehand, as in the app. AutoApprove leaves it as it is here, so
// that with true an automatic login is remembered too.
func (c *Control) RememberDefault(on bool) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.remember = on
}

// ForgetBrowsers forgets who is remembered, in every browser, as if they had removed them in the app.
func (c *Control) ForgetBrowsers() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for id := range c.e.state.browsers.byKey {
		c.e.state.browsers.put(id, browser{})
	}
}

// Consent stores that a person has consented to a client's scopes; none given: to all that the emulator knows.
func (c *Control) Consent(clientID, phone string, scopes ...string) error {
	p, err := c.person(phone)
	if err != nil {
		return err
	}
	if _, ok := c.e.client([]string{clientID}); !ok {
		return errors.New("emulator: there is no such client")
	}
	if len(scopes) == 0 {
		scopes = knownScopes[:]
	}
	for _, s := range scopes {
		if !slices.Contains(knownScopes[:], s) {
			return fmt.Errorf("emulator: there is no scope %q", printable(s))
		}
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.consent(clientID, p.ID, scopes)
	return nil
}

// RevokeConsent takes back what a person consented to: with a phone number at every client, with a sub at the one client whose sub it is.
// Clients that had something of it, and have a ConsentRevokedURI, are told there.
func (c *Control) RevokeConsent(who string) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	found := false
	for _, p := range c.e.state.people {
		for id := range c.e.state.clients {
			if p.Phone == who || subject(id, p.ID) == who {
				found = true
				c.e.revokeLocked(id, p.ID)
			}
		}
	}
	if !found {
		return errors.New("emulator: nobody has that phone number or sub")
	}
	return nil
}

// AutoApprove answers every login that would show pages at once, as that person would: consent given, browser remembered only with
// RememberDefault. Silent attempts stay what NoDialog says. An empty number brings the pages back. It ends Deny.
func (c *Control) AutoApprove(phone string) error {
	var id string
	if phone != "" {
		p, err := c.person(phone)
		if err != nil {
			return err
		}
		if id = p.ID; !p.oldEnough(c.e.now()) {
			return fmt.Errorf("emulator: person %s is under %d and can't log in", id, MinimumAge)
		}
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.auto, c.e.state.deny = id, ""
	return nil
}

// Deny answers every login that would show pages at once with an error: access_denied when the person cancels, wrong_challenge,
// outdated_app_version, server_error… An empty code brings the pages back. It ends AutoApprove.
func (c *Control) Deny(code string) error {
	if code != "" && !errorMode.MatchString("error:"+code) {
		return fmt.Errorf("emulator: an error code is lower-case letters and underscores, not %q", printable(code))
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.deny, c.e.state.auto = code, ""
	return nil
}

// Reset forgets all but clients, people, QR codes and keys: logins under way, codes, tokens, browsers, consents, webhooks, faults,
// modes, counts, and what Advance did to the clock.
func (c *Control) Reset() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.dropLanesLocked()
	c.e.state.reset()
}
