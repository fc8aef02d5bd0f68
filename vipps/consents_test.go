package vipps_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

// The answers of the fixed list, as Vipps documents them, and of a flow from the portal, as third parties do.
func TestConsents(t *testing.T) {
	t.Parallel()
	list := decodeUser(t, string(readTestdata(t, "userinfo-consents.json")))
	got, ok := list.Consents()
	want := vipps.Consents{
		Time: time.Date(2022, 11, 23, 11, 40, 13, 0, time.UTC), Language: "EN",
		Answers: []vipps.ConsentAnswer{
			{ID: "email", Accepted: true, Required: true, Text: "Receive offers via email"},
			{ID: "sms", Accepted: true, Text: "Receive offers via SMS"},
			{ID: "digital", Accepted: true, Text: "I would like to receive digital marketing"},
			{ID: "personal", Accepted: true, Text: "Get customized offers"},
		},
		Raw: got.Raw,
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("the list gives (-want +got):\n%s", diff)
	}
	if !json.Valid(got.Raw) || !strings.Contains(string(got.Raw), "termsLinkUrl") {
		t.Errorf("the original is %s", got.Raw)
	}
	const header = `{"time":"2022-11-23T11:40:13Z","answers":[{"id":"email","accepted":true,"required":true},` +
		`{"id":"sms","accepted":true,"required":false},{"id":"digital","accepted":true,"required":false},{"id":"personal","accepted":true,"required":false}]}`
	if got, _ := list.Claim("consents"); got != header {
		t.Errorf("the claim is %s", got)
	}

	flow := decodeUser(t, `{"sub":"s","flowResult":{"language":"nb","timeOfConsent":"2026-01-17T10:31:00+01:00","screens":[
		{"title":"Velkommen","elements":[{"type":"text","id":"hello","title":"Hei"},{"type":"checkbox","id":"newsletter","title":"Nyhetsbrev","checked":false,"required":false}]},
		{"elements":[{"type":"checkbox","id":"terms","title":"Vilkår","checked":true,"required":true}]}]}}`)
	got, ok = flow.Consents()
	want = vipps.Consents{
		Time: time.Date(2026, 1, 17, 9, 31, 0, 0, time.UTC), Language: "nb", Raw: got.Raw,
		Answers: []vipps.ConsentAnswer{{ID: "newsletter", Text: "Nyhetsbrev"}, {ID: "terms", Accepted: true, Required: true, Text: "Vilkår"}},
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("the flow gives (-want +got):\n%s", diff)
	}
	if s := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(s, "newsletter") {
		t.Errorf("printing shows %s", s)
	}
}

// A consent that nobody gave must not come of an answer that is not what it should be.
func TestConsentsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, accepted := range []string{`"true"`, `1`, `null`, `{}`, `[true]`, `"yes"`, `false`} {
		u := decodeUser(t, `{"sub":"s","delegatedConsents":{"timeOfConsent":"yesterday","consents":[{"id":"email","accepted":`+accepted+`}]}}`)
		got, ok := u.Consents()
		if !ok || len(got.Answers) != 1 || got.Answers[0].Accepted || !got.Time.IsZero() {
			t.Errorf("accepted %s gives %v, %+v", accepted, ok, got.Answers)
		}
	}
	for _, claims := range []string{`{"sub":"s"}`, `{"sub":"s","delegatedConsents":null}`, `{"sub":"s","delegatedConsents":"email"}`, `{"sub":"s","flowResult":[true]}`} {
		u := decodeUser(t, claims)
		if got, ok := u.Consents(); ok {
			t.Errorf("%s gives %+v", claims, got.Answers)
		}
	}
	many := strings.Repeat(`{"id":"x","accepted":true},`, 1000)
	u := decodeUser(t, `{"sub":"s","delegatedConsents":{"consents":[`+strings.TrimSuffix(many, ",")+`]}}`)
	if got, _ := u.Consents(); len(got.Answers) > 64 {
		t.Errorf("%d answers are kept", len(got.Answers))
	}
	var long strings.Builder
	for i := range 60 {
		fmt.Fprintf(&long, `{"id":"%s-%d","accepted":true},`, strings.Repeat("n", 100), i)
	}
	u = decodeUser(t, `{"sub":"s","delegatedConsents":{"consents":[`+strings.TrimSuffix(long.String(), ",")+`]}}`)
	header, _ := u.Claim("consents")
	if !json.Valid([]byte(header)) || len(header) > 4096 || !strings.HasSuffix(header, `"truncated":true}`) {
		t.Errorf("a long list gives %d bytes: %.80s…%s", len(header), header, header[max(0, len(header)-20):])
	}
}
