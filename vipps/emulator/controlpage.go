package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// snapshot is the state as GET /_emulator/state gives it. It holds no secrets, tokens or cookies, and no codes but those in the links
// that people are sent.
type snapshot struct {
	Issuer             string           `json:"issuer"`
	Now                string           `json:"now"`
	NoDialog           string           `json:"no_dialog"`
	AutoApprove        string           `json:"auto_approve,omitempty"`
	Deny               string           `json:"deny,omitempty"`
	RememberDefault    bool             `json:"remember_default"`
	RememberedBrowsers int              `json:"remembered_browsers"`
	Keys               []string         `json:"keys"`
	Clients            []snapshotClient `json:"clients"`
	People             []snapshotPerson `json:"people"`
	Calls              map[string]int   `json:"calls"`
	Log                []Call           `json:"log"`
	Breaks             map[string]int   `json:"breaks"`
	MerchantLogins     []MerchantLogin  `json:"merchant_logins"`
	MerchantAuto       string           `json:"merchant_auto"` // how everybody answers, in words
	Webhooks           []WebhookInfo    `json:"webhooks"`
	QRs                []jsonQR         `json:"qr_codes"`
	Deliveries         []Delivery       `json:"deliveries"`
}

type snapshotClient struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirect_uris"`
	AuthMethod   string   `json:"auth_method"`
	MSN          string   `json:"msn"`
}

type snapshotPerson struct {
	ID    string `json:"id"`
	Phone string `json:"phone"`
	Name  string `json:"name"`
	Note  string `json:"note"`
}

func (c *Control) snapshot() snapshot {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	st := &c.e.state
	s := snapshot{
		Issuer: c.e.Issuer(), Now: c.e.nowLocked().UTC().Format(time.RFC3339), NoDialog: st.noDialog, AutoApprove: st.auto, Deny: st.deny,
		RememberDefault: st.remember, Calls: maps.Clone(st.calls), Log: slices.Clone(st.log), Breaks: maps.Clone(st.breaks),
		Clients: []snapshotClient{}, People: []snapshotPerson{}, MerchantLogins: c.e.merchantLogins(), MerchantAuto: st.merchant.everybody(),
		Webhooks: st.listWebhooks(), QRs: st.listQRs(), Deliveries: st.listDeliveries(),
	}
	for _, b := range st.browsers.byKey {
		if b.person != "" {
			s.RememberedBrowsers++
		}
	}
	for _, g := range c.e.keys.generations {
		s.Keys = append(s.Keys, g.rsaKID, g.ecKID)
	}
	for _, id := range slices.Sorted(maps.Keys(st.clients)) {
		cl := st.clients[id]
		s.Clients = append(s.Clients, snapshotClient{cl.ID, cl.Name, cl.RedirectURIs, cl.AuthMethod, cl.MSN})
	}
	for _, p := range st.people {
		s.People = append(s.People, snapshotPerson{p.ID, p.Phone, p.Name, p.Note})
	}
	return s
}

// controlView is the control page, which is in English only.
type controlView struct {
	view
	Done   string
	Base   string
	State  snapshot
	Groups []controlGroup
	Breaks []BreakInfo
	Verbs  []verb
	Sent   []Delivery
}

type controlGroup struct {
	Title, Hint, Verb, CSRF string
	Buttons                 []controlButton
}

type controlButton struct {
	Label, JSON string
	On          bool
}

func (e *Emulator) showControl(w http.ResponseWriter, r *http.Request) {
	s := e.Control().snapshot()
	t := english()
	v := controlView{
		view: view{T: t, Title: t.ControlLink, CSRF: e.controlToken},
		Base: e.BaseURL(), State: s, Breaks: Breaks(), Verbs: e.Control().verbs(), Groups: e.controlGroups(&s),
		Sent: latest(s.Deliveries),
	}
	if done := r.URL.Query().Get("done"); slices.ContainsFunc(v.Verbs, func(b verb) bool { return b.Name == done }) {
		v.Done = strings.ReplaceAll(done, "-", " ")
	}
	render(w, http.StatusOK, "control.html", v)
}

func (e *Emulator) controlGroups(s *snapshot) []controlGroup {
	modes := []string{
		NoDialogReal, NoDialogHit, NoDialogMiss, "error:login_required", "error:consent_required", "error:server_error",
		"error:access_denied", NoDialogIgnored, NoDialogNeverReturns,
	}
	silent := controlGroup{Title: "Silent attempts", Verb: "no-dialog", CSRF: e.controlToken}
	silent.Hint = "How an attempt with requested_flow=no_dialog ends."
	for _, m := range modes {
		silent.Buttons = append(silent.Buttons, controlButton{m, arguments("mode", m), m == s.NoDialog})
	}
	auto := controlGroup{Title: "Logins without pages", Verb: "auto-approve", CSRF: e.controlToken}
	auto.Hint = "Every login is answered at once as this person."
	auto.Buttons = []controlButton{{"off, show pages", arguments("phone", ""), s.AutoApprove == ""}}
	for _, p := range s.People[:min(len(s.People), 3)] {
		auto.Buttons = append(auto.Buttons, controlButton{p.Name, arguments("phone", p.Phone), s.AutoApprove == p.ID})
	}
	revoke := controlGroup{Title: "Consent", Verb: "revoke-consent", CSRF: e.controlToken}
	revoke.Hint = "A person takes back what they shared, everywhere. Clients that want to hear of it are told."
	for _, p := range s.People[:min(len(s.People), 3)] {
		revoke.Buttons = append(revoke.Buttons, controlButton{Label: p.Name, JSON: arguments("who", p.Phone)})
	}
	one := func(title, hint, verb string, buttons ...controlButton) controlGroup {
		return controlGroup{Title: title, Hint: hint, Verb: verb, CSRF: e.controlToken, Buttons: buttons}
	}
	return []controlGroup{
		silent, auto, revoke,
		one("Browsers", "Who ticked “Remember me in browser” is asked again.", "forget-browsers", controlButton{Label: "Forget all browsers", JSON: "{}"}),
		one("Deliveries", "What waits to be sent again: webhooks, withdrawn consents and QR logins.", "deliver-now", controlButton{Label: "Try again now", JSON: "{}"}),
		one("Keys", "Sign with new keys from now on.", "rotate-keys",
			controlButton{Label: "Rotate, keep the old", JSON: `{"keep_old":true}`}, controlButton{Label: "Rotate, drop the old", JSON: "{}"}),
		one("Clock", "Codes live two minutes, access tokens ten.", "advance",
			controlButton{Label: "Advance 10 minutes", JSON: `{"duration":"10m"}`}, controlButton{Label: "Advance 1 hour", JSON: `{"duration":"1h"}`}),
		e.merchantGroup(s),
		one("Start over", "Forgets all but clients, people, QR codes and keys.", "reset", controlButton{Label: "Reset", JSON: "{}"}),
	}
}

// arguments is a JSON object with one string.
func arguments(name, value string) string {
	b, err := json.Marshal(map[string]string{name: value})
	if err != nil { // strings always marshal
		return "{}"
	}
	return string(b)
}
