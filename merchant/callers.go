package merchant

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// minTokenLength is the shortest bearer token that counts. Its hash doesn't say how long it is, so that this is looked at when it
	// is shown.
	minTokenLength = 32
	maxTokenLength = 1024

	maxCallerName = 64
)

// A callerSet is who may start logins: programs that show a token, and programs that show a certificate. It holds hashes
// of tokens only. A caller may have several, so that one can be replaced.
type callerSet struct {
	tokens []tokenCaller
	names  map[string]string // by the common name of a certificate
}

type tokenCaller struct {
	name string
	sum  [sha256.Size]byte
}

// parseCallers reads the setting merchant_callers. Its error holds a *vipps.ConfigError for each entry that is wrong, with its
// position and without its text.
func parseCallers(entries []string) (*callerSet, error) {
	c := &callerSet{names: map[string]string{}}
	var errs []error
	for i, entry := range entries {
		if err := c.add(entry); err != nil {
			errs = append(errs, &vipps.ConfigError{Setting: "merchant_callers", Reason: fmt.Sprintf("entry %d %s", i+1, err)})
		}
	}
	return c, errors.Join(errs...)
}

var (
	errCallerForm = errors.New("is not one: write till-1=sha256:<hex>, which vippsauth keygen --token prints, or office=certificate:<common name>")
	errCallerName = errors.New("has a name that can't be used: 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit")
	errCallerHash = errors.New("holds no SHA-256 hash: 64 hexadecimal digits, which vippsauth keygen --token prints; never the token itself")
	errCallerTwin = errors.New("has the same token as another one: give each caller its own")
	errCertName   = errors.New("names no certificate: write the common name of the caller's certificate, at most 256 characters, behind the word certificate and a colon")
	errCertTwin   = errors.New("names the same certificate as another one: give each caller its own")
)

func (c *callerSet) add(entry string) error {
	name, credential, ok := strings.Cut(entry, "=")
	kind, value, split := strings.Cut(credential, ":")
	switch {
	case !ok || !split:
		return errCallerForm
	case !isCallerName(name):
		return errCallerName
	}
	switch kind {
	case "sha256":
		sum, err := hex.DecodeString(value)
		if err != nil || len(sum) != sha256.Size {
			return errCallerHash
		}
		t := tokenCaller{name: name, sum: [sha256.Size]byte(sum)}
		for _, other := range c.tokens {
			if other.sum == t.sum {
				return errCallerTwin
			}
		}
		c.tokens = append(c.tokens, t)
	case "certificate":
		if value == "" || len(value) > 256 {
			return errCertName
		}
		if _, twice := c.names[value]; twice {
			return errCertTwin
		}
		c.names[value] = name
	default:
		return errCallerForm
	}
	return nil
}

// isCallerName keeps the names of callers apart from those of operators, which hold a slash.
func isCallerName(name string) bool {
	if name == "" || len(name) > maxCallerName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// byToken says whose token a request shows: in one Authorization header and nowhere else. It does the same work whether the
// token is right, wrong or missing, and compares hashes in constant time with those of all callers.
func (c *callerSet) byToken(h http.Header) (name string, ok bool) {
	var token string
	if lines := h["Authorization"]; len(lines) == 1 {
		scheme, rest, _ := strings.Cut(lines[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = rest
		}
	}
	fits := minTokenLength <= len(token) && len(token) <= maxTokenLength
	if !fits {
		token = ""
	}
	sum := sha256.Sum256([]byte(token))
	for i := range c.tokens {
		if subtle.ConstantTimeCompare(sum[:], c.tokens[i].sum[:]) == 1 && fits {
			name, ok = c.tokens[i].name, true
		}
	}
	return name, ok
}

// byCertificate says whose certificate a connection has shown. That it was signed by the right authority is checked in the
// handshake.
func (c *callerSet) byCertificate(chains [][]*x509.Certificate) (name string, ok bool) {
	if len(chains) == 0 || len(chains[0]) == 0 {
		return "", false
	}
	name, ok = c.names[chains[0][0].Subject.CommonName]
	return name, ok
}

// HashToken returns what the setting merchant_callers holds of a bearer token: "sha256:" and its hash in hexadecimal.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}
