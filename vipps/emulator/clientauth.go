package emulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Values of Client.AuthMethod.
const (
	AuthBasic = "client_secret_basic" // the default
	AuthPost  = "client_secret_post"
)

// Values of Call.ClientAuth. A secret that looks the same raw and form-encoded counts as raw.
const (
	SeenBasicRaw     = "basic-raw"     // base64(id:secret), as Vipps documents it
	SeenBasicEncoded = "basic-encoded" // both halves form-encoded first, RFC 6749 §2.3.1
	SeenPost         = "post"
	SeenPartner      = "partner" // a token of the Access Token API, and the merchant serial number of another's sales unit
	SeenNone         = "none"
)

// Client is a sales unit with Login.
type Client struct {
	// ID is the client id; Secret its secret. Both are required.
	ID, Secret string
	// Name is what the pages show. Empty: the ID.
	Name string
	// RedirectURIs are the registered ones, compared byte for byte: http or https, on loopback, without a fragment.
	RedirectURIs []string
	// AppURIs are those registered that lead to an app on the phone, as myapp://callback. App flows may use them beside RedirectURIs.
	AppURIs []string
	// Scopes are those that the client may ask for beside openid. Nil: all that the emulator knows.
	Scopes []string
	// AuthMethod is AuthBasic or AuthPost; the other one is refused, as at Vipps. Empty: AuthBasic.
	AuthMethod string
	// Advanced is the pricing tier where acr_values counts; elsewhere it is ignored.
	Advanced bool
	// MSN is the merchant serial number, 4 to 7 digits. Empty: Config.MSN.
	MSN string
	// SubscriptionKey is what the Access Token and Webhooks APIs want as Ocp-Apim-Subscription-Key. Empty: any, but not none.
	SubscriptionKey string
	// ConsentRevokedURI is told, with an unsigned JWT, when a person takes consent back: http or https, on loopback. Empty: nobody is.
	ConsentRevokedURI string
	// Partner makes the keys partner keys: with a token of the Access Token API they act for the client that
	// Merchant-Serial-Number names. They are good for nothing else, and nobody logs in with their ID.
	Partner bool
}

// normalize checks c and fills its zero values.
func (c *Client) normalize() error {
	if c.ID == "" || c.Secret == "" {
		return errors.New("client: ID and Secret are required")
	}
	if c.AuthMethod == "" {
		c.AuthMethod = AuthBasic
	}
	if c.AuthMethod != AuthBasic && c.AuthMethod != AuthPost {
		return fmt.Errorf("client %s: AuthMethod: must be %s or %s", c.ID, AuthBasic, AuthPost)
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	if !msnFormat.MatchString(c.MSN) {
		return fmt.Errorf("client %s: MSN: must be 4 to 7 digits", c.ID)
	}
	if c.ConsentRevokedURI != "" {
		if err := checkDeliveryURL(c.ConsentRevokedURI); err != nil {
			return fmt.Errorf("client %s: ConsentRevokedURI: %w", c.ID, err)
		}
	}
	c.RedirectURIs, c.AppURIs, c.Scopes = slices.Clone(c.RedirectURIs), slices.Clone(c.AppURIs), slices.Clone(c.Scopes)
	for _, u := range c.AppURIs {
		if err := checkAppURI(u); err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
	}
	for _, u := range c.RedirectURIs {
		if err := checkRedirectURI(u); err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
	}
	for _, s := range c.Scopes {
		if !slices.Contains(knownScopes[:], s) {
			return fmt.Errorf("client %s: Scopes: the emulator doesn't know the scope %q", c.ID, s)
		}
	}
	return nil
}

const (
	descInvalidClient = "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."
	descMethodHint    = " The OAuth 2.0 Client supports client authentication method '%s', but method '%s' was requested. " +
		"You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value to accept '%s'."
)

// credentials are what a token request carries.
type credentials struct {
	method, id, secret string // method "" when there are none
	encodedID, encoded string // the same, form-decoded; only from Basic
}

// parseCredentials reads them without judging. Two methods at once are an error (RFC 6749 §2.3).
func parseCredentials(r *http.Request, form url.Values) (credentials, *tokenError) {
	header := r.Header.Values("Authorization")
	inBody := form.Has("client_secret")
	if len(header) == 0 {
		if !inBody {
			return credentials{}, nil
		}
		return credentials{method: AuthPost, id: form.Get("client_id"), secret: form.Get("client_secret")}, nil
	}
	if len(header) > 1 || inBody {
		return credentials{}, badToken("More than one client authentication method was used.")
	}
	scheme, rest, _ := strings.Cut(header[0], " ")
	raw, err := base64.StdEncoding.DecodeString(rest)
	id, secret, colon := strings.Cut(string(raw), ":")
	if !strings.EqualFold(scheme, "Basic") || err != nil || !colon {
		return credentials{}, invalidClient("")
	}
	c := credentials{method: AuthBasic, id: id, secret: secret}
	eid, err1 := url.QueryUnescape(id)
	esecret, err2 := url.QueryUnescape(secret)
	if err1 == nil && err2 == nil {
		c.encodedID, c.encoded = eid, esecret
	}
	return c, nil
}

// authenticate says which client sends a token request. How it did is kept for Calls, also when it failed.
func (e *Emulator) authenticate(w http.ResponseWriter, r *http.Request, form url.Values) (Client, *tokenError) {
	if _, ok := bearer(r); ok {
		return e.authenticatePartner(w, r, form)
	}
	cred, bad := parseCredentials(r, form)
	if bad != nil {
		return Client{}, bad
	}
	if cred.method == "" {
		note(w, SeenNone)
		return Client{}, invalidClient("")
	}
	seen, ids := SeenPost, []string{cred.id}
	if cred.method == AuthBasic {
		seen, ids = SeenBasicRaw, []string{cred.id, cred.encodedID}
	}
	note(w, seen)
	for i, id := range ids {
		client, ok := e.client([]string{id})
		if !ok || client.Partner { // partner keys have a way of their own
			continue
		}
		if cred.method != client.AuthMethod {
			return Client{}, invalidClient(fmt.Sprintf(descMethodHint, client.AuthMethod, cred.method, cred.method))
		}
		raw := same(cred.secret, client.Secret) && i == 0
		if !raw && !(cred.method == AuthBasic && same(cred.encoded, client.Secret) && cred.encodedID == client.ID) {
			continue
		}
		if !raw {
			note(w, SeenBasicEncoded)
		}
		if form.Has("client_id") && form.Get("client_id") != client.ID {
			return Client{}, badToken("The client_id of the body is not that of the client authentication.")
		}
		return client, nil
	}
	return Client{}, invalidClient("")
}

// same compares in constant time, whatever the lengths.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
