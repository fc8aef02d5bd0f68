package emulator

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

var templates = template.Must(template.ParseFS(web, "web/*.html"))

// view is what a page shows.
type view struct {
	T                  texts
	Title, Client      string
	TabID, CSRF        string
	Refresh            string
	Seconds            int
	Problem, Code      string
	Typed, Name, Shown string
	Remember           bool
	People             []personView
	Number             int
	Numbers            [3]int
	Scopes             []scopeView
	Boxes              []boxView
	Brand, Market      string
	Back               string
	App                template.URL // what opens the merchant's app
}

type personView struct{ Phone, Shown, Name, Note string }

type scopeView struct{ Scope, Label, Value string }

// render writes a page. Nothing on it comes from elsewhere or runs; form-action is left open because browsers apply it to the
// redirect back to the client too.
func render(w http.ResponseWriter, status int, name string, v any) {
	renderWith(w, status, name, v, "")
}

// renderWith is render for a page that may do more than others: more goes to the end of the Content-Security-Policy.
func renderWith(w http.ResponseWriter, status int, name string, v any, more string) {
	var buf bytes.Buffer
	if err := templates.ExecuteTemplate(&buf, name, v); err != nil {
		http.Error(w, "vippsauth emulator: rendering the page failed", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"+more)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // "no-referrer" would make browsers send Origin: null with our own forms
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}

func serveStyle(w http.ResponseWriter) {
	css, err := web.ReadFile("web/style.css")
	if err != nil {
		http.Error(w, "vippsauth emulator: the style sheet is missing", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(css)
}

// errorPage is the page that never comes back: no redirect, and no way on.
func (e *Emulator) errorPage(w http.ResponseWriter, r *http.Request, status int, code, description string) {
	t := textsFor(r.Header.Get("Accept-Language"))
	render(w, status, "error.html", view{T: t, Title: t.ErrorTitle, Code: code, Problem: description})
}

// lostPage is the error page for a page whose login is over, unknown, or another browser's.
func (e *Emulator) lostPage(w http.ResponseWriter, r *http.Request) {
	e.errorPage(w, r, http.StatusForbidden, "request_forbidden", "The request is not allowed. No CSRF value available in the session cookie.")
}

// showAttempt renders the page that an attempt is at.
func (e *Emulator) showAttempt(w http.ResponseWriter, r *http.Request, a *attempt) {
	t := textsFor(r.Header.Get("Accept-Language"))
	v := view{T: t, TabID: a.id, CSRF: a.csrf, Remember: a.remember, Brand: brand(a.req.market), Market: a.req.market}
	e.mu.Lock()
	v.Client = a.req.clientID
	if c := e.state.clients[a.req.clientID]; c != nil {
		v.Client = c.Name
	}
	var person Person
	if p := e.state.personByID(a.person); p != nil {
		person = *p
	}
	if a.step == stepLanding {
		v.People = peopleViews(e.state.people, t)
	}
	lack := e.state.lacking(&a.req, a.person)
	e.mu.Unlock()

	v.Name, v.Shown = person.Name, showPhone(person.Phone)
	switch a.step {
	case stepLanding:
		v.Title, v.Typed, v.Problem = t.LandingTitle, a.typed, t.problem(a.refused)
	case stepChallenge:
		v.Title, v.Number, v.Numbers = t.ChallengeTitle, a.number, a.numbers
	case stepConsent:
		v.Title, v.Scopes, v.Boxes, v.Problem = t.ConsentTitle, scopeViews(&person, lack, t), boxViews(lack, t), t.problem(a.refused)
	case stepSpinner:
		v.Title, v.Refresh, v.Seconds = t.SpinnerTitle, pathPages+"silent?tabId="+a.id, int(e.cfg.Spinner/time.Second)
	case stepReturn:
		v.Title, v.Back = t.ReturnTitle, a.back
	case stepResume: // stepResumed
	}
	render(w, http.StatusOK, string(a.step)+".html", v)
}

func (t *texts) problem(refused string) string {
	switch refused {
	case "":
		return ""
	case "young":
		return t.TooYoung
	case "incomplete":
		return t.Incomplete
	}
	return t.UnknownPhone
}

func peopleViews(people []*Person, t texts) []personView {
	const most = 50 // the page stays usable; others type their number
	out := make([]personView, 0, len(people))
	for _, p := range people[:min(len(people), most)] {
		note := p.Note
		if t.Lang == "nb" && p.NoteNO != "" {
			note = p.NoteNO
		}
		out = append(out, personView{Phone: p.Phone, Shown: showPhone(p.Phone), Name: p.Name, Note: note})
	}
	return out
}

// showPhone groups a number for reading, as its country does: +47 90 00 00 01, +358 90 000 0011, +46 70 123 45 67. The country
// code has three digits in Finland, and two in the other Nordic countries. No digit ever stands alone.
func showPhone(s string) string {
	code := 2
	if strings.HasPrefix(s, "358") {
		code = 3
	}
	if len(s) < code+2 {
		return strings.TrimSuffix("+"+s, "+")
	}
	shown, rest := "+"+s[:code], s[code:]
	take := func(n int) {
		shown, rest = shown+" "+rest[:n], rest[n:]
	}
	switch {
	case code == 3 && len(rest) > 5:
		take(2)
		if len(rest) > 5 {
			take(len(rest) - 4)
		}
		take(len(rest))
	case len(rest)%2 == 1:
		if len(rest) > 3 {
			take(2)
		}
		take(3)
	}
	for rest != "" {
		take(2)
	}
	return shown
}

func scopeViews(p *Person, scopes []string, t texts) []scopeView {
	out := make([]scopeView, 0, len(scopes))
	for _, sc := range scopes {
		if boxesOf(sc) != nil {
			continue // its boxes are shown
		}
		value := ""
		switch sc {
		case "name":
			value = p.Name
		case "phoneNumber":
			value = showPhone(p.Phone)
		case "email":
			value = p.Email
		case "address":
			value = addressLines(p)
		case "birthDate":
			value = p.Birthdate
		case "gender":
			value = p.Gender
		case "nin":
			value = p.NIN
		case "accountNumbers":
			for _, a := range p.Accounts {
				value += a.Name + " " + a.Number + "\n"
			}
		}
		if value == "" {
			value = "–"
		}
		out = append(out, scopeView{Scope: sc, Label: t.scopes[sc], Value: strings.TrimSpace(value)})
	}
	return out
}

func addressLines(p *Person) string {
	var lines []string
	line := func(a *Address) {
		if s, ok := a.claim()["formatted"].(string); ok && s != "" {
			lines = append(lines, strings.ReplaceAll(s, "\n", ", "))
		}
	}
	line(p.Address)
	for i := range p.OtherAddresses {
		line(&p.OtherAddresses[i])
	}
	return strings.Join(lines, "\n")
}

// newNumbers makes three different numbers of two digits, and chooses the one on the page.
func (a *attempt) newNumbers() {
	for i := range a.numbers {
		n := 10 + randomInt(90)
		for slices.Contains(a.numbers[:i], n) {
			n = 10 + randomInt(90)
		}
		a.numbers[i] = n
	}
	a.number = a.numbers[randomInt(3)]
}

func randomInt(n int64) int {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil { // crypto/rand doesn't fail
		return 0
	}
	return int(v.Int64())
}
