package webhook_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

// forgeries are the ways to send a webhook without being Vipps, or to send one of Vipps' own in another place.
func forgeries(l *lab) map[string]delivery {
	const scheme = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
	now := l.clock()
	body := `{"auth_req_id":"ours"}`
	good := l.good("ours")
	auth := good.header.Get("Authorization")
	edit := func(f func(d *delivery)) delivery {
		d := l.good("ours")
		f(&d)
		return d
	}
	authorization := func(values ...string) delivery {
		return edit(func(d *delivery) { d.header["Authorization"] = values })
	}
	changed := func(body string) delivery { return edit(func(d *delivery) { d.body = body }) }
	decoded, _ := base64.StdEncoding.DecodeString(secret)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(body))
	_ = z.Close()
	return map[string]delivery{
		"no Authorization":         authorization(),
		"no signature":             authorization(scheme),
		"only the date signed":     authorization(strings.Replace(auth, ";host;x-ms-content-sha256", "", 1)),
		"signature and garbage":    authorization(auth + "&Signature=AAAA"),
		"garbage and signature":    authorization(scheme + "AAAA&" + strings.TrimPrefix(auth, scheme[:len(scheme)-len("Signature=")])),
		"lower case":               authorization(strings.Replace(auth, "HMAC-SHA256", "hmac-sha256", 1)),
		"HMAC-SHA1":                authorization(strings.Replace(auth, "HMAC-SHA256", "HMAC-SHA1", 1)),
		"Bearer":                   authorization("Bearer " + strings.TrimPrefix(auth, scheme)),
		"two, the valid one first": authorization(auth, "Bearer x"),
		"two, the valid one last":  authorization("Bearer x", auth),
		"the valid one twice":      authorization(auth, auth),
		"hash of nothing":          edit(func(d *delivery) { d.header.Set("X-Ms-Content-Sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=") }),
		"no hash":                  edit(func(d *delivery) { d.header.Del("X-Ms-Content-Sha256") }),
		"two hashes":               edit(func(d *delivery) { d.header["X-Ms-Content-Sha256"] = slices.Repeat(d.header["X-Ms-Content-Sha256"], 2) }),
		"one byte changed":         changed(`{"auth_req_id":"0urs"}`),
		"byte order mark":          changed("\xef\xbb\xbf" + body),
		"line end":                 changed(body + "\r\n"),
		"order of members": edit(func(d *delivery) {
			*d = signed(secret, registered, now, `{"a":1,"auth_req_id":"ours"}`)
			d.body = `{"auth_req_id":"ours","a":1}`
		}),
		"gzip":         edit(func(d *delivery) { d.body = zipped.String(); d.header.Set("Content-Encoding", "gzip") }),
		"nothing":      changed(""),
		"no date":      edit(func(d *delivery) { d.header.Del("X-Ms-Date") }),
		"another date": edit(func(d *delivery) { d.header.Set("X-Ms-Date", now.Add(time.Second).UTC().Format(http.TimeFormat)) }),
		"two dates":    edit(func(d *delivery) { d.header["X-Ms-Date"] = slices.Repeat(d.header["X-Ms-Date"], 2) }),
		"signed for another host": edit(func(d *delivery) {
			*d = signed(secret, "https://other.example/_vipps/webhook", now, body)
			d.host = "app.example"
		}),
		"signed for another path": edit(func(d *delivery) {
			*d = signed(secret, "https://app.example/_vipps/webhook/", now, body)
			d.target = webhook.Path
		}),
		"signed for another port":       signed(secret, "https://app.example:8443/_vipps/webhook", now, body),
		"delivered with a query":        edit(func(d *delivery) { d.target += "?x=1" }),
		"signed and sent with a query":  signed(secret, registered+"?x=1", now, body),
		"base64-decoded secret":         signed(string(decoded), registered, now, body),
		"another registration's secret": signed("190a478d-37ff-4e77-970e-d457aeb26a3a", registered, now, body),
		"the client secret":             signed("testdzlJbUZaM1lqODlnUUtrUHI=", registered, now, body),
		"an empty secret":               signed("", registered, now, body),
		"the path secret":               signed(pathSecret, registered, now, body),
		"another site of ours": edit(func(d *delivery) {
			*d = signed(secret, "https://other.example/_vipps/webhook", now, body)
			d.header.Set("X-Forwarded-Host", "other.example")
		}),
		"a line in the date":            signedAs(secret, "https://other.example/_vipps/webhook", now.UTC().Format(http.TimeFormat)+";app.example", body),
		"consent: no secret":            revoked(webhook.ConsentRevokedPath, sub, now),
		"consent: another secret":       revoked(webhook.ConsentRevokedPath+"c2f5ff47436671b6e533d8dc3614845d", sub, now),
		"consent: more":                 revoked(revokedURL+"0", sub, now),
		"consent: less":                 revoked(revokedURL[:len(revokedURL)-1], sub, now),
		"consent: a slash":              revoked(revokedURL+"/", sub, now),
		"consent: capitals":             revoked(webhook.ConsentRevokedPath+strings.ToUpper(pathSecret), sub, now),
		"consent: escaped":              revoked(webhook.ConsentRevokedPath+"%62"+pathSecret[1:], sub, now),
		"consent: the secret elsewhere": edit(func(d *delivery) { *d = revoked(webhook.ConsentRevokedPath+"?"+pathSecret, sub, now) }),
		"consent: garbage":              {method: "POST", target: webhook.ConsentRevokedPath + "x", host: "app.example", body: "\x00\xff"},
		"consent: a signed ping":        edit(func(d *delivery) { d.target = webhook.ConsentRevokedPath + "x" }),
	}
}

// Attack: security.md's list, C.9. Every forgery gets the same answer to the byte, and nothing comes of it: nobody is told of a ping, no
// session ends. (What is called has no client of the provider to call.)
func TestSec_C080_A148_A201_A202_A205_A206_A207_Forgeries(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.want("a good one", l.good("ours"), http.StatusOK)
	var same string
	all := forgeries(l)
	for name, d := range all {
		got := whole(l.send(d))
		if same == "" {
			same = got
		}
		if got != same || !strings.HasPrefix(got, "401\n") {
			t.Errorf("%s: %q, want %q", name, got, same)
		}
	}
	for _, line := range []string{"Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Www-Authenticate: HMAC-SHA256"} {
		if !strings.Contains(same, line) {
			t.Errorf("the answer has no %s: %q", line, same)
		}
	}
	if strings.Contains(same, "secret") || strings.Contains(same, "signature") {
		t.Errorf("the answer says what is wrong: %q", same)
	}
	if n := l.counted("webhook", "forged") + l.counted("consent_revoked", "forged"); int(n) != len(all) {
		t.Errorf("%v of %d are counted", n, len(all))
	}
	if pinged, ended := l.effects(); len(pinged) != 1 || len(ended) != 0 {
		t.Errorf("%d pings, %d people", len(pinged), len(ended))
	}
}

// The same forgeries, by time: none comes back sooner than another. What is compared is the least time of many, which is the work that
// has to be done; scheduling only adds to it. There are fifty secrets, so that a check that ended at the first thing wrong would be ten times as fast.
func TestSec_A203_C080_ForgeriesTakeTheSameTime(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it measures time")
	}
	l := newLab(t, func(l *lab, cfg *webhook.Config) {
		verifier, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: registered, Secrets: append(slices.Repeat([]vipps.Secret{other}, 49), secret), Now: l.clock})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Verifier = verifier
	})
	all := forgeries(l)
	long := map[string]delivery{} // their bodies are alike, so that hashing takes as long
	for _, name := range []string{"no Authorization", "no signature", "lower case", "two, the valid one first", "no date", "signed for another host", "an empty secret", "delivered with a query", "no hash"} {
		long[name] = all[name]
	}
	least := map[string]time.Duration{}
	for range 400 {
		for name, d := range long {
			began := time.Now()
			l.send(d)
			if took := time.Since(began); least[name] == 0 || took < least[name] {
				least[name] = took
			}
		}
	}
	fast, slow := time.Duration(math.MaxInt64), time.Duration(0)
	for _, d := range least {
		fast, slow = min(fast, d), max(slow, d)
	}
	if slow > 2*fast {
		t.Errorf("from %s to %s: %v", fast, slow, least)
	}
}

// Attack: a delivery that was seen somewhere is sent again: at once, a thousand times at once, after its time. It has its effect once.
// The answer is that of the first, since a provider that doesn't hear of success sends for days.
func TestSec_A204_C080_Replays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := l.good("ours")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 50 {
				l.want("at once", d, http.StatusOK)
			}
		})
	}
	all.Wait()
	l.pass(time.Second)
	l.want("after a second", d, http.StatusOK)
	l.pass(5*time.Minute - 2*time.Second)
	l.want("at the end of its time", d, http.StatusOK)
	l.pass(time.Minute)
	l.want("after six minutes", d, http.StatusOK)
	if n := l.counted("webhook", "stale"); n != 1 {
		t.Errorf("%v are stale", n)
	}
	if n := l.counted("webhook", "replayed"); n != 1001 {
		t.Errorf("%v are replays", n)
	}
	// One that was made for later is remembered for as long as it is fresh.
	early := signed(secret, registered, l.clock().Add(5*time.Minute), `{"auth_req_id":"ours"}`)
	l.want("from the future", early, http.StatusOK)
	l.pass(10 * time.Minute)
	l.want("from the future again", early, http.StatusOK)
	l.pass(time.Minute)
	l.want("fresh", l.good("ours"), http.StatusOK)
	if pinged, _ := l.effects(); len(pinged) != 3 {
		t.Errorf("%d pings, want those of three deliveries", len(pinged))
	}
}

// Dates that are not now: rightly signed, so 200, and without effect.
func TestSec_A204_C080_DatesThatAreNotNow(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	now := l.clock()
	for name, date := range map[string]string{
		"six minutes old": now.Add(-6 * time.Minute).UTC().Format(http.TimeFormat), "six minutes ahead": now.Add(6 * time.Minute).UTC().Format(http.TimeFormat),
		"zero": "0", "ISO": "2026-03-01T12:00:00Z", "years ago": "Thu, 30 Mar 2023 08:38:32 GMT", "words": "now",
	} {
		l.want(name, signedAs(secret, registered, date, `{"auth_req_id":"ours"}`), http.StatusOK)
	}
	if n := l.counted("webhook", "stale"); n != 6 {
		t.Errorf("%v are stale", n)
	}
	if pinged, _ := l.effects(); len(pinged) != 0 {
		t.Errorf("%v", pinged)
	}
}

// Attack: whoever has a secret, or Vipps itself after a change, sends what isn't of the form. None of it is an error that would be
// sent again for days, and none reaches anybody.
func TestSec_C082_A206_SignedAndUnreadable(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	now := l.clock()
	for name, body := range map[string]string{
		"nothing": "", "not JSON": "{", "a list": "[]", "null": "null", "a number": `{"auth_req_id":1}`, "no id": "{}", "id null": `{"auth_req_id":null}`,
		"two ids": `{"auth_req_id":"ours","auth_req_id":"ours"}`, "a list of ids": `{"auth_req_id":["ours","b"]}`, "another case": `{"Auth_Req_Id":"ours"}`,
		"another event": `{"name":"epayments.payment.captured.v1"}`, "another event with an id": `{"event":"user.checked-in.v1","auth_req_id":"ours"}`,
		"deep": strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "control characters": "{\"auth_req_id\":\"ours\\u0000\"}", "gzip": "\x1f\x8b\x08\x00",
		"form": "auth_req_id=ours", "XML": "<auth_req_id>ours</auth_req_id>", "full": `{"x":"` + strings.Repeat("a", 65000) + `"}`,
	} {
		d := signed(secret, registered, now, body)
		d.header.Set("Content-Type", "text/html")
		w := l.send(d)
		if w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
	for name, body := range map[string]string{
		"nothing": "", "garbage": "x", "a signed token": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "another event": "eyJhbGciOiJub25lIn0.eyJldmVudCI6IlgifQ", "JSON": `{"sub":"` + sub + `"}`,
	} {
		d := revoked(revokedURL, sub, now)
		d.body = body
		l.want("consent: "+name, d, http.StatusOK)
	}
	for outcome, n := range map[string]float64{"other_event": 6, "unreadable": 12} {
		if got := l.counted("webhook", outcome); got != n {
			t.Errorf("%v are %s, want %v", got, outcome, n)
		}
	}
	if got := l.counted("consent_revoked", "other_event"); got != 1 {
		t.Errorf("%v consents are of another event", got)
	}
	if pinged, ended := l.effects(); len(pinged) != 0 || len(ended) != 0 {
		t.Errorf("%v, %v", pinged, ended)
	}
}

// A ping is passed on with its id alone, whoever's that is: of a login of ours that waits, of one that is over, of none. What the id looks like
// makes no difference to the answer.
func TestSec_A148_C080_Pings(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := l.send(l.good("ours"))
	ids := []string{"theirs", "../../x", "a'--", "%0d%0a", strings.Repeat("a", 1000)}
	for _, id := range ids {
		if got := l.send(l.good(id)); whole(got) != whole(first) {
			t.Errorf("%q is answered %q, one of ours %q", id, whole(got), whole(first))
		}
	}
	pinged, _ := l.effects()
	slices.Sort(pinged)
	want := append([]string{"ours"}, ids...)
	slices.Sort(want)
	if !slices.Equal(pinged, want) {
		t.Errorf("%q", pinged)
	}
}
