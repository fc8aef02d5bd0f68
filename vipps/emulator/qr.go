package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Login by QR code, as Vipps documented it until January 2023.
const (
	grantQR         = "urn:vipps:params:grant-type:qr"
	grantQRRedirect = "urn:vipps:params:grant-type:qr-redirect"

	flowQR         flow = "qr"
	flowQRRedirect flow = "qr-redirect"

	callbackTTL = 300 * time.Second // of the JWS, and of what it can be exchanged for
	maxQRs      = 200
)

// QRCode is a QR code as Vipps would set it up for a merchant: whoever scans it logs in. It has a CallbackURI or a RedirectURI.
type QRCode struct {
	// ID is 1 to 64 letters, digits, - and _; Description is what the app and the ID token say of it.
	ID, Description string
	// ClientID is whose it is.
	ClientID string
	// CallbackURI gets a JWS once somebody has logged in in the app: http or https, on loopback.
	CallbackURI string
	// RedirectURI is opened by the phone with a code: http or https, on loopback, and not among the client's others.
	RedirectURI string
	// Scopes are what is shared. Nil: openid, name and phoneNumber.
	Scopes []string
}

var qrID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (q *QRCode) validate() error {
	if !qrID.MatchString(q.ID) {
		return errors.New("QR code: ID: must be 1 to 64 letters, digits, - and _")
	}
	if len(q.Description) > 200 {
		return fmt.Errorf("QR code %s: Description: has more than 200 bytes", q.ID)
	}
	if (q.CallbackURI == "") == (q.RedirectURI == "") {
		return fmt.Errorf("QR code %s: it needs either a CallbackURI or a RedirectURI", q.ID)
	}
	if err := checkDeliveryURL(q.CallbackURI + q.RedirectURI); err != nil {
		return fmt.Errorf("QR code %s: its URI %w", q.ID, err)
	}
	for _, s := range q.Scopes {
		if !slices.Contains(knownScopes[:], s) {
			return fmt.Errorf("QR code %s: Scopes: the emulator doesn't know the scope %q", q.ID, printable(s))
		}
	}
	return nil
}

// AddQR sets up a QR code, or replaces the one of the same ID.
func (c *Control) AddQR(q QRCode) error {
	if err := q.validate(); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	if q.Scopes == nil {
		q.Scopes = []string{"openid", "name", "phoneNumber"}
	}
	q.Scopes = slices.Clone(q.Scopes)
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.state.clients[q.ClientID] == nil {
		return errors.New("emulator: there is no such client")
	}
	if i := c.e.state.qrIndex(q.ID); i >= 0 {
		c.e.state.qrs[i] = &q
		return nil
	}
	if len(c.e.state.qrs) >= maxQRs {
		return fmt.Errorf("emulator: there are %d QR codes already", maxQRs)
	}
	c.e.state.qrs = append(c.e.state.qrs, &q)
	return nil
}

// RemoveQR ends a QR code; one that isn't there is no error.
func (c *Control) RemoveQR(id string) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if i := c.e.state.qrIndex(id); i >= 0 {
		c.e.state.qrs = slices.Delete(c.e.state.qrs, i, i+1)
		c.e.dropLaneLocked(laneKey(DeliverQR, id))
	}
}

// QRs lists the QR codes.
func (c *Control) QRs() []QRCode {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	out := make([]QRCode, 0, len(c.e.state.qrs))
	for _, q := range c.e.state.qrs {
		out = append(out, *q)
	}
	return out
}

func (s *state) qrIndex(id string) int {
	return slices.IndexFunc(s.qrs, func(q *QRCode) bool { return q.ID == id })
}

// ScanQR is a person who scans a QR code and approves, or cancels. For a code with a RedirectURI it gives the address that the phone's
// browser opens; there is no state in it. For one with a CallbackURI an approval is told there, and a cancellation nowhere.
func (c *Control) ScanQR(id, phone string, approve bool) (location string, err error) {
	p, err := c.person(phone)
	if err != nil {
		return "", err
	}
	if !p.oldEnough(c.e.now()) {
		return "", fmt.Errorf("emulator: person %s is under %d and can't log in", p.ID, MinimumAge)
	}
	c.e.mu.Lock()
	i := c.e.state.qrIndex(id)
	if i < 0 {
		c.e.mu.Unlock()
		return "", errors.New("emulator: there is no such QR code")
	}
	q := c.e.state.qrs[i]
	now := c.e.nowLocked()
	g := &grant{
		req:    request{clientID: q.ClientID, redirectURI: q.RedirectURI, scopes: q.Scopes, received: now},
		person: p.ID, authTime: now, sid: newUUID(), issued: now, flow: flowQR, qr: q,
	}
	if approve {
		c.e.state.consent(q.ClientID, p.ID, q.Scopes)
	}
	c.e.mu.Unlock()
	switch {
	case q.RedirectURI != "":
		return c.e.qrRedirect(g, approve), nil
	case approve:
		return "", c.e.qrCallback(g)
	}
	return "", nil
}

// qrRedirect is where the phone goes.
func (e *Emulator) qrRedirect(g *grant, approve bool) string {
	if !approve {
		return join(g.req.redirectURI, "error=access_denied&error_description="+url.QueryEscape(descCancelled))
	}
	g.flow = flowQRRedirect
	code := newOpaque()
	e.mu.Lock()
	e.state.codes.put(code, g)
	e.mu.Unlock()
	return join(g.req.redirectURI, "code="+url.QueryEscape(code))
}

// qrCallback tells the callback URI of a login.
func (e *Emulator) qrCallback(g *grant) error {
	g.authReqID, g.ttl = newAuthReqID(), cibaTTL
	e.mu.Lock()
	now, keys, client := e.nowLocked(), e.keys.generations[0], e.state.clients[g.req.clientID]
	if client == nil {
		e.mu.Unlock()
		return errors.New("emulator: there is no such client")
	}
	unit := *client
	e.state.qrLogins.put(g.authReqID, g)
	e.mu.Unlock()
	body, err := e.qrJWS(&unit, g, keys, now)
	if err != nil {
		return err
	}
	kind, times := "application/jose", 1
	switch {
	case e.take(BreakQRTextPlain):
		kind = "text/plain"
	case e.take(BreakQRForm):
		kind, body = "application/x-www-form-urlencoded", []byte("jws="+string(body))
	}
	if e.take(BreakQRTwice) {
		times = 2
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for range times {
		e.enqueueLocked(&parcel{
			Delivery: Delivery{Kind: DeliverQR, To: g.qr.ID, URL: g.qr.CallbackURI},
			url:      g.qr.CallbackURI, contentType: kind, body: body,
		})
	}
	return nil
}

// qrToken exchanges the auth_req_id of a callback, once and within five minutes.
func (e *Emulator) qrToken(client *Client, form url.Values) (map[string]any, *tokenError) {
	if bad := unmodelled(form, []string{"grant_type", "auth_req_id", "client_id", "client_secret"}); bad != nil {
		return nil, bad
	}
	id := form.Get("auth_req_id")
	if id == "" {
		return nil, badToken("Request parameter 'auth_req_id' is missing.")
	}
	access, g, bad := e.redeemQR(client, id)
	if bad != nil {
		return nil, bad
	}
	return e.tokenAnswer(client, g, access)
}

func (e *Emulator) redeemQR(client *Client, id string) (string, *grant, *tokenError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, ok := e.state.qrLogins.get(id)
	now := e.nowLocked()
	switch {
	case !ok || g.req.clientID != client.ID:
		return "", nil, invalidGrant("")
	case g.used:
		return "", nil, invalidGrant("The auth_req_id was used already.")
	case now.Sub(g.issued) > callbackTTL:
		return "", nil, oauthError("expired_token", "The auth_req_id has expired.")
	}
	g.used = true
	issued := *g
	issued.issued = now
	access := "ciba." + newOpaque()
	e.state.tokens.put(access, &issued)
	return access, &issued, nil
}

// qrJWS is what the callback gets: signed with the P-256 key, and less of a JWT than an ID token is.
func (e *Emulator) qrJWS(client *Client, g *grant, keys *keypair, now time.Time) ([]byte, error) {
	if e.take(BreakQRIDToken) {
		token, err := e.idToken(client, g, "")
		return []byte(token), err
	}
	claims := map[string]any{
		"aud": client.ID, "auth_req_id": g.authReqID, "iss": e.Issuer(), "exp": now.Add(callbackTTL).Unix(), "iat": now.Unix(),
	}
	e.breakQRClaims(claims, client, g, now)
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	token, err := e.signQR(payload, keys, client.Secret)
	if err == nil && e.take(BreakQRJSON) {
		token, err = serialized(token)
	}
	return []byte(token), err
}

func (e *Emulator) signQR(payload []byte, keys *keypair, secret string) (string, error) {
	own := keys.key(jose.ES256)
	switch {
	case e.take(BreakQRAlgNone):
		return craft(`{"alg":"none"}`, payload, nil), nil
	case e.take(BreakQRHS256):
		return craft(`{"alg":"HS256","kid":"`+own.KeyID+`"}`, payload, []byte(secret)), nil
	case e.take(BreakQRRS256):
		return compact(jose.RS256, keys.key(jose.RS256), payload, "")
	case e.take(BreakQRUnknownKID):
		own.KeyID = "public:" + newUUID()
	case e.take(BreakQRNoKID):
		return compact(jose.ES256, own.Key, payload, "")
	}
	token, err := compact(jose.ES256, own, payload, "")
	if err == nil && e.take(BreakQRBadSignature) {
		token = alterSignature(token)
	}
	return token, err
}

// serialized is a compact JWS in the flattened JSON serialization.
func serialized(token string) (string, error) {
	parts := strings.Split(token, ".")
	b, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	return string(b), err
}
