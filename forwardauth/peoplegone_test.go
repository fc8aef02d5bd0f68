package forwardauth_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: a page of ours answers for as long as a customer takes to approve, and the person who asked has logged out, was taken off
// the list, or their session has ended meanwhile: the answer is for somebody else by then.
func TestSec_A155_A132_PeopleWhoHaveGone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "operators.txt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, leave := range map[string]func(l *lab, b *browser, sub string){
		"logged out":     func(_ *lab, b *browser, _ string) { b.post("/_vipps/logout", nil) },
		"off the list":   func(l *lab, _ *browser, _ string) { write(phonePer + "\n"); l.clock.advance(3 * time.Second) },
		"over":           func(l *lab, _ *browser, _ string) { l.clock.advance(13 * time.Hour) },
		"ended for them": func(l *lab, _ *browser, sub string) { _ = l.engine.EndSessions(sub, l.clock.now().Add(time.Second)) },
	} {
		t.Run(name, func(t *testing.T) {
			write(phoneAase + "\n" + phonePer + "\n")
			var last forwardauth.Person
			l := newLab(t, nil)
			page, err := l.engine.ForPeople([]string{"@" + file}, func(_ http.ResponseWriter, _ *http.Request, who forwardauth.Person) { last = who })
			if err != nil {
				t.Fatal(err)
			}
			l.takeTurns(func(path string) http.Handler {
				if path == "/_vipps/merchant/" {
					return page
				}
				return l.one
			})
			b := l.loggedIn(phoneAase)
			b.visit("/_vipps/merchant/")
			if last.Sub == "" || !last.Still() {
				t.Fatalf("they are there: %q", last.Sub)
			}
			leave(l, b, last.Sub)
			last.Still() // has the file looked at
			l.clock.advance(3 * time.Second)
			if last.Still() {
				t.Error("they have gone")
			}
		})
	}
}
