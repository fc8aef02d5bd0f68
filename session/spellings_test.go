package session_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// TestSec_C030_C032_OneSpelling: a sealed payload has one spelling, so that
// what is remembered of a text (a cache, a list of those that ended) can't be
// got round by writing it otherwise.
func TestSec_C030_C032_OneSpelling(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	text := seal(t, box, "a payload of some length, to be spelt in another way")
	for _, between := range []string{"\n\n\n\n", "\r\n\r\n", "    ", "\x00\x00\x00\x00", "====", "\xc1\xc1\xc1\xc1"} {
		for _, at := range []int{1, 2, 30, len(text)} {
			if _, err := box.Open(text[:at] + between + text[at:]); !errors.Is(err, session.ErrSealed) {
				t.Errorf("%q at %d: %v", between, at, err)
			}
		}
	}
	// Of an unpadded text whose last character has bits to spare, each other use of them is another spelling.
	for n := range 3 {
		padded := seal(t, box, strings.Repeat("x", 40+n))
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		at := strings.IndexByte(digits, padded[len(padded)-1])
		for bits := 1; bits < 16; bits++ {
			if _, err := box.Open(padded[:len(padded)-1] + digits[at^bits:at^bits+1]); !errors.Is(err, session.ErrSealed) {
				t.Errorf("%d bytes, other spare bits %b: %v", 40+n, bits, err)
			}
		}
	}

	j := secureJar()
	const name = "__Host-vippsauth"
	half := len(text) / 2
	for what, cookies := range map[string]string{
		"one chunk":            name + "=21" + text,
		"no chunk":             name + "=20" + text,
		"all in the second":    name + "=22; " + name + ".1=" + text,
		"an empty second":      name + "=22" + text + "; " + name + ".1=",
		"another format":       name + "=32" + text[:half] + "; " + name + ".1=" + text[half:],
		"another count":        name + "=2\x32" + text[:half] + "; " + name + ".1=" + text[half:] + "!",
		"more than is counted": name + "=26" + text[:half] + "; " + name + ".1=" + text[half:],
	} {
		h := http.Header{"Cookie": {cookies}}
		if value, found := j.Get(h); found != session.Broken || value != "" {
			t.Errorf("%s: %v", what, found)
		}
		for _, value := range j.Values(h) {
			if _, err := box.Open(value); err == nil {
				t.Errorf("%s: opens", what)
			}
		}
	}
	// A chunk longer than any cookie is none of ours.
	long := seal(t, box, string(noise(6000, "long")))
	h := http.Header{"Cookie": {name + "=22" + long[:3000] + "; " + name + ".1=" + long[3000:]}}
	if len(long) < 3000+session.MaxCookieBytes {
		t.Fatal(len(long))
	}
	wantGet(t, j, h, "", session.Broken)
	// Bytes that only look like base64's by their lower bits.
	for _, c := range []string{"\xc1", "!", "\xb0", "%", "+", "/"} {
		wantGet(t, j, http.Header{"Cookie": {name + "=22" + text[:half] + "; " + name + ".1=" + text[half:len(text)-1] + c}}, "", session.Broken)
		wantGet(t, j, http.Header{"Cookie": {name + "=22" + text[:half-1] + c + "; " + name + ".1=" + text[half:]}}, "", session.Broken)
	}
	// Whole and in chunks, and the same many times over, is still one value.
	chunked := name + "=22" + text[:half] + "; " + name + ".1=" + text[half:]
	wantGet(t, j, http.Header{"Cookie": {name + "=" + text + "; " + chunked}}, text, session.One)
	wantGet(t, j, http.Header{"Cookie": slices.Repeat([]string{chunked}, 9)}, text, session.One)
	// Garbage that is no chunk doesn't count among the different ones.
	var garbage strings.Builder
	for _, c := range []string{"!", "%", "=", ",", "+", "/", ""} {
		garbage.WriteString("; " + name + ".1=" + c)
	}
	wantGet(t, j, http.Header{"Cookie": {chunked + garbage.String()}}, text, session.One)
}

// TestSec_C031_TooManyPartsHideNobody: where one value has more combinations
// than are looked at, no other value counts either.
func TestSec_C031_TooManyPartsHideNobody(t *testing.T) {
	t.Parallel()
	j, box := secureJar(), newBox(t, "a")
	const name = "__Host-vippsauth"
	one := set(t, j, nil, seal(t, box, string(noise(6000, "one"))))
	cookies := send(one...)["Cookie"][0] + "; " + name + "=" + seal(t, box, "somebody else")
	for _, c := range []string{"A", "B", "C", "D", "E"} {
		cookies += "; " + name + ".1=" + c
	}
	h := http.Header{"Cookie": {cookies}}
	wantGet(t, j, h, "", session.Broken)
	h = http.Header{"Cookie": {send(one...)["Cookie"][0] + "; " + name + "=" + seal(t, box, "somebody else") + "; " +
		name + ".1=A; " + name + ".1=B; " + name + ".2=A; " + name + ".2=B"}}
	wantGet(t, j, h, "", session.Broken)
}

// TestSec_B130_Limits: what is above a limit is refused although all else of it is right.
func TestSec_B130_Limits(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	text := forge(t, "a", hkdfLabel, testBinding(), time.Now(), noise(19_000, "much"))
	if len(text) <= session.MaxSealed {
		t.Fatal(len(text))
	}
	if _, err := box.Open(text); !errors.Is(err, session.ErrSealed) {
		t.Errorf("%d bytes open: %v", len(text), err)
	}
	var names []string
	for i := range 17 {
		names = append(names, "many "+string(rune('a'+i)))
	}
	if b, err := session.NewBox(append(testKeys(t, names[:16]...), testKeys(t, names[16])...), testBinding()); err == nil || b != nil {
		t.Error("a box of 17 good keys")
	}
	if _, err := session.NewBox(testKeys(t, names[:16]...), testBinding()); err != nil {
		t.Errorf("16: %v", err)
	}
}
