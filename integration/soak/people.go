//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// person is somebody who uses the site.
type person struct {
	n   int
	sub string
}

func (p person) phone() string { return phoneOf(p.n) }

// shown is how our pages name the person.
func (p person) shown() string { return fmt.Sprintf("%s T.", givenName(p.n)) }

// Eight digits that begin with 00 are no Norwegian number.
func phoneOf(n int) string     { return fmt.Sprintf("4700%06d", 100_000+n) }
func givenName(n int) string   { return fmt.Sprintf("Prøve%04d", n) }
func idOf(n int) string        { return fmt.Sprintf("soak-%04d", n) }
func displayName(n int) string { return givenName(n) + " Testesen" }

// everybody is who has the provider's app.
func everybody(n int) []emulator.Person {
	all := make([]emulator.Person, n)
	for i := range all {
		all[i] = emulator.Person{ID: idOf(i), Phone: phoneOf(i), Name: displayName(i), GivenName: givenName(i), FamilyName: "Testesen"}
	}
	return all
}

// subjects says by which sub the site knows each of them.
func subjects(c *emulator.Control, n int) ([]string, error) {
	subs := make([]string, n)
	for i := range subs {
		sub, err := c.Subject(clientID, phoneOf(i))
		if err != nil {
			return nil, err
		}
		subs[i] = sub
	}
	return subs, nil
}

// What browsers say besides, for the application to compare: who is logged in there, or whose ended session somebody has
// found and tries.
const (
	headerOwner  = "X-Soak-Owner"
	headerReplay = "X-Soak-Replay"
)

// said is what the application answers: who it was told that this is, and what it was asked.
type said struct {
	Sub, Phone, Name, Auth, URI string
}

// app is an application that knows people by X-Vipps-Sub alone.
type app struct {
	report *report
	subs   []string
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := said{
		Sub: r.Header.Get("X-Vipps-Sub"), Phone: r.Header.Get("X-Vipps-Phone-Number"), Name: r.Header.Get("X-Vipps-Name"),
		Auth: r.Header.Get("X-Vipps-Auth"), URI: r.RequestURI,
	}
	a.report.count(&a.report.atApp)
	owner, replayed := -1, r.Header.Get(headerReplay) != ""
	if _, err := fmt.Sscanf(r.Header.Get(headerOwner), "%d", &owner); err != nil || owner < 0 || owner >= len(a.subs) {
		a.report.mixUp("the app got a request of nobody's: "+r.Method, nil)
	} else if why := s.isNot(person{owner, a.subs[owner]}); why != "" || len(r.Header["X-Vipps-Sub"]) != 1 {
		a.report.mixUp(fmt.Sprintf("at the app, a request of person %d (replayed: %t): %s", owner, replayed, why), nil)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s)
}

// isNot says what of an answer isn't this person's; "": all is.
func (s said) isNot(p person) string {
	switch {
	case s.Auth != "authenticated":
		return fmt.Sprintf("X-Vipps-Auth is %q", s.Auth)
	case s.Sub != p.sub:
		return fmt.Sprintf("X-Vipps-Sub is %q and not %q", s.Sub, p.sub)
	case s.Phone != p.phone() || s.Name != displayName(p.n):
		return fmt.Sprintf("the sub is theirs, and name and number are those of %q", s.Name)
	}
	return ""
}
