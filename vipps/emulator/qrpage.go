package emulator

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// pathQR is the page that prints QR codes and plays the phone that scans them.
const pathQR = pathControl + "qr"

// qrView is that page.
type qrView struct {
	view
	Done, Failed string
	QRs          []qrCard
	Clients      []snapshotClient
	One          bool // only the one that was scanned
	Sent         []Delivery
}

type qrCard struct {
	QRCode

	Client, Image, Address string
}

// qrAddress is what is in the image: the page, with this code alone.
func (e *Emulator) qrAddress(id string) string {
	return e.BaseURL() + pathQR + "?id=" + url.QueryEscape(id)
}

func (e *Emulator) showQR(w http.ResponseWriter, r *http.Request, failed string) {
	q := r.URL.Query()
	s := e.Control().snapshot()
	t := english()
	v := qrView{
		view: view{T: t, Title: "QR codes", CSRF: e.controlToken}, Clients: s.Clients, One: q.Has("id"), Done: qrDone(q.Get("done")), Failed: failed,
	}
	e.mu.Lock()
	v.People = peopleViews(e.state.people, t)
	for _, code := range e.state.qrs {
		if v.One && code.ID != q.Get("id") {
			continue
		}
		card := qrCard{QRCode: *code, Client: code.ClientID, Image: pathQR + ".png?id=" + url.QueryEscape(code.ID), Address: e.qrAddress(code.ID)}
		if c := e.state.clients[code.ClientID]; c != nil {
			card.Client = c.Name
		}
		v.QRs = append(v.QRs, card)
	}
	e.mu.Unlock()
	v.Sent = latest(slices.DeleteFunc(s.Deliveries, func(d Delivery) bool { return d.Kind != DeliverQR }))
	status := http.StatusOK
	switch {
	case failed != "":
		status = http.StatusBadRequest
	case v.One && len(v.QRs) == 0:
		status, v.Failed = http.StatusNotFound, "There is no such QR code."
	}
	render(w, status, "qr.html", v)
}

// qrDone says what the form before did; only these words can come from the address.
func qrDone(what string) string {
	switch what {
	case "approved":
		return "The login was approved in the app. The callback is under way."
	case "cancelled":
		return "The person cancelled. Nobody is told."
	case "added":
		return "The QR code is set up."
	}
	return ""
}

// serveQRImage is the QR code itself.
func (e *Emulator) serveQRImage(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	e.mu.Lock()
	known := e.state.qrIndex(id) >= 0
	e.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	code, err := qr.Encode(e.qrAddress(id), qr.M)
	if err != nil { // the id is short
		http.Error(w, "vippsauth emulator: encoding the QR code failed", http.StatusInternalServerError)
		return
	}
	image := code.PNG()
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(image)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(image)
}

// postQR takes the forms of the page: a scan, or one more QR code.
func (e *Emulator) postQR(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil || !same(r.PostForm.Get("csrf"), e.controlToken) {
		refuseControl(w, http.StatusBadRequest, "the form is not of this emulator's page, or the emulator was started anew: load the page again")
		return
	}
	back, err := e.doQR(r.PostForm)
	if err != nil {
		e.showQR(w, r, strings.TrimPrefix(err.Error(), "emulator: "))
		return
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", back)
	w.WriteHeader(http.StatusSeeOther)
}

// doQR does what the button of a form says, and says where to go then.
func (e *Emulator) doQR(f url.Values) (string, error) {
	switch do := f.Get("do"); do {
	case "approve", "cancel":
		location, err := e.Control().ScanQR(f.Get("id"), f.Get("phone"), do == "approve")
		switch {
		case location != "":
			return location, err
		case do == "approve":
			return pathQR + "?done=approved", err
		}
		return pathQR + "?done=cancelled", err
	case "add":
		code := QRCode{ID: f.Get("id"), Description: f.Get("description"), ClientID: f.Get("client_id")}
		if f.Get("kind") == "redirect" {
			code.RedirectURI = f.Get("uri")
		} else {
			code.CallbackURI = f.Get("uri")
		}
		return pathQR + "?done=added", e.Control().AddQR(code)
	}
	return "", errors.New("the form has no such button")
}

// jsonQR is a QR code in the state and in the verb that adds one.
type jsonQR struct {
	ID          string   `json:"id"`
	Description string   `json:"description,omitempty"`
	ClientID    string   `json:"client_id"`
	CallbackURI string   `json:"callback_uri,omitempty"`
	RedirectURI string   `json:"redirect_uri,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
}

func (s *state) listQRs() []jsonQR {
	out := make([]jsonQR, 0, len(s.qrs))
	for _, q := range s.qrs {
		out = append(out, jsonQR(*q))
	}
	return out
}

// qrVerbs are those of Control that are about QR codes.
func (c *Control) qrVerbs() []verb {
	return []verb{
		{"add-qr", `{"id","description","client_id","callback_uri" or "redirect_uri","scopes":[]}`, takes(func(a jsonQR) error { return c.AddQR(QRCode(a)) })},
		{"remove-qr", `{"id"}`, takes(func(a struct{ ID string }) error { c.RemoveQR(a.ID); return nil })},
		{"scan-qr", `{"id","phone","cancel":false}`, c.httpScanQR},
	}
}

// httpScanQR tells where the phone's browser goes in the header Location, of an answer that is no redirect.
func (c *Control) httpScanQR(w http.ResponseWriter, args []byte) error {
	var a struct {
		ID, Phone string
		Cancel    bool
	}
	if err := decode(args, &a); err != nil {
		return err
	}
	location, err := c.ScanQR(a.ID, a.Phone, !a.Cancel)
	if err == nil && location != "" {
		w.Header().Set("Location", location)
	}
	return err
}
