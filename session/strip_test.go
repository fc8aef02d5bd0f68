package session_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

func ownVippsauth(name string) bool { return strings.HasPrefix(name, "__Host-vippsauth") }

// TestSec_B106_StripCookies: mod_auth_openidc (CVE-2023-28625) crashed when it
// stripped its cookies from "Cookie: ;".
func TestSec_B106_StripCookies(t *testing.T) {
	t.Parallel()
	const own = "__Host-vippsauth=1abc"
	tests := []struct{ lines, want []string }{
		{nil, nil},
		{[]string{""}, []string{""}},
		{[]string{";"}, []string{";"}},
		{[]string{"; ;"}, []string{"; ;"}},
		{[]string{"="}, []string{"="}},
		{[]string{"a"}, []string{"a"}},
		{[]string{"a=;b"}, []string{"a=;b"}},
		{[]string{`a="x y";  b=å ;;c=1=2;`}, []string{`a="x y";  b=å ;;c=1=2;`}},
		{[]string{own}, nil},
		{[]string{own + ";"}, nil},
		{[]string{";" + own}, nil},
		{[]string{" ; " + own + "\t; ;"}, nil},
		{[]string{own + "; a=1"}, []string{"a=1"}},
		{[]string{own + ";a=1"}, []string{"a=1"}},
		{[]string{"a=1; " + own}, []string{"a=1"}},
		{[]string{"a=1;" + own + ";b=2"}, []string{"a=1;b=2"}},
		{[]string{"a=1; " + own + "; b=2"}, []string{"a=1; b=2"}},
		{[]string{own + "; " + own + ";  a=1 ; " + own + ";" + own + ";b=2 "}, []string{"a=1 ;b=2 "}},
		{[]string{"a=1;; " + own + ";; b"}, []string{"a=1;;; b"}},
		{[]string{own + "; __Host-vippsauth.1=x; __Host-vippsauth-hint=y; __Host-app=z"}, []string{"__Host-app=z"}},
		{[]string{"__Host-vippsauth; __Host-vippsauth ; __Host-vippsauth =1; a"}, []string{"a"}},
		{[]string{"a=__Host-vippsauth=1; b"}, []string{"a=__Host-vippsauth=1; b"}},
		{[]string{"a=1", own, "b=2; " + own, ";"}, []string{"a=1", "b=2", ";"}},
		{[]string{`a="1; ` + own + `"; b=2`}, []string{`a="1; b=2`}},
	}
	for _, tt := range tests {
		h := http.Header{"X": {"y"}}
		if tt.lines != nil {
			h["Cookie"] = slices.Clone(tt.lines)
		}
		given := h["Cookie"]
		session.StripCookies(h, ownVippsauth)
		if diff := cmp.Diff(tt.want, h["Cookie"]); diff != "" {
			t.Errorf("%q: %s", tt.lines, diff)
		}
		if _, there := h["Cookie"]; there != (tt.want != nil) {
			t.Errorf("%q: the line is there: %v", tt.lines, there)
		}
		if !slices.Equal(given, tt.lines) {
			t.Errorf("%q: the slice was written to: %q", tt.lines, given)
		}
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	h := http.Header{"Cookie": {` a=1;b="2" ;; c ;=d; A=e=f`, "", "\tg= h "}}
	var got []string
	for name, value := range session.Cookies(h) {
		got = append(got, name+"→"+value)
	}
	if diff := cmp.Diff([]string{"a→1", `b→"2"`, "→d", "A→e=f", "g→ h"}, got); diff != "" {
		t.Error(diff)
	}
	for name := range session.Cookies(h) {
		if name != "a" {
			t.Error("went on after the break")
		}
		break
	}
}
