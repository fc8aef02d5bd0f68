package session_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

func testBinding() session.Binding {
	return session.Binding{
		Purpose: "session", Issuer: "https://issuer.example/access/",
		ClientID: "client-1", Site: "https://app.example",
	}
}

func newBox(t testing.TB, names ...string) *session.Box {
	t.Helper()
	box, err := session.NewBox(testKeys(t, names...), testBinding())
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func seal(t testing.TB, box *session.Box, payload string) string {
	t.Helper()
	text, err := box.Seal([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// noise is n bytes that look random and are the same at every run.
func noise(n int, seed string) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b)
	return b
}

func TestBox_RoundTrip(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	cookieSafe := regexp.MustCompile(`^1[A-Za-z0-9_-]+$`)
	for _, n := range []int{1, 2, 3, 15, 16, 17, 100, 1500, 2000, 18000} {
		payload := noise(n, "round trip")
		before := bytes.Clone(payload)
		text, err := box.Seal(payload)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(payload, before) {
			t.Fatalf("%d bytes: sealing changed the payload", n)
		}
		if !cookieSafe.MatchString(text) {
			t.Errorf("%d bytes: %q is not safe in cookies and URLs", n, text)
		}
		if limit := n*16/9 + 150; len(text) > limit {
			t.Errorf("%d bytes: the text has %d, above %d", n, len(text), limit)
		}
		back, err := box.Open(text)
		if err != nil || !bytes.Equal(back, before) {
			t.Errorf("%d bytes: opening: %v", n, err)
		}
	}
}

func TestBox_SealRefuses(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	var zero session.Box
	for _, tt := range []struct {
		box  *session.Box
		n    int
		want string
	}{
		{box, 0, "payload is empty"},
		{box, 19000, "above 32768"},
		{box, 40000, "40000 bytes, above 32768"},
		{&zero, 1, "no key"},
		{nil, 1, "no key"},
	} {
		if text, err := tt.box.Seal(noise(tt.n, "x")); err == nil || text != "" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bytes: got error %v, want one with %q", tt.n, err, tt.want)
		}
	}
	text := seal(t, box, "x")
	for _, b := range []*session.Box{&zero, nil} {
		if _, err := b.Open(text); !errors.Is(err, session.ErrSealed) {
			t.Errorf("a box without a key opens: %v", err)
		}
	}
}

func TestNewBox_Refuses(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	if _, err := session.NewBox(nil, testBinding()); err == nil {
		t.Error("a box without keys")
	}
	if _, err := session.NewBox(make(session.Keys, 17), testBinding()); err == nil {
		t.Error("a box with 17 keys")
	}
	_, err := session.NewBox(keys, session.Binding{})
	want := "session: sealing: the purpose is empty\nsession: sealing: the issuer is empty\n" +
		"session: sealing: the client id is empty\nsession: sealing: the site is empty"
	if err == nil || err.Error() != want {
		t.Errorf("a box without a binding: %v", err)
	}
}

// TestSec_D17_BoxOpensEarlierRelease holds texts that an earlier release sealed. They
// must open for ever: else an update ends all sessions.
func TestSec_D17_BoxOpensEarlierRelease(t *testing.T) {
	t.Parallel()
	box := newBox(t, "golden")
	for _, text := range []string{
		"1MTc5NTI5NjI2Nnxvb0FIX1Q2NDA0dmpUdVlkcGJvS0hpbHA5d3h4S1hPQlFqbGhVTU1iUVNwSV8ycGxKbU09fEG_2orLQZTtWUlkiHfccPbLqYOfwm-llyUcgqD-WxB8",
	} {
		payload, err := box.Open(text)
		if err != nil || string(payload) != "a payload of release 1" {
			t.Errorf("got %q, %v", payload, err)
		}
	}
}

func TestSec_D18_BoxRotation(t *testing.T) {
	t.Parallel()
	oldBox, both, newBox, swapped := newBox(t, "old"), newBox(t, "new", "old"), newBox(t, "new"), newBox(t, "old", "new")
	fromOld, fromBoth := seal(t, oldBox, "old"), seal(t, both, "both")
	for name, tt := range map[string]struct {
		box    *session.Box
		text   string
		opens  bool
		expect string
	}{
		"old key's text, both keys":  {both, fromOld, true, "old"},
		"old key's text, new key":    {newBox, fromOld, false, ""},
		"first key seals":            {newBox, fromBoth, true, "both"},
		"second key does not seal":   {oldBox, fromBoth, false, ""},
		"order does not matter here": {swapped, fromBoth, true, "both"},
	} {
		payload, err := tt.box.Open(tt.text)
		if (err == nil) != tt.opens || string(payload) != tt.expect {
			t.Errorf("%s: got %q, %v", name, payload, err)
		}
	}
}

// TestSec_B081_B082_BindingFieldsDoNotShift: Envoy (CVE-2023-35941) authenticated
// fields put end to end without a mark between them, so that moving characters
// from one to the next gave another meaning under the same seal.
func TestSec_B081_B082_BindingFieldsDoNotShift(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "a")
	bindings := []session.Binding{
		{Purpose: "ab", Issuer: "c", ClientID: "d", Site: "e"},
		{Purpose: "a", Issuer: "bc", ClientID: "d", Site: "e"},
		{Purpose: "a", Issuer: "b", ClientID: "cd", Site: "e"},
		{Purpose: "a", Issuer: "b", ClientID: "c", Site: "de"},
		{Purpose: "ab", Issuer: "c", ClientID: "d", Site: "E"},
		{Purpose: "login", Issuer: "c", ClientID: "d", Site: "e"},
		{Purpose: "ab", Issuer: "c\x00", ClientID: "d", Site: "e"},
		{Purpose: "ab", Issuer: "d", ClientID: "c", Site: "e"},
	}
	for i, from := range bindings {
		sealer, err := session.NewBox(keys, from)
		if err != nil {
			t.Fatal(err)
		}
		text := seal(t, sealer, "payload")
		for k, to := range bindings {
			opener, err := session.NewBox(keys, to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := opener.Open(text); (err == nil) != (i == k) {
				t.Errorf("sealed for %+v, opened for %+v: %v", from, to, err)
			}
		}
	}
}

// TestSec_C030_GarbageIsErrSealed: every change of a sealed text is the same
// refusal, and so is every text of another deployment.
func TestSec_C030_GarbageIsErrSealed(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a", "b")
	text := seal(t, box, "a payload of some length, so that there is something to change")
	refuse := func(what, changed string) {
		t.Helper()
		payload, err := box.Open(changed)
		if err != session.ErrSealed || payload != nil { //nolint:errorlint // the bare error: nothing may be wrapped into it
			t.Errorf("%s: got %q, %v", what, payload, err)
		}
	}
	for i := range len(text) {
		refuse("cut short", text[:i])
		for _, c := range []byte{'A', 'B', '_', '=', '%', '"', 0, 0xff, '\n', text[i] ^ 1, text[i] ^ 0x20} {
			if c != text[i] {
				refuse(fmt.Sprintf("byte %d is %q", i, c), text[:i]+string(rune(c))+text[i+1:])
			}
		}
	}
	for _, c := range []string{"=", "%3d", "A", "AAAA", "\n", "\r\n", " ", ";x", "|", text} {
		refuse("more behind", text+c)
		refuse("more in front", c+text)
	}
	refuse("quoted", `"`+text+`"`)
	refuse("chunk form", "22"+text)
	refuse("another format", "3"+text[1:])
	refuse("too long", "1"+strings.Repeat("A", session.MaxSealed))
	refuse("huge", "1"+strings.Repeat("A", 1<<20))
	refuse("another key", seal(t, newBox(t, "c"), "payload"))
}

// TestSec_B085_ForeignTexts: Envoy's unauthenticated decryption of a foreign
// cookie came out right once in 256, and its garbage went into headers.
func TestSec_B085_ForeignTexts(t *testing.T) {
	t.Parallel()
	box, foreign := newBox(t, "a"), newBox(t, "other")
	for i := range 10_000 {
		raw := noise(20+i%300, fmt.Sprint("foreign ", i))
		text := "1" + base64.RawURLEncoding.EncodeToString(raw)
		switch i % 3 {
		case 1:
			text = seal(t, foreign, string(raw))
		case 2: // well formed down to the MAC
			inner := "1700000000|" + base64.URLEncoding.EncodeToString(raw) + "|" + string(noise(32, "mac"))
			text = "1" + base64.RawURLEncoding.EncodeToString([]byte(inner))
		}
		if payload, err := box.Open(text); err != session.ErrSealed || payload != nil { //nolint:errorlint // the bare error
			t.Fatalf("text %d: %q, %v", i, payload, err)
		}
	}
}

// TestSec_B104_SealedTextsDifferEverywhere: mod_auth_openidc (CVE-2021-32791)
// used a fixed IV.
func TestSec_B104_SealedTextsDifferEverywhere(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	n := 20_000
	if testing.Short() {
		n = 1000
	}
	seen := make(map[string]bool, n)
	for range n {
		raw, err := base64.RawURLEncoding.DecodeString(seal(t, box, "the same payload every time")[1:])
		if err != nil {
			t.Fatal(err)
		}
		inner := bytes.SplitN(raw, []byte("|"), 3)[1]
		iv := string(inner[:20]) // 15 of its 16 bytes
		if seen[iv] {
			t.Fatal("an initialization vector was used twice")
		}
		seen[iv] = true
	}
}

// TestSec_B130_SealedTextIsEncrypted: without a block key, securecookie signs
// and does not encrypt, and says nothing.
func TestSec_B130_SealedTextIsEncrypted(t *testing.T) {
	t.Parallel()
	const canary = "CANARY-Kari-Nordmann-4799999999"
	text := seal(t, newBox(t, "a"), "name="+canary+strings.Repeat("\x00", 64))
	outer, err := base64.RawURLEncoding.DecodeString(text[1:])
	if err != nil {
		t.Fatal(err)
	}
	inner, err := base64.URLEncoding.DecodeString(string(bytes.SplitN(outer, []byte("|"), 3)[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []string{text, string(outer), string(inner)} {
		for i := range len(canary) - 5 {
			piece := canary[i : i+6]
			if strings.Contains(layer, piece) || strings.Contains(layer, base64.StdEncoding.EncodeToString([]byte(piece))) {
				t.Fatalf("%q is readable", piece)
			}
		}
	}
	if bytes.Contains(inner, make([]byte, 8)) {
		t.Error("a run of zero bytes shows")
	}
}

func TestBox_Concurrent(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a", "b")
	fromB := seal(t, newBox(t, "b"), "from b")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				want := fmt.Sprintf("payload %d of %d", i, g)
				text, err := box.Seal([]byte(want))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := box.Open(text)
				if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
					t.Error(err, diff)
				}
				if got, err := box.Open(fromB); err != nil || string(got) != "from b" {
					t.Error(err)
				}
				_, _ = box.Open("1garbage")
			}
		})
	}
	wg.Wait()
}

func TestSec_C034_BoxOpenAllocations(t *testing.T) {
	box := newBox(t, "a")
	text := seal(t, box, string(noise(1500, "allocations")))
	got := testing.AllocsPerRun(200, func() {
		if _, err := box.Open(text); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", got)
	if got > 20 {
		t.Errorf("opening takes %v allocations, more than 20", got)
	}
}
