package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// verb is a verb of Control over HTTP.
type verb struct {
	Name, Arguments string
	run             func(w http.ResponseWriter, args []byte) error
}

// verbs lists them all, as the comment of Control does.
func (c *Control) verbs() []verb {
	return slices.Concat([]verb{
		{"add-client", `{"id","secret","name","redirect_uris":[],"app_uris":[],"scopes":[],"auth_method","advanced":false,"msn","subscription_key","consent_revoked_uri","partner":false}`, c.httpAddClient},
		{"add-redirect-uri", `{"client_id","uri"}`, takes(func(a struct {
			ClientID string `json:"client_id"`
			URI      string `json:"uri"`
		},
		) error {
			return c.AddRedirectURI(a.ClientID, a.URI)
		})},
		{"add-person", `{"id","phone","name","given_name","family_name","birthdate","email","email_verified":true,"nin","gender","address":{},"other_addresses":[]}`, c.httpAddPerson},
		{"change-phone", `{"from","to"}`, takes(func(a struct{ From, To string }) error { return c.ChangePhone(a.From, a.To) })},
		{"rotate-keys", `{"keep_old":true}`, takes(func(a struct {
			KeepOld bool `json:"keep_old"`
		},
		) error {
			return c.RotateKeys(a.KeepOld)
		})},
		{"remove-old-keys", `{}`, takes(func(struct{}) error { c.RemoveOldKeys(); return nil })},
		{"advance", `{"duration":"10m"}`, takes(func(a struct{ Duration duration }) error { c.Advance(time.Duration(a.Duration)); return nil })},
		{"fail-next", `{"endpoint":"token","n":1,"status":503,"body":""}`, takes(func(a struct {
			Endpoint, Body string
			N              *int
			Status         int
		},
		) error {
			return c.FailNext(a.Endpoint, orOne(a.N), a.Status, a.Body)
		})},
		{"delay", `{"endpoint":"token","duration":"2s"}`, takes(func(a struct {
			Endpoint string
			Duration duration
		},
		) error {
			return c.Delay(a.Endpoint, time.Duration(a.Duration))
		})},
		{"no-dialog", `{"mode":"real"}`, takes(func(a struct{ Mode string }) error { return c.NoDialog(a.Mode) })},
		{"break", `{"kind":"wrong-nonce","times":1}`, takes(func(a struct {
			Kind  string
			Times *int
		},
		) error {
			return c.Break(a.Kind, orOne(a.Times))
		})},
		{"remember", `{"phone"}`, c.httpRemember},
		{"remember-default", `{"on":true}`, takes(func(a struct{ On bool }) error { c.RememberDefault(a.On); return nil })},
		{"forget-browsers", `{}`, takes(func(struct{}) error { c.ForgetBrowsers(); return nil })},
		{"consent", `{"client_id","phone","scopes":[]}`, takes(func(a struct {
			ClientID string `json:"client_id"`
			Phone    string
			Scopes   []string
		},
		) error {
			return c.Consent(a.ClientID, a.Phone, a.Scopes...)
		})},
		{"revoke-consent", `{"who":"a phone number or a sub"}`, takes(func(a struct{ Who string }) error { return c.RevokeConsent(a.Who) })},
		{"auto-approve", `{"phone":"4790000001"}`, takes(func(a struct{ Phone string }) error { return c.AutoApprove(a.Phone) })},
		{"deny", `{"code":"access_denied"}`, takes(func(a struct{ Code string }) error { return c.Deny(a.Code) })},
		{"reset", `{}`, takes(func(struct{}) error { c.Reset(); return nil })},
	}, c.merchantVerbs(), c.deliveryVerbs(), c.qrVerbs())
}

// orOne is a count that may be left out.
func orOne(n *int) int {
	if n == nil {
		return 1
	}
	return *n
}

// duration is a time.Duration written as in Go, "1m30s".
type duration time.Duration

// UnmarshalJSON reads a string.
func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New(`a duration is a string as "1m30s"`)
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// takes makes a verb of a function by decoding its argument; members that the verb doesn't know are refused.
func takes[A any](run func(A) error) func(http.ResponseWriter, []byte) error {
	return func(_ http.ResponseWriter, args []byte) error {
		var a A
		if err := decode(args, &a); err != nil {
			return err
		}
		return run(a)
	}
}

func decode(args []byte, into any) error {
	if len(bytes.TrimSpace(args)) == 0 {
		args = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("reading the arguments: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading the arguments: there is more than one JSON value")
	}
	return nil
}

func (c *Control) httpAddClient(_ http.ResponseWriter, args []byte) error {
	var a struct {
		ID, Secret, Name string
		RedirectURIs     []string `json:"redirect_uris"`
		AppURIs          []string `json:"app_uris"`
		Scopes           []string
		AuthMethod       string `json:"auth_method"`
		Advanced         bool
		MSN              string

		SubscriptionKey   string `json:"subscription_key"`
		ConsentRevokedURI string `json:"consent_revoked_uri"`
		Partner           bool
	}
	if err := decode(args, &a); err != nil {
		return err
	}
	return c.AddClient(Client(a))
}

// jsonAddress is an Address with the member names of the userinfo answer.
type jsonAddress struct {
	AddressType   string `json:"address_type"`
	Country       string `json:"country"`
	PostalCode    string `json:"postal_code"`
	Region        string `json:"region"`
	StreetAddress string `json:"street_address"`
}

func (c *Control) httpAddPerson(_ http.ResponseWriter, args []byte) error {
	var a struct {
		ID, Phone, Name, Birthdate, Email, NIN, Gender, Note string

		GivenName      string `json:"given_name"`
		FamilyName     string `json:"family_name"`
		EmailVerified  bool   `json:"email_verified"`
		Address        *jsonAddress
		OtherAddresses []jsonAddress `json:"other_addresses"`
	}
	if err := decode(args, &a); err != nil {
		return err
	}
	p := Person{
		ID: a.ID, Phone: a.Phone, Name: a.Name, GivenName: a.GivenName, FamilyName: a.FamilyName, Birthdate: a.Birthdate,
		Email: a.Email, EmailVerified: a.EmailVerified, NIN: a.NIN, Gender: a.Gender, Note: a.Note, Address: (*Address)(a.Address),
	}
	for _, o := range a.OtherAddresses {
		p.OtherAddresses = append(p.OtherAddresses, Address(o))
	}
	return c.AddPerson(p)
}

func (c *Control) httpRemember(w http.ResponseWriter, args []byte) error {
	var a struct{ Phone string }
	if err := decode(args, &a); err != nil {
		return err
	}
	cookie, err := c.Remember(a.Phone)
	if err == nil {
		http.SetCookie(w, cookie)
	}
	return err
}

// serveControl lets in who may control: a peer on loopback, and no page of another site.
func (e *Emulator) serveControl(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !loopbackPeer(r) || !sameOrigin(r) && !(r.Method == http.MethodGet && navigation(r)) {
		refuseControl(w, http.StatusForbidden, "control answers this machine only, and no pages of other sites")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, pathControl)
	switch {
	case name == "phone":
		e.servePhone(w, r)
	case r.Method == http.MethodGet && name == "":
		e.showControl(w, r)
	case r.Method == http.MethodGet && name == "state":
		writeJSON(w, http.StatusOK, e.Control().snapshot())
	case r.Method == http.MethodGet && name == "qr":
		e.showQR(w, r, "")
	case r.Method == http.MethodGet && name == "qr.png":
		e.serveQRImage(w, r)
	case r.Method == http.MethodPost && name == "qr":
		e.postQR(w, r)
	case r.Method == http.MethodPost:
		e.runVerb(w, r, name)
	case name == "" || name == "state":
		w.Header().Set("Allow", http.MethodGet)
		refuseControl(w, http.StatusMethodNotAllowed, "GET only")
	default:
		w.Header().Set("Allow", http.MethodPost)
		refuseControl(w, http.StatusMethodNotAllowed, "verbs are POST only")
	}
}

// navigation is a person who follows a link to the control page. It shows no more to the site with the link than that it exists.
func navigation(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func refuseControl(w http.ResponseWriter, status int, why string) {
	writeJSON(w, status, map[string]string{"error": "invalid_request", "error_description": why})
}

func (e *Emulator) runVerb(w http.ResponseWriter, r *http.Request, name string) {
	args, isForm, err := e.verbArguments(w, r)
	if err != nil {
		refuseControl(w, http.StatusBadRequest, err.Error())
		return
	}
	for _, v := range e.Control().verbs() {
		if v.Name != name {
			continue
		}
		switch err := v.run(w, args); {
		case err != nil:
			refuseControl(w, http.StatusBadRequest, err.Error())
		case isForm:
			w.Header().Set("Location", pathControl+"?done="+name)
			w.WriteHeader(http.StatusSeeOther)
		default:
			writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
		}
		return
	}
	refuseControl(w, http.StatusNotFound, "there is no such verb; GET "+pathControl+" lists them")
}

// verbArguments reads a JSON body, or the form of our own page, which carries the JSON in a field beside its token.
func (e *Emulator) verbArguments(w http.ResponseWriter, r *http.Request) (args []byte, isForm bool, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch ct {
	case "application/json", "":
		args, err = io.ReadAll(r.Body) //nolint:forbidigo // limited above
		if ct == "" && len(args) > 0 {
			return nil, false, errors.New("the Content-Type must be application/json")
		}
		return args, false, err
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return nil, false, err
		}
		if !same(r.PostForm.Get("csrf"), e.controlToken) {
			return nil, false, errors.New("the form is not of this emulator's page, or the emulator was started anew: load the page again")
		}
		return []byte(r.PostForm.Get("json")), true, nil
	}
	return nil, false, errors.New("the Content-Type must be application/json")
}
