package vipps_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// What Vipps' documents show: https://developer.vippsmobilepay.com/docs/APIs/webhooks-api/request-authentication/.
const (
	vectorSecret    = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="
	vectorURL       = "https://webhook.site/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"
	vectorDate      = "Thu, 30 Mar 2023 08:38:32 GMT"
	vectorBody      = `{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}`
	vectorHash      = "lNlsp1XA03N34HrQsVzPgJKtC+r7l/RBF4V3JQUWMj4="
	vectorSignature = "agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U="

	signedHeaders = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
)

func vectorTime() time.Time { return time.Date(2023, 3, 30, 8, 38, 32, 0, time.UTC) }

// A hook is a delivery that tests spoil.
type hook struct {
	method, target, host          string // of the request
	authorization, dates, content []string
	body                          []byte
}

func vector() hook {
	return hook{
		"POST", "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63", "webhook.site",
		[]string{signedHeaders + vectorSignature},
		[]string{vectorDate},
		[]string{vectorHash},
		[]byte(vectorBody),
	}
}

func (h hook) request() *http.Request {
	r := httptest.NewRequest(h.method, h.target, bytes.NewReader(h.body))
	r.Host = h.host
	r.Header["Authorization"], r.Header["X-Ms-Date"], r.Header["X-Ms-Content-Sha256"] = h.authorization, h.dates, h.content
	return r
}

func (h hook) verify(v *vipps.WebhookVerifier) (*vipps.WebhookDelivery, error) {
	return v.Verify(h.request(), h.body)
}

// sign makes what the documents say of a delivery to an address.
func sign(secret, address, date, body string) hook {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte(body))
	content := base64.StdEncoding.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("POST\n" + u.RequestURI() + "\n" + date + ";" + u.Host + ";" + content))
	return hook{
		"POST", u.RequestURI(), u.Host,
		[]string{signedHeaders + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		[]string{date},
		[]string{content},
		[]byte(body),
	}
}

func webhookVerifier(t testing.TB, address string, now time.Time, secrets ...vipps.Secret) *vipps.WebhookVerifier {
	t.Helper()
	v, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: address, Secrets: secrets, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The vector of the documents passes. Attack: whoever has seen a delivery changes one bit of it, anywhere.
func TestSec_A200_KnownVector(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	d, err := vector().verify(v)
	if err != nil || !d.Fresh || !d.Date.Equal(vectorTime()) || string(d.Body) != vectorBody {
		t.Fatalf("%v, %v", d, err)
	}
	flip := func(s string, i, bit int) string {
		b := []byte(s)
		b[i] ^= 1 << bit
		return string(b)
	}
	n := 0
	for name, part := range map[string]struct {
		text string
		put  func(h *hook, s string)
	}{
		"body":          {vectorBody, func(h *hook, s string) { h.body = []byte(s) }},
		"date":          {vectorDate, func(h *hook, s string) { h.dates = []string{s} }},
		"hash":          {vectorHash, func(h *hook, s string) { h.content = []string{s} }},
		"authorization": {signedHeaders + vectorSignature, func(h *hook, s string) { h.authorization = []string{s} }},
	} {
		for i := range part.text {
			for bit := range 8 {
				h := vector()
				part.put(&h, flip(part.text, i, bit))
				if _, err := h.verify(v); err == nil {
					t.Errorf("%s passes with bit %d of byte %d changed", name, bit, i)
				}
				n++
			}
		}
	}
	// Path, query and host of the registered address, which is what is signed.
	for i := len("https://"); i < len(vectorURL); i++ {
		for bit := range 8 {
			other, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: flip(vectorURL, i, bit), Secrets: []vipps.Secret{vectorSecret}, Now: vectorTime})
			if err != nil {
				continue // no address
			}
			if strings.EqualFold(flip(vectorURL, i, bit), vectorURL) && i < strings.LastIndex(vectorURL, "/") {
				continue // hosts have no case
			}
			if _, err := vector().verify(other); err == nil {
				t.Errorf("the address passes with bit %d of byte %d changed", bit, i)
			}
			n++
		}
	}
	for _, address := range []string{vectorURL + "?", vectorURL + "?a=b", vectorURL + "/", "https://webhook.site:8443/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63", "https://webhook.site./e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"} {
		if _, err := vector().verify(webhookVerifier(t, address, vectorTime(), vectorSecret)); err == nil {
			t.Errorf("passes as for %s", address)
		}
	}
	if n < 2000 {
		t.Errorf("only %d bits", n)
	}
}

// With a query and a port, which are signed too, and with a host in capitals and the usual port, which count for nothing.
func TestWebhookAddresses(t *testing.T) {
	t.Parallel()
	for registered, signed := range map[string]string{
		"https://App.Example:443/hooks/%7Ea?b=c&d": "https://app.example/hooks/%7Ea?b=c&d",
		"https://app.example:8443":                 "https://app.example:8443/",
		"https://app.example?x=1":                  "https://app.example/?x=1",
		"http://localhost:80/a":                    "http://localhost/a",
		"http://127.0.0.1:4190/a":                  "http://127.0.0.1:4190/a",
	} {
		if _, err := sign(vectorSecret, signed, vectorDate, "{}").verify(webhookVerifier(t, registered, vectorTime(), vectorSecret)); err != nil {
			t.Errorf("%s: %v", registered, err)
		}
	}
}

// Attack: the body is changed and its hash in the header with it, or only the hash is signed and believed.
func TestSec_A201_HashOfTheRawBody(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	empty := sha256.Sum256(nil)
	for name, change := range map[string]func(h *hook){
		"another body":        func(h *hook) { h.body = []byte(`{"auth_req_id":"x"}`) },
		"byte order mark":     func(h *hook) { h.body = []byte("\xef\xbb\xbf" + vectorBody) },
		"line end":            func(h *hook) { h.body = []byte(vectorBody + "\n") },
		"blanks":              func(h *hook) { h.body = []byte(strings.Replace(vectorBody, ":", ": ", 1)) },
		"nothing":             func(h *hook) { h.body = nil },
		"hash of nothing":     func(h *hook) { h.content = []string{base64.StdEncoding.EncodeToString(empty[:])} },
		"hash of another":     func(h *hook) { *h = rehashed(*h, `{"auth_req_id":"x"}`) },
		"hash in base64url":   func(h *hook) { h.content = []string{strings.NewReplacer("+", "-", "/", "_").Replace(vectorHash)} },
		"hash without end":    func(h *hook) { h.content = []string{strings.TrimSuffix(vectorHash, "=")} },
		"no hash":             func(h *hook) { h.content = nil },
		"empty hash":          func(h *hook) { h.content = []string{""} },
		"two hashes":          func(h *hook) { h.content = []string{vectorHash, vectorHash} },
		"two in one":          func(h *hook) { h.content = []string{vectorHash + ", " + vectorHash} },
		"signed without hash": func(h *hook) { *h = sign(vectorSecret, vectorURL, vectorDate, vectorBody); h.content = []string{"x"} },
		"and by nobody": func(h *hook) {
			*h = rehashed(sign("nobody's secret", vectorURL, vectorDate, vectorBody), "{}")
			h.content = []string{vectorHash}
		},
	} {
		h := vector()
		change(&h)
		_, err := h.verify(v)
		want := vipps.CodeWebhookContent
		switch name {
		case "no hash", "empty hash", "two hashes", "two in one":
			want = vipps.CodeWebhookHeader
		case "and by nobody", "hash of another":
			want = vipps.CodeSignature
		}
		if e, ok := errors.AsType[*vipps.Error](err); !ok || e.Code != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// rehashed changes the body, and the header with its hash to match.
func rehashed(h hook, body string) hook {
	sum := sha256.Sum256([]byte(body))
	h.body, h.content = []byte(body), []string{base64.StdEncoding.EncodeToString(sum[:])}
	return h
}

// Attack: fewer headers are signed, so that the rest can be changed; or the scheme is another, weaker one. Each has the signature
// that its own rule would want.
func TestSec_A202_A207_Authorization(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	mac := func(text string) string {
		m := hmac.New(sha256.New, []byte(vectorSecret))
		m.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(m.Sum(nil))
	}
	good := signedHeaders + vectorSignature
	path := "POST\n/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63\n"
	for name, values := range map[string][]string{
		"date only":              {"HMAC-SHA256 SignedHeaders=x-ms-date&Signature=" + mac(path+vectorDate)},
		"date and host":          {"HMAC-SHA256 SignedHeaders=x-ms-date;host&Signature=" + mac(path+vectorDate+";webhook.site")},
		"another order":          {"HMAC-SHA256 SignedHeaders=host;x-ms-date;x-ms-content-sha256&Signature=" + mac(path+"webhook.site;"+vectorDate+";"+vectorHash)},
		"more":                   {"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256;x-a&Signature=" + mac(path+vectorDate+";webhook.site;"+vectorHash+";")},
		"capitals":               {"HMAC-SHA256 SignedHeaders=X-Ms-Date;Host;X-Ms-Content-Sha256&Signature=" + vectorSignature},
		"no list":                {"HMAC-SHA256 Signature=" + vectorSignature},
		"none":                   nil,
		"only the signature":     {vectorSignature},
		"empty":                  {""},
		"no signature":           {signedHeaders},
		"signature twice":        {good + "&Signature=" + vectorSignature},
		"garbage behind":         {good + "&Signature=AAAA"},
		"garbage before":         {signedHeaders + "AAAA&Signature=" + vectorSignature},
		"another parameter":      {good + "&x=1"},
		"lower case":             {strings.Replace(good, "HMAC-SHA256", "hmac-sha256", 1)},
		"SHA1":                   {strings.Replace(good, "HMAC-SHA256", "HMAC-SHA1", 1)},
		"Bearer":                 {"Bearer " + vectorSignature},
		"two blanks":             {strings.Replace(good, " ", "  ", 1)},
		"a tab":                  {strings.Replace(good, " ", "\t", 1)},
		"blank behind":           {good + " "},
		"twice":                  {good, good},
		"good one first":         {good, "Bearer x"},
		"good one last":          {"Bearer x", good},
		"two in one":             {good + ", " + good},
		"base64url":              {signedHeaders + strings.NewReplacer("+", "-", "/", "_").Replace(vectorSignature)},
		"without padding":        {strings.TrimSuffix(good, "=")},
		"loose bits":             {strings.TrimSuffix(good, "U=") + "V="}, // decodes to the same, but for a strict reader
		"a line end in it":       {signedHeaders + vectorSignature[:20] + "\n" + vectorSignature[20:]},
		"hex":                    {signedHeaders + strings.Repeat("6a", 32)},
		"percent":                {strings.ReplaceAll(good, "+", "%2B")},
		"32 zero bytes":          {signedHeaders + strings.Repeat("A", 43) + "="},
		"the secret":             {signedHeaders + vectorSecret},
		"very long":              {signedHeaders + strings.Repeat("A", 1<<16)},
		"signed with nothing":    {signedHeaders + base64.StdEncoding.EncodeToString(hmac.New(sha256.New, nil).Sum(nil))},
		"comma between the two":  {strings.Replace(good, "&", ",", 1)},
		"a comment in the front": {"x, " + good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := vector()
			h.authorization = values
			_, err := h.verify(v)
			want := vipps.CodeWebhookHeader
			if name == "32 zero bytes" || name == "signed with nothing" { // of the form
				want = vipps.CodeSignature
			}
			e := refused(t, err, want)
			if len(e.Causes()) == 0 || strings.Contains(e.Error(), vectorSecret) {
				t.Errorf("%v, causes %q", e, e.Causes())
			}
		})
	}
	h := vector()
	h.method = "PUT"
	if _, err := h.verify(v); err == nil {
		t.Error("PUT passes")
	}
}

// Attack: the date is left out, doubled or longer than any date, and what is signed in its place is nothing.
func TestSec_A202_A204_DateIsSigned(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	for name, dates := range map[string][]string{"none": nil, "empty": {""}, "two": {vectorDate, vectorDate}, "a long one": {strings.Repeat("x", 65)}} {
		h := sign(vectorSecret, vectorURL, "", vectorBody)
		h.dates = dates
		_, err := h.verify(v)
		refused(t, err, vipps.CodeWebhookHeader)
		h = sign(vectorSecret, vectorURL, strings.Join(dates, ", "), vectorBody)
		h.dates = dates
		if _, err := h.verify(v); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Nothing compares a signature or a hash with ==, which ends at the first byte that differs, and so tells how far a guess was right. The
// time itself is within what scheduling makes of it, so it is the source that is looked at, and that a signature that is right but
// for its last byte is refused as one that is wrong from the first.
func TestSec_A203_ConstantTime(t *testing.T) {
	t.Parallel()
	source := readSource(t, "webhook.go")
	if n := strings.Count(source, "subtle.ConstantTimeCompare("); n != 2 {
		t.Errorf("%d comparisons in constant time, want those of signature and hash", n)
	}
	if m := regexp.MustCompile(`(?m)^.*(bytes\.Equal|signature ==|== signature|signature !=|stated ==|== stated|content ==|== content|stated !=|EqualFold).*$`).FindString(source); m != "" {
		t.Errorf("compares with %q", m)
	}
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	raw, _ := base64.StdEncoding.DecodeString(vectorSignature)
	for i := range raw {
		guess := bytes.Clone(raw)
		guess[i] ^= 0xff
		h := vector()
		h.authorization = []string{signedHeaders + base64.StdEncoding.EncodeToString(guess)}
		_, err := h.verify(v)
		refused(t, err, vipps.CodeSignature)
	}
}

// Attack: a delivery that was seen somewhere is sent again, much later, or was made for later. It passes, since Vipps would send it
// again for days, but says itself that it isn't fresh.
func TestSec_A204_Freshness(t *testing.T) {
	t.Parallel()
	for date, fresh := range map[string]bool{
		"Thu, 30 Mar 2023 08:38:32 GMT": true,
		"Thu, 30 Mar 2023 08:33:32 GMT": true,
		"Thu, 30 Mar 2023 08:43:32 GMT": true,
		"Thu, 30 Mar 2023 08:33:31 GMT": false,
		"Thu, 30 Mar 2023 08:43:33 GMT": false,
		"Wed, 29 Mar 2023 08:38:32 GMT": false,
		"Fri, 01 Jan 2100 00:00:00 GMT": false,
		"0":                             false,
		"2023-03-30T08:38:32Z":          false,
		"Thu, 30 Mar 2023 08:38:32 CET": false,
		"now":                           false,
	} {
		h := sign(vectorSecret, vectorURL, date, vectorBody)
		d, err := h.verify(webhookVerifier(t, vectorURL, vectorTime(), vectorSecret))
		if err != nil || d.Fresh != fresh {
			t.Errorf("%s: %v, %v, want fresh %v", date, d, err, fresh)
		}
		h.dates = append(h.dates, vectorDate)
		if _, err := h.verify(webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)); err == nil {
			t.Errorf("%s beside another date passes", date)
		}
	}
	// The same delivery has the same digest, and any other has another.
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret, "090a478d-37ff-4e77-970e-d457aeb26a3a")
	digests := map[[32]byte]string{}
	for name, h := range map[string]hook{
		"one": vector(), "another body": sign(vectorSecret, vectorURL, vectorDate, "{}"), "another second": sign(vectorSecret, vectorURL, "Thu, 30 Mar 2023 08:38:33 GMT", vectorBody),
	} {
		d, err := h.verify(v)
		if err != nil || digests[d.Digest] != "" {
			t.Fatalf("%s: %v, as %q", name, err, digests[d.Digest])
		}
		digests[d.Digest] = name
		if again, err := h.verify(v); err != nil || again.Digest != d.Digest {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// What is signed is the registered address. Attack: the request's own host, or one in X-Forwarded-Host, is believed, so that what was
// signed for one site passes at another.
func TestSec_A205_RegisteredAddress(t *testing.T) {
	t.Parallel()
	const registered = "https://app.example/hooks/vipps"
	v := webhookVerifier(t, registered, vectorTime(), vectorSecret)
	good := sign(vectorSecret, registered, vectorDate, vectorBody)
	good.host, good.target = "10.0.0.7:4190", "/_vipps/webhook" // as a proxy that rewrites passes it on
	if _, err := good.verify(v); err != nil {
		t.Errorf("behind a proxy that rewrites: %v", err)
	}
	for _, signed := range []string{
		"https://other.example/hooks/vipps", "https://app.example/hooks/vipps/", "https://app.example/hooks/vipps?x=1", "https://app.example//hooks/vipps",
		"https://app.example/_vipps/webhook", "https://app.example:8443/hooks/vipps", "http://10.0.0.7:4190/_vipps/webhook",
	} {
		h := sign(vectorSecret, signed, vectorDate, vectorBody)
		_, err := h.verify(v) // as it was signed: the operator has registered another address
		e := refused(t, err, vipps.CodeWebhookURL)
		if !strings.Contains(strings.Join(e.Causes(), " "), "webhook_url") {
			t.Errorf("%s: causes %q", signed, e.Causes())
		}
		r := h.request()
		r.Host = "app.example"
		r.RequestURI = "/hooks/vipps"
		for name, value := range map[string]string{
			"X-Forwarded-Host": h.host, "X-Original-Host": h.host, "Forwarded": "host=" + h.host, "X-Forwarded-Uri": h.target, "X-Original-Url": signed, "X-Forwarded-Prefix": h.target,
		} {
			r.Header.Set(name, value)
		}
		_, err = v.Verify(r, h.body)
		refused(t, err, vipps.CodeSignature) // what it was signed for is nowhere but in headers that anybody can set
	}
	// What is delivered with a query that wasn't registered isn't what was signed.
	h := sign(vectorSecret, registered, vectorDate, vectorBody)
	h.target = "/_vipps/webhook?x=1"
	_, err := h.verify(v)
	refused(t, err, vipps.CodeWebhookURL)
}

// Registrations are replaced one after the other, each with a secret of its own. Each works, and what isn't one of them doesn't: what the
// secret is base64 of, the client's own secret, nothing at all.
func TestSec_A206_SeveralSecrets(t *testing.T) {
	t.Parallel()
	secrets := []vipps.Secret{"090a478d-37ff-4e77-970e-d457aeb26a3a", vectorSecret, "c3Vic3RpdHV0ZSBmb3IgYSBzZWNyZXQ="}
	v := webhookVerifier(t, vectorURL, vectorTime(), secrets...)
	for _, s := range secrets {
		if _, err := sign(s.Reveal(), vectorURL, vectorDate, vectorBody).verify(v); err != nil {
			t.Errorf("%v", err)
		}
	}
	decoded, err := base64.StdEncoding.DecodeString(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"decoded": string(decoded), "the client's": clientSecret, "nothing": "", "all of them": secrets[0].Reveal() + "," + vectorSecret,
		"another registration's": "190a478d-37ff-4e77-970e-d457aeb26a3a", "with a line end": vectorSecret + "\n", "in capitals": strings.ToUpper(vectorSecret),
	} {
		_, err := sign(secret, vectorURL, vectorDate, vectorBody).verify(v)
		e := refused(t, err, vipps.CodeSignature)
		if len(e.Causes()) != 2 {
			t.Errorf("%s: causes %q", name, e.Causes())
		}
	}
}

func TestNewWebhookVerifier_Faults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg     vipps.WebhookConfig
		setting string
	}{
		"no URL":         {vipps.WebhookConfig{}, "webhook_url"},
		"http":           {vipps.WebhookConfig{URL: "http://app.example/x"}, "webhook_url"},
		"fragment":       {vipps.WebhookConfig{URL: "https://app.example/x#"}, "webhook_url"},
		"user":           {vipps.WebhookConfig{URL: "https://a:b@app.example/x"}, "webhook_url"},
		"relative":       {vipps.WebhookConfig{URL: "/_vipps/webhook"}, "webhook_url"},
		"not ASCII":      {vipps.WebhookConfig{URL: "https://bøk.example/x"}, "webhook_url"},
		"blank":          {vipps.WebhookConfig{URL: "https://app.example/a b"}, "webhook_url"},
		"no host":        {vipps.WebhookConfig{URL: "https://:443/a"}, "webhook_url"},
		"opaque":         {vipps.WebhookConfig{URL: "https:app.example/a"}, "webhook_url"},
		"too long":       {vipps.WebhookConfig{URL: "https://app.example/" + strings.Repeat("a", 2048)}, "webhook_url"},
		"FTP":            {vipps.WebhookConfig{URL: "ftp://localhost/a"}, "webhook_url"},
		"line end":       {vipps.WebhookConfig{URL: "https://app.example/x\nx"}, "webhook_url"},
		"no secret":      {vipps.WebhookConfig{URL: vectorURL}, "webhook_secrets"},
		"empty secret":   {vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{vectorSecret, ""}}, "webhook_secrets"},
		"short secret":   {vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{"short"}}, "webhook_secrets"},
		"blank secret":   {vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{"                    "}}, "webhook_secrets"},
		"too many":       {vipps.WebhookConfig{URL: vectorURL, Secrets: slices.Repeat([]vipps.Secret{vectorSecret}, 51)}, "webhook_secrets"},
		"tolerance":      {vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{vectorSecret}, Tolerance: -1}, "webhook_tolerance"},
		"long tolerance": {vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{vectorSecret}, Tolerance: 48 * time.Hour}, "webhook_tolerance"},
	} {
		_, err := vipps.NewWebhookVerifier(tt.cfg)
		var ce *vipps.ConfigError
		if !errors.As(err, &ce) || ce.Setting != tt.setting || (name == "no URL") != strings.Contains(ce.Reason, "is missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMerchantLoginPing(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"auth_req_id":"VYGaaAMRkI6SyAm_uIywhxsN2K0"}`:                  "VYGaaAMRkI6SyAm_uIywhxsN2K0",
		`{"auth_req_id":"a","more":[1]}`:                                 "a",
		`{"auth_req_id":"a","event":"login.merchant-initiated.ping.v1"}`: "a",
		`{"auth_req_id":"a","eventType":"user.checked-in.v1"}`:           "other",
		`{"name":"epayments.payment.captured.v1","reference":"x"}`:       "other",
		`{}`:                                    "other",
		`{"AUTH_REQ_ID":"a"}`:                   "other",
		`{"auth_req_id":null}`:                  "other",
		`{"auth_req_id":"../../x"}`:             "../../x",
		`{"auth_req_id":"a b"}`:                 "",
		`{"auth_req_id":"å"}`:                   "",
		`{"auth_req_id":"a\u0000"}`:             "",
		`{"auth_req_id":""}`:                    "",
		`{"auth_req_id":["a","b"]}`:             "",
		`{"auth_req_id":1}`:                     "",
		`{"auth_req_id":"a","auth_req_id":"b"}`: "",
		`[]`:                                    "",
		``:                                      "",
		`null`:                                  "",
		`{"auth_req_id":"` + strings.Repeat("a", 1025) + `"}`: "",
		`{"auth_req_id":"a"} {}`:                              "",
	} {
		d := vipps.WebhookDelivery{Body: []byte(body)}
		id, err := d.MerchantLoginPing()
		got := id
		if errors.Is(err, vipps.ErrOtherEvent) {
			got = "other"
		}
		if got != want || (err == nil) != (want != "" && want != "other") || id != "" && err != nil {
			t.Errorf("%s: %q, %v", body, id, err)
		}
		if err != nil && strings.Contains(err.Error(), "../") {
			t.Errorf("%v quotes the body", err)
		}
	}
}
