package emulator

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// pathPhone is the page that plays the phones. As part of control it is for this machine only, and for no pages of other sites.
const pathPhone = pathControl + "phone"

const (
	maxShownPushes = 20 // that wait, and as many that are over
	shownAfterEnd  = 10 * time.Minute
)

// phoneView is the page that plays the phones, of one person or of everybody.
type phoneView struct {
	view

	Nonce   string
	Phone   string // whose it is; empty: everybody's
	Done    string
	Count   int // wait
	Waiting []pushView
	More    int // wait too, and aren't shown
	Over    []pushView
}

// pushView is a message on a phone.
type pushView struct {
	view

	ID, Of      string // auth_req_id, and the Phone of the page
	Code, State string
	Browser     bool
	Expires     string
	Link        string
}

// servePhone shows the page or takes an answer.
func (e *Emulator) servePhone(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		q := r.URL.Query()
		e.showPhone(w, r, q.Get("phone"), q.Get("done"), "")
	case http.MethodPost:
		e.answerPhone(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// phoneAnswer is what a person clicked.
type phoneAnswer struct {
	id, denial, phone, done string
	ticked                  func(b box) bool
}

// phoneForm reads the form of our own page; anything else is refused.
func (e *Emulator) phoneForm(w http.ResponseWriter, r *http.Request) (phoneAnswer, bool) {
	form, ok := pageForm(w, r)
	if !ok || !same(form.Get("csrf"), e.controlToken) {
		return phoneAnswer{}, false
	}
	a := phoneAnswer{id: form.Get("auth_req_id"), phone: form.Get("phone"), ticked: ticksOf(form)}
	switch form.Get("answer") {
	case "approve":
		a.done = "approved"
	case "deny":
		a.done, a.denial = "denied", "access_denied"
	default:
		return phoneAnswer{}, false
	}
	return a, true
}

// answerPhone takes a click on Approve or Deny.
func (e *Emulator) answerPhone(w http.ResponseWriter, r *http.Request) {
	a, ok := e.phoneForm(w, r)
	if !ok {
		e.lostPage(w, r)
		return
	}
	err := errNotWaiting
	e.mu.Lock()
	if p, known := e.state.pushes.get(a.id); known {
		err = e.answerPush(p, a.denial, a.ticked)
	}
	e.mu.Unlock()
	switch {
	case errors.Is(err, errIncomplete):
		e.showPhone(w, r, a.phone, "", a.id)
		return
	case err != nil:
		a.done = "late"
	}
	q := url.Values{"done": {a.done}}
	if validPhone(a.phone) {
		q.Set("phone", a.phone)
	}
	w.Header().Set("Location", pathPhone+"?"+q.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// showPhone renders the page. incomplete is a login where something is required that wasn't ticked.
func (e *Emulator) showPhone(w http.ResponseWriter, r *http.Request, phone, done, incomplete string) {
	t := textsFor(r.Header.Get("Accept-Language"))
	v := phoneView{view: view{T: t}, Nonce: base64.RawURLEncoding.EncodeToString(randomBytes(16)), Done: t.phoneDone(done)}
	e.mu.Lock()
	v.People = peopleViews(e.state.people, t)
	only := e.state.personByPhone(phone)
	if only != nil {
		v.Phone = only.Phone
		if !slices.ContainsFunc(v.People, func(p personView) bool { return p.Phone == only.Phone }) {
			v.People = append(v.People, personView{Phone: only.Phone, Shown: showPhone(only.Phone), Name: only.Name})
		}
	}
	e.collectPushes(&v, only)
	for i := range v.Waiting {
		if v.Waiting[i].ID == incomplete {
			v.Waiting[i].Problem = t.Incomplete
		}
	}
	e.mu.Unlock()
	v.Title = t.PhonesTitle
	if v.Count = len(v.Waiting) + v.More; v.Count > 0 {
		v.Title += " (" + strconv.Itoa(v.Count) + ")"
	}
	status := http.StatusOK
	if incomplete != "" {
		status = http.StatusUnprocessableEntity
	}
	renderWith(w, status, "phone.html", v, "; connect-src 'self'; script-src 'nonce-"+v.Nonce+"'")
}

// collectPushes puts the messages on the page, the newest first: those that wait, and those that are over but not for long.
func (e *Emulator) collectPushes(v *phoneView, only *Person) {
	now := e.nowLocked()
	var waiting, over []*push
	for p := range e.state.pushes.all() {
		switch {
		case only != nil && p.person != only.ID:
		case !p.over(now):
			waiting = append(waiting, p)
		case now.Sub(p.ended()) < shownAfterEnd:
			over = append(over, p)
		}
	}
	slices.Reverse(waiting)
	slices.Reverse(over)
	v.More = max(0, len(waiting)-maxShownPushes)
	for _, p := range waiting[:len(waiting)-v.More] {
		v.Waiting = append(v.Waiting, e.pushView(p, v, now))
	}
	for _, p := range over[:min(len(over), maxShownPushes)] {
		v.Over = append(v.Over, e.pushView(p, v, now))
	}
}

// ended is when the person answered, or could no more.
func (p *push) ended() time.Time {
	if p.settled.IsZero() {
		return p.expires
	}
	return p.settled
}

func (e *Emulator) pushView(p *push, v *phoneView, now time.Time) pushView {
	m := p.show(now)
	out := pushView{
		view: view{T: v.T, TabID: p.id, CSRF: e.controlToken, Client: p.req.clientID, Shown: showPhone(p.phone)},
		ID:   p.id, Of: v.Phone, Code: p.binding, State: v.T.states[m.State], Browser: p.browser, Link: m.Link,
		Expires: clockFace(p.expires.Sub(now)),
	}
	if c := e.state.clients[p.req.clientID]; c != nil {
		out.Client = c.Name
	}
	if person := e.state.personByID(p.person); person != nil {
		out.Name = person.Name
		lack := e.state.lacking(&p.req, p.person)
		out.Scopes, out.Boxes = scopeViews(person, lack, v.T), boxViews(lack, v.T)
	}
	return out
}

// clockFace is a time to go as minutes and seconds, 9:59.
func clockFace(d time.Duration) string {
	s := int(max(0, d) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func (t *texts) phoneDone(done string) string {
	switch done {
	case "approved":
		return t.PushApproved
	case "denied":
		return t.PushDenied
	case "late":
		return t.PushLate
	}
	return ""
}
