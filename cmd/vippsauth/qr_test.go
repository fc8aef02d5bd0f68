package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const qrTop = "environment: test\nclient_id: a\nclient_secret: s\ntrusted_proxies: loopback\npublic_url: https://a.example\n"

func TestQRSettings(t *testing.T) {
	t.Parallel()
	const callers = "merchant_callers: ['till-1=sha256:0000000000000000000000000000000000000000000000000000000000000001']\n"
	c, problems := checked(t, qrTop+callers+"qr: on\nqr_callers: [oKAz7q1O=till-1, second=till-1]\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := strings.Join(c.qrAddresses(), "\n") + "\n"; !strings.Contains(got, "https://a.example/_vipps/callback/qr\n") || !strings.Contains(got, "https://a.example/_vipps/qr\n") {
		t.Errorf("printed: %s", got)
	}
	for yaml, want := range map[string]string{
		callers + "qr_callers: [oKAz7q1O=till-1]\n":                          "qr_callers: is set, but QR logins are off; set qr to on, or take it out",
		callers + "qr: on\nqr_callers: [oKAz7q1O=till-2]\n":                  "qr_callers: names a caller that merchant_callers doesn't have; add it there, with its token",
		callers + "qr: on\nqr_callers: [oKAz7q1O]\n":                         "qr_callers: entry 1 is not one: write the code's qr_id and the caller that gets its logins, as oKAz7q1O=till-1",
		callers + "qr: on\nqr_callers: [oKAz7q1O=till-1, oKAz7q1O=till-1]\n": "qr_callers: entry 2 is for the same code as another one: a login is one caller's",
		"qr: maybe\n": "qr: must be off or on",
	} {
		_, problems := checked(t, qrTop+yaml)
		if len(problems) != 1 || !strings.HasSuffix(problems[0], want) {
			t.Errorf("%s: %q", yaml, problems)
		}
	}
	if c, problems := checked(t, qrTop+"qr: on\n"); len(problems) > 0 || c.qr.callers != nil {
		t.Errorf("QR logins in browsers only: %v", problems)
	}
	c, _ = checked(t, qrTop)
	if lines := c.qrAddresses(); len(lines) > 0 || c.qr.mode != "off" {
		t.Errorf("QR logins are %s as they come: %s", c.qr.mode, lines)
	}
}

// Partner keys need two settings more, and each site may be of another merchant, whom the emulator knows beside the partner.
func TestPartnerSettings(t *testing.T) {
	t.Parallel()
	_, problems := checked(t, qrTop+"client_auth: partner\n")
	if len(problems) != 2 || !strings.Contains(strings.Join(problems, "\n"), "msn: is missing") || !strings.Contains(strings.Join(problems, "\n"), "subscription_key: is missing") {
		t.Errorf("%q", problems)
	}
	c, problems := checked(t, `environment: emulator
client_id: partner
client_secret: s
client_auth: partner
subscription_key: k
trusted_proxies: loopback
allow: anyone
sites:
  http://localhost:4190: {msn: '100001'}
  http://other.localhost:4190: {msn: '100002'}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	clients, err := c.clients(c.expectedIssuer())
	if err != nil {
		t.Fatal(err)
	}
	if len(clients) != 2 || clients[0].Party() == clients[1].Party() {
		t.Fatalf("%v", clients)
	}
	known := c.emulatedClients([]forwardauth.Registration{
		{Client: clients[0], RedirectURIs: []string{"http://localhost:4190/_vipps/callback"}}, {Client: clients[1], RedirectURIs: []string{"http://other.localhost:4190/_vipps/callback"}},
	})
	var got []emulator.Client
	for _, k := range known {
		got = append(got, emulator.Client{ID: k.ID, MSN: k.MSN, Partner: k.Partner, RedirectURIs: k.RedirectURIs})
	}
	want := []emulator.Client{
		{ID: "merchant-100001", MSN: "100001", RedirectURIs: []string{"http://localhost:4190/_vipps/callback"}},
		{ID: "partner", Partner: true},
		{ID: "merchant-100002", MSN: "100002", RedirectURIs: []string{"http://other.localhost:4190/_vipps/callback"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c.all()[0].clientAuth != vipps.ClientAuthPartner {
		t.Error("the sites have other keys")
	}
}
