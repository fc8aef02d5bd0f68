package emulator

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	pathWebhooks = "/webhooks/v1/webhooks"
	// EndpointWebhooks is the Webhooks API, as Calls, FailNext and Delay name it.
	EndpointWebhooks = "webhooks"

	// EventPing is the one event of Login: a merchant-initiated login that ends in the app was approved. See BreakPingInBrowser for
	// those that don't.
	EventPing = "login.merchant-initiated.ping.v1"

	maxWebhooks = 25 // of one event, of one sales unit
)

// webhook is a registration.
type webhook struct {
	id, clientID string
	msn          string // of the sales unit; empty: of all the sales units of a partner
	url          string
	secret       string
	events       []string
}

// detail is one member of extraDetails in a problem.
type detail struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// problem answers with the problem document that Vipps MobilePay documents for its newer APIs.
func problem(w http.ResponseWriter, r *http.Request, status int, why string, details ...detail) {
	body, err := json.Marshal(map[string]any{
		"type":         "https://developer.vippsmobilepay.com/docs/knowledge-base/errors",
		"title":        http.StatusText(status),
		"status":       status,
		"detail":       why,
		"instance":     r.URL.Path,
		"traceId":      strings.ReplaceAll(newUUID(), "-", ""),
		"extraDetails": append([]detail{}, details...),
	})
	if err != nil { // strings and numbers always marshal
		http.Error(w, "vippsauth emulator: marshalling the problem failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// serveWebhooks is the Webhooks API: register, list, delete.
func (e *Emulator) serveWebhooks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	client, ok := e.apiClient(r)
	if !e.checkSubscription(w, r, client) {
		return
	}
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(w, r, http.StatusUnauthorized, "The access token is missing, unknown or expired.")
		return
	}
	msn, ok := e.unitOf(r, client)
	if !ok {
		problem(w, r, http.StatusForbidden, "The Merchant-Serial-Number is not one that these keys may act for.")
		return
	}
	id, one := strings.CutPrefix(r.URL.Path, pathWebhooks+"/")
	switch {
	case one && r.Method == http.MethodDelete:
		e.deleteWebhook(w, r, client.ID, id)
	case !one && r.Method == http.MethodGet:
		e.listWebhooks(w, client.ID, msn)
	case !one && r.Method == http.MethodPost:
		e.registerWebhook(w, r, client.ID, msn)
	default:
		allow := "GET, POST"
		if one {
			allow = http.MethodDelete
		}
		w.Header().Set("Allow", allow)
		problem(w, r, http.StatusMethodNotAllowed, "The method is not one of "+allow+".")
	}
}

// unitOf is the merchant serial number that a call of the Webhooks API is for. A partner leaves the header out for all of its units.
func (e *Emulator) unitOf(r *http.Request, client Client) (string, bool) {
	header := r.Header.Values("Merchant-Serial-Number")
	switch {
	case len(header) > 1:
		return "", false
	case client.Partner && len(header) == 0:
		return "", true
	case len(header) == 0:
		return client.MSN, true
	case client.Partner:
		_, why := e.clientByMSN(header[0])
		return header[0], why == ""
	}
	return client.MSN, header[0] == client.MSN
}

// registration is the body of a registration.
type registration struct {
	URL    string   `json:"url"`
	Events []string `json:"events"`
}

// parseRegistration reads and checks a registration. The real API refuses loopback URLs; here they are the only ones.
func parseRegistration(body []byte) (registration, []detail) {
	var reg registration
	if err := decode(body, &reg); err != nil {
		return registration{}, []detail{{"body", "is not a JSON object with url and events"}}
	}
	var bad []detail
	if err := checkDeliveryURL(reg.URL); err != nil {
		bad = append(bad, detail{"url", err.Error()})
	}
	if len(reg.Events) == 0 {
		bad = append(bad, detail{"events", "must not be empty"})
	}
	for i, event := range reg.Events {
		switch {
		case event != EventPing:
			bad = append(bad, detail{"events", fmt.Sprintf("'%s' is not an event that the emulator has", printable(event))})
		case slices.Contains(reg.Events[:i], event):
			bad = append(bad, detail{"events", "holds an event twice"})
		}
	}
	return reg, bad[:min(len(bad), 10)]
}

// checkDeliveryURL refuses what a delivery can't or mustn't go to.
func checkDeliveryURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case len(raw) > 2000:
		return errors.New("must not be longer than 2000 characters")
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("must be an absolute http or https URL")
	case strings.Contains(raw, "#") || u.User != nil:
		return errors.New("must have neither a fragment nor a user")
	case !loopbackName(u.Hostname()):
		return errors.New("is not on loopback; the emulator delivers to this machine only")
	}
	return nil
}

func (e *Emulator) registerWebhook(w http.ResponseWriter, r *http.Request, clientID, msn string) {
	ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || ct != "application/json" {
		problem(w, r, http.StatusUnsupportedMediaType, "The Content-Type must be application/json.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		problem(w, r, http.StatusRequestEntityTooLarge, "The body is too large.")
		return
	}
	reg, bad := parseRegistration(body)
	if len(bad) > 0 {
		problem(w, r, http.StatusBadRequest, "The request has invalid fields.", bad...)
		return
	}
	hook := &webhook{
		id: newUUID(), clientID: clientID, msn: msn, url: reg.URL, events: reg.Events,
		secret: base64.StdEncoding.EncodeToString(randomBytes(64)),
	}
	if e.take(BreakWebhookUUIDSecret) {
		hook.secret = newUUID()
	}
	if !e.addWebhook(hook) {
		problem(w, r, http.StatusBadRequest, "There are too many registrations.",
			detail{"events", fmt.Sprintf("an event can have %d registrations", maxWebhooks)})
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"id": hook.id, "secret": hook.secret})
}

// addWebhook says whether there was room.
func (e *Emulator) addWebhook(hook *webhook) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range hook.events {
		n := 0
		for _, h := range e.state.webhooks {
			if h.clientID == hook.clientID && h.msn == hook.msn && slices.Contains(h.events, event) {
				n++
			}
		}
		if n >= maxWebhooks {
			return false
		}
	}
	e.state.webhooks = append(e.state.webhooks, hook)
	return true
}

func (e *Emulator) listWebhooks(w http.ResponseWriter, clientID, msn string) {
	list := []map[string]any{}
	e.mu.Lock()
	for _, h := range e.state.webhooks {
		if h.clientID == clientID && (msn == "" || h.msn == msn) {
			list = append(list, map[string]any{"id": h.id, "url": h.url, "events": h.events})
		}
	}
	e.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"webhooks": list})
}

func (e *Emulator) deleteWebhook(w http.ResponseWriter, r *http.Request, clientID, id string) {
	e.mu.Lock()
	i := slices.IndexFunc(e.state.webhooks, func(h *webhook) bool { return h.id == id && h.clientID == clientID })
	if i >= 0 {
		e.dropWebhookLocked(id)
	}
	e.mu.Unlock()
	if i < 0 {
		problem(w, r, http.StatusNotFound, "There is no such webhook.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// dropWebhookLocked ends a registration, and what waits to be delivered to it.
func (e *Emulator) dropWebhookLocked(id string) {
	e.state.webhooks = slices.DeleteFunc(e.state.webhooks, func(h *webhook) bool { return h.id == id })
	e.dropLaneLocked(laneKey(DeliverWebhook, id))
}

// pingLocked tells every webhook of a client, and of partners who act for it, that a merchant-initiated login was approved.
func (e *Emulator) pingLocked(clientID, authReqID string) {
	client := e.state.clients[clientID]
	if client == nil {
		return
	}
	body, err := json.Marshal(map[string]string{"auth_req_id": authReqID})
	if err != nil { // a string always marshals
		return
	}
	for _, h := range e.state.webhooks {
		owner := e.state.clients[h.clientID]
		if owner == nil || !slices.Contains(h.events, EventPing) {
			continue
		}
		if h.clientID == clientID || owner.Partner && (h.msn == "" || h.msn == client.MSN) {
			e.enqueueLocked(&parcel{
				Delivery: Delivery{Kind: DeliverWebhook, To: h.id, URL: h.url, Event: EventPing},
				url:      h.url, secret: h.secret, contentType: "application/json", body: body,
			})
		}
	}
}

// Ping fires the event of a merchant-initiated login at a client's webhooks, whether there is such a login or not.
func (c *Control) Ping(clientID, authReqID string) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.state.clients[clientID] == nil {
		return errors.New("emulator: there is no such client")
	}
	c.e.pingLocked(clientID, authReqID)
	return nil
}

// WebhookInfo is a registration at the Webhooks API, without its secret.
type WebhookInfo struct {
	ID       string   `json:"id"`
	ClientID string   `json:"client_id"`
	MSN      string   `json:"msn,omitempty"`
	URL      string   `json:"url"`
	Events   []string `json:"events"`
}

// Webhooks lists the registrations of every client.
func (c *Control) Webhooks() []WebhookInfo {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.e.state.listWebhooks()
}

func (s *state) listWebhooks() []WebhookInfo {
	out := make([]WebhookInfo, 0, len(s.webhooks))
	for _, h := range s.webhooks {
		out = append(out, WebhookInfo{h.id, h.clientID, h.msn, h.url, slices.Clone(h.events)})
	}
	return out
}

// tooSilent says whether Vipps would have deleted a registration whose receiver hasn't answered for so long.
func tooSilent(kind string, silent time.Duration) bool {
	return kind == DeliverWebhook && silent >= 14*24*time.Hour
}
