package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

// TestSec_C031_DuplicateNames: a neighbour on a subdomain plants a cookie of our
// name (cookie tossing); whichever we took, it could be the wrong one.
func TestSec_C031_DuplicateNames(t *testing.T) {
	t.Parallel()
	j := secureJar()
	box := newBox(t, "a")
	a, b := seal(t, box, "person a"), seal(t, box, "person b")
	const name = "__Host-vippsauth="
	for _, h := range []http.Header{
		{"Cookie": {name + a + "; " + name + b}},
		{"Cookie": {name + a, name + b}},
		{"Cookie": {"x=1; " + name + a + ";y=2;" + name + a, "z; " + name + b + "; " + name + `""`}},
	} {
		wantGet(t, j, h, "", session.Conflict)
		if diff := cmp.Diff([]string{a, b}, j.Values(h)); diff != "" {
			t.Error(diff)
		}
	}
	same := http.Header{"Cookie": {name + a + "; " + name + a, "\t" + name + a + " "}}
	wantGet(t, j, same, a, session.One)
	for _, garbage := range []string{"", "x", `"` + a + `"`, "22AAAA"} {
		wantGet(t, j, http.Header{"Cookie": {name + a + "; " + name + garbage}}, a, session.One)
		wantGet(t, j, http.Header{"Cookie": {name + garbage + "; " + name + a}}, a, session.One)
	}
	// Get looks at the first character only: what has it is a candidate, and the box tells that it is none.
	for _, garbage := range []string{a + "=", "1!", a[:len(a)-1]} {
		h := http.Header{"Cookie": {name + garbage + "; " + name + a}}
		wantGet(t, j, h, "", session.Conflict)
		for _, value := range j.Values(h) {
			if payload, err := box.Open(value); (err == nil) != (value == a) || err == nil && string(payload) != "person a" {
				t.Errorf("%.40q opens as %q, %v", value, payload, err)
			}
		}
	}

	// Five different ones: nobody may look at the first four and miss a person.
	var five []string
	for i := range 5 {
		five = append(five, name+seal(t, box, fmt.Sprint("person ", i)))
	}
	wantGet(t, j, http.Header{"Cookie": {strings.Join(five[:4], "; ")}}, "", session.Conflict)
	wantGet(t, j, http.Header{"Cookie": {strings.Join(five, "; ")}}, "", session.Broken)
}

func TestSec_C031_DuplicateChunks(t *testing.T) {
	t.Parallel()
	j := secureJar()
	box := newBox(t, "a")
	texts := []string{seal(t, box, string(noise(3000, "one"))), seal(t, box, string(noise(3000, "two")))}
	one, two := set(t, j, nil, texts[0]), set(t, j, nil, texts[1])
	count := func(values []string) (opened int) {
		for _, value := range values {
			if _, err := box.Open(value); err == nil {
				opened++
			}
		}
		return opened
	}
	// Both sessions in one request: both are among the candidates.
	values := j.Values(send(append(one, two...)...))
	if len(values) != 4 || count(values) != 2 {
		t.Errorf("%d candidates, %d of them open", len(values), count(values))
	}
	// A planted chunk alone doesn't end the session.
	values = j.Values(send(append(one, two[1])...))
	if len(values) != 2 || count(values) != 1 {
		t.Errorf("%d candidates, %d of them open", len(values), count(values))
	}
	// A long one and a short one.
	values = j.Values(send(append(one, "__Host-vippsauth="+seal(t, box, "short"))...))
	if len(values) != 2 || count(values) != 2 {
		t.Errorf("%d candidates, %d of them open", len(values), count(values))
	}
	// Nor are those in chunks counted apart from the others.
	wantGet(t, j, send(append(one, two[1], "__Host-vippsauth=1AAAA", "__Host-vippsauth=1BBBA")...), "", session.Conflict)
	wantGet(t, j, send(append(one, two[1], "__Host-vippsauth=1AAAA", "__Host-vippsauth=1BBBA", "__Host-vippsauth=1CCCA")...), "", session.Broken)
	// More than four combinations: none.
	wantGet(t, j, send(append(one, "__Host-vippsauth.1=A", "__Host-vippsauth.1=B", "__Host-vippsauth.1=C", "__Host-vippsauth.1=D")...), "", session.Broken)
}

// TestSec_C031_SharedIsNotTheHosts: what a neighbour can set, the cookie of a
// domain, is never read as that of the host; one without the prefix, which
// plain http could set, is neither.
func TestSec_C031_SharedIsNotTheHosts(t *testing.T) {
	t.Parallel()
	shared := &session.Jar{Name: "vippsauth", Secure: true, Domain: "club.example"}
	h := send("__Host-vippsauth=1AAAA", "__Secure-vippsauth=1BBBA", "vippsauth=1CCCA")
	wantGet(t, secureJar(), h, "1AAAA", session.One)
	wantGet(t, shared, h, "1BBBA", session.One)
	w := httptest.NewRecorder()
	shared.Clear(w, nil)
	want := []string{"__Secure-vippsauth=; Path=/; Domain=club.example; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}
	if diff := cmp.Diff(want, w.Header()["Set-Cookie"]); diff != "" {
		t.Error(diff)
	}
}

func TestSec_C032_MaxChunksBindsTheReader(t *testing.T) {
	t.Parallel()
	lines := set(t, &session.Jar{Name: "a"}, nil, sealedForm(9000, ""))
	wantGet(t, &session.Jar{Name: "a", MaxChunks: 2}, send(lines...), "", session.Broken)
	wantGet(t, &session.Jar{Name: "a", MaxChunks: 1}, send(lines...), "", session.Broken)
	wantGet(t, &session.Jar{Name: "a", MaxChunks: 3}, send(lines...), sealedForm(9000, ""), session.One)
	wantGet(t, &session.Jar{Name: "a", MaxChunks: 99}, send(lines...), sealedForm(9000, ""), session.One)
}
