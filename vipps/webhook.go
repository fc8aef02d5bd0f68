package vipps

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Codes of a delivery that is refused, beside [CodeSignature]: no secret fits.
const (
	CodeWebhookHeader  = "invalid_authorization" // a header of the signature is missing, doubled or not of its form
	CodeWebhookContent = "content_mismatch"      // another body was signed
	CodeWebhookURL     = "url_mismatch"          // signed for another address than WebhookConfig.URL
)

const (
	// EventMerchantLoginPing says that a merchant-initiated login that ends in the app can be asked for. It is the one event of Login. One that
	// ends in a browser may be told of too: nothing is to be done then, since its code comes with the browser.
	EventMerchantLoginPing = "login.merchant-initiated.ping.v1"

	defaultTolerance   = 5 * time.Minute
	maxTolerance       = 24 * time.Hour
	minWebhookSecret   = 16
	maxWebhookSecrets  = 50 // 25 registrations an event, and their successors
	maxWebhookURL      = 2048
	webhookScheme      = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
	maxSignedDate      = 64
	signatureCharacter = 44 // of 32 bytes in base64
)

// ErrOtherEvent matches, with errors.Is, a delivery that is about something else: than a merchant-initiated login, for
// [WebhookDelivery.MerchantLoginPing], and than withdrawn consent, for [ParseConsentRevoked].
var ErrOtherEvent = errors.New("vipps: the webhook is about another event")

// WebhookConfig says which deliveries are Vipps MobilePay's. URL and Secrets are required.
type WebhookConfig struct {
	// URL is the address as it is registered. Its host, path and query are what is signed, whatever a proxy in front makes of
	// them. It must be https, or http on loopback.
	URL string

	// Secrets are those that the registrations gave, each as it was given: what looks like base64 is not decoded. Any of them
	// will do, so that a registration can be replaced without a gap.
	Secrets []Secret

	// Tolerance is how far the date of a delivery may be from ours for it to be fresh. Default: 5 minutes.
	Tolerance time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// WebhookVerifier verifies deliveries of the Webhooks API. It keeps nothing, so the same delivery passes twice: see
// [WebhookDelivery.Digest].
type WebhookVerifier struct {
	host, pathAndQuery, query string
	secrets                   []Secret
	tolerance                 time.Duration
	now                       func() time.Time
}

// WebhookDelivery is a delivery that holds one of the secrets' signature.
type WebhookDelivery struct {
	// Digest is the same for the same delivery, however often it comes, and different for any other. Whoever acts on
	// deliveries has to remember those of as long as Fresh lasts, or an old one could be sent again.
	Digest [32]byte
	// Date is when it was signed; zero when that isn't readable.
	Date time.Time
	// Fresh says that Date is within the tolerance. One that isn't should be answered as if it were, since it would come
	// again for days, and have no effect.
	Fresh bool
	// Body is what was signed. What [WebhookVerifier.Receive] returns has none if it isn't Fresh.
	Body []byte
}

// NewWebhookVerifier returns a verifier, or an error that joins a *ConfigError for each faulty setting.
func NewWebhookVerifier(cfg WebhookConfig) (*WebhookVerifier, error) {
	v := &WebhookVerifier{secrets: append([]Secret(nil), cfg.Secrets...), tolerance: cfg.Tolerance, now: cfg.Now}
	if v.tolerance == 0 {
		v.tolerance = defaultTolerance
	}
	if v.now == nil {
		v.now = time.Now
	}
	var errs []error
	bad := func(setting, reason string) { errs = append(errs, &ConfigError{Setting: setting, Reason: reason}) }
	var err error
	if v.host, v.pathAndQuery, err = splitWebhookURL(cfg.URL); err != nil {
		bad("webhook_url", err.Error())
	}
	_, v.query, _ = strings.Cut(v.pathAndQuery, "?")
	if len(v.secrets) == 0 || len(v.secrets) > maxWebhookSecrets {
		bad("webhook_secrets", "must hold one to 50 secrets: each registration of a webhook gives one")
	}
	for _, s := range v.secrets {
		if text := s.Reveal(); len(text) < minWebhookSecret || credentialFault(text) != "" {
			bad("webhook_secrets", "holds an entry that is no secret of a webhook: give each as its registration gave it, at least 16 characters, without white space around it")
			break
		}
	}
	if v.tolerance < 0 || v.tolerance > maxTolerance {
		bad("webhook_tolerance", "must be between 0 and 24 hours")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return v, nil
}

// splitWebhookURL returns what is signed of an address: its host, with a port that isn't the usual one, and its path and query.
func splitWebhookURL(raw string) (host, pathAndQuery string, err error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", "", errors.New("is missing: give the URL that is registered")
	case err != nil || u.Hostname() == "" || !isPrintable(raw) || strings.ContainsAny(raw, ` "\<>`) || len(raw) > maxWebhookURL:
		return "", "", errors.New("must be an absolute https URL in ASCII")
	case u.User != nil || strings.Contains(raw, "#"):
		return "", "", errors.New("must hold neither a user name nor a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", "", errors.New("must be https; http is for loopback only")
	}
	host = strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	_, rest, _ := strings.Cut(raw, "://")
	pathAndQuery = rest[len(u.Host):]
	if !strings.HasPrefix(pathAndQuery, "/") {
		pathAndQuery = "/" + pathAndQuery
	}
	return host, pathAndQuery, nil
}

// Verify returns a delivery whose signature is right, or an *Error that says why it is taken for a forgery, with what to look
// at in its Causes. It takes as long for one forgery as for another. Of the request it reads the method, the query, and three
// headers; body is its whole body as it came, not inflated.
//
// See https://developer.vippsmobilepay.com/docs/APIs/webhooks-api/request-authentication/.
func (v *WebhookVerifier) Verify(r *http.Request, body []byte) (*WebhookDelivery, error) {
	d, err := v.verify(r, sha256.Sum256(body))
	if err != nil {
		return nil, err
	}
	d.Body = body
	return d, nil
}

// Receive is Verify for a body that is yet to be read, which must have an end, such as [http.MaxBytesReader] gives it. While it comes it is
// kept only if the headers are those of a delivery that is fresh; of any other no more than its hash. So whoever sends long bodies
// slowly, on many connections, takes up next to nothing. A delivery that isn't fresh has no Body then. An error of body is returned as it is.
func (v *WebhookVerifier) Receive(r *http.Request, body io.Reader) (*WebhookDelivery, error) {
	if v.promises(r) {
		all, err := io.ReadAll(body) //nolint:forbidigo // the caller limits it
		if err != nil {
			return nil, err
		}
		return v.Verify(r, all)
	}
	hash := sha256.New()
	if _, err := io.CopyBuffer(hash, body, make([]byte, 1<<10)); err != nil {
		return nil, err
	}
	d, err := v.verify(r, [sha256.Size]byte(hash.Sum(nil)))
	if err != nil {
		return nil, err
	}
	d.Fresh = false // nor was it when its headers came
	return d, nil
}

// promises says whether the headers are those of a delivery that is fresh, if the body has the hash that they state.
func (v *WebhookVerifier) promises(r *http.Request) bool {
	h := readSignatureHeaders(r.Header)
	signed := v.signed(signedText(v.pathAndQuery, h.date, v.host, h.content), h.signature)
	at, _ := http.ParseTime(h.date)
	return signed && v.isFresh(at) // what isn't well-formed isn't signed
}

// verify is Verify for the hash of a body.
func (v *WebhookVerifier) verify(r *http.Request, sum [sha256.Size]byte) (*WebhookDelivery, error) {
	h := readSignatureHeaders(r.Header)
	content := base64.StdEncoding.EncodeToString(sum[:])

	text := signedText(v.pathAndQuery, h.date, v.host, content)
	signed := v.signed(text, h.signature)
	sameContent := subtle.ConstantTimeCompare([]byte(h.content), []byte(content)) == 1
	here := r.Method == http.MethodPost && r.URL.RawQuery == v.query
	if h.wellFormed && signed && sameContent && here {
		at, _ := http.ParseTime(h.date) // the zero time, which is never fresh, where it is none
		return &WebhookDelivery{Digest: sha256.Sum256([]byte(text)), Date: at, Fresh: v.isFresh(at)}, nil
	}
	// For the operator, and for every forgery alike.
	path, _ := single([]string{r.RequestURI}, maxWebhookURL)
	host, _ := single([]string{r.Host}, maxWebhookURL)
	sentHere := v.signed(signedText(path, h.date, strings.ToLower(host), content), h.signature)
	changed := v.signed(signedText(v.pathAndQuery, h.date, v.host, h.content), h.signature)
	code := CodeSignature
	switch {
	case !h.wellFormed:
		code = CodeWebhookHeader
	case !sameContent && changed, signed && !sameContent:
		code = CodeWebhookContent
	case sentHere || signed: // for another host or path, or with another query
		code = CodeWebhookURL
	}
	return nil, &Error{Stage: StageWebhooks, Code: code}
}

func (v *WebhookVerifier) isFresh(at time.Time) bool { return v.now().Sub(at).Abs() <= v.tolerance }

// signedText is what Vipps signs. It has no line end at its end.
func signedText(pathAndQuery, date, host, content string) string {
	return "POST\n" + pathAndQuery + "\n" + date + ";" + host + ";" + content
}

// signed says whether a signature of the text was made with one of the secrets. All are tried, whichever fits.
func (v *WebhookVerifier) signed(text string, signature [sha256.Size]byte) bool {
	fits := 0
	var sum [sha256.Size]byte
	for _, secret := range v.secrets {
		mac := hmac.New(sha256.New, []byte(secret.Reveal())) // the text of the secret, not what it may be base64 of
		mac.Write([]byte(text))
		fits |= subtle.ConstantTimeCompare(mac.Sum(sum[:0]), signature[:])
	}
	return fits == 1
}

// signatureHeaders are the headers of a signature.
type signatureHeaders struct {
	signature     [sha256.Size]byte
	date, content string // and the hash that the body is said to have
	wellFormed    bool   // each of the three
}

func readSignatureHeaders(header http.Header) signatureHeaders {
	signature, signed := readSignature(header["Authorization"])
	date, dated := single(header["X-Ms-Date"], maxSignedDate)
	content, hashed := single(header["X-Ms-Content-Sha256"], signatureCharacter)
	return signatureHeaders{signature, date, content, signed && dated && hashed}
}

// readSignature reads the one Authorization header, which has one spelling.
func readSignature(values []string) (signature [sha256.Size]byte, ok bool) {
	if len(values) != 1 {
		return signature, false
	}
	text, ok := strings.CutPrefix(values[0], webhookScheme)
	if !ok || len(text) != signatureCharacter {
		return signature, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(signature) {
		return signature, false
	}
	return [sha256.Size]byte(b), true
}

// single returns the value of a header that stands once and isn't too long.
func single(values []string, most int) (string, bool) {
	if len(values) != 1 || values[0] == "" || len(values[0]) > most {
		return "", false
	}
	return values[0], true
}

// MerchantLoginPing returns the auth_req_id of an [EventMerchantLoginPing]. Its error matches [ErrOtherEvent] for another
// event. Whoever gets the id has to know it: a signed delivery may be about somebody else's login.
func (d *WebhookDelivery) MerchantLoginPing() (authReqID string, err error) {
	o, err := decodeObject(d.Body)
	if err != nil {
		return "", &Error{Stage: StageWebhooks, Code: CodeInvalidResponse, Err: err}
	}
	for _, name := range []string{"event", "eventType", "name"} { // other products' events say which they are; this one doesn't
		if o.has(name) && o.string(name) != EventMerchantLoginPing {
			return "", ErrOtherEvent
		}
	}
	if !o.has("auth_req_id") {
		return "", ErrOtherEvent
	}
	id, _ := o.text("auth_req_id")
	if !usableAuthReqID(id) {
		return "", &Error{Stage: StageWebhooks, Code: CodeInvalidResponse, Err: errors.New("auth_req_id is not of its form")}
	}
	return id, nil
}

// Tolerance returns how far the date of a delivery may be from ours for it to be fresh.
func (v *WebhookVerifier) Tolerance() time.Duration { return v.tolerance }
