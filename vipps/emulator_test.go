package vipps_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const appCallback = "http://127.0.0.1:9/_vipps/callback" // never called

// browser is an HTTP client with cookies that stops at the app's callback.
type browser struct{ http *http.Client }

func newBrowser(t testing.TB) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{&http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), appCallback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// open follows the authorize URL to the callback and returns its query.
func (b browser) open(t testing.TB, authorizeURL string) url.Values {
	t.Helper()
	resp, err := b.http.Get(authorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the browser ended at %s with %s", resp.Request.URL.Path, resp.Status)
	}
	return to.Query()
}

func startEmulator(t testing.TB, people []emulator.Person) *emulator.Server {
	t.Helper()
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		People:  people,
		Spinner: -1,
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{appCallback}, Advanced: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func emulatorClient(t testing.TB, srv *emulator.Server) *vipps.Client {
	t.Helper()
	return newClient(t, vipps.Config{
		Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret, ACRValues: emulator.ACRAppAuth,
		Scopes: []string{vipps.ScopeName, vipps.ScopeEmail, vipps.ScopePhoneNumber, vipps.ScopeAddress, vipps.ScopeBirthDate, vipps.ScopeNIN, vipps.ScopeGender},
	})
}

func emulatorLogin(t testing.TB, c *vipps.Client, b browser, silent bool) (*vipps.Login, error) {
	t.Helper()
	p, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: appCallback, Silent: silent})
	if err != nil {
		return nil, err
	}
	return c.FinishLogin(context.Background(), p, b.open(t, to))
}

func TestEmulatorPeople(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	c := emulatorClient(t, srv)
	subs := map[string]bool{}
	for _, person := range emulator.FixturePeople() {
		if err := srv.Control().AutoApprove(person.Phone); err != nil {
			continue // too young to log in
		}
		l, err := emulatorLogin(t, c, newBrowser(t), false)
		if err != nil {
			// Whoever is refused must be refused by the emulator, not by us.
			var e *vipps.Error
			if !errors.As(err, &e) || e.Stage != vipps.StageAuthorize {
				t.Errorf("%s: %v", person.ID, err)
			}
			continue
		}
		u := l.User
		if subs[u.Sub] || u.Name != person.Name || u.PhoneNumber != person.Phone || u.Email != person.Email ||
			u.Email != "" && u.EmailVerified != person.EmailVerified || u.Birthdate != person.Birthdate || u.NIN != person.NIN || u.Gender != person.Gender ||
			(u.Address == nil) != (person.Address == nil) || len(u.OtherAddresses) != len(person.OtherAddresses) || l.ACR != emulator.ACRAppAuth {
			t.Errorf("%s: the claims differ from the person", person.ID)
		}
		subs[u.Sub] = true
	}
	if len(subs) < 6 {
		t.Errorf("only %d people could log in", len(subs))
	}
}

func TestEmulatorSilentLogin(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	c := newClient(t, vipps.Config{Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret, Scopes: []string{vipps.ScopeName}})
	b := newBrowser(t)
	_, err := emulatorLogin(t, c, b, true)
	refused(t, err, "interaction_required")

	srv.Control().RememberDefault(true)
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		t.Fatal(err)
	}
	first, err := emulatorLogin(t, c, b, false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := emulatorLogin(t, c, b, true)
	if err != nil {
		t.Fatal(err)
	}
	if first.User.Sub != second.User.Sub {
		t.Error("the silent login is another person's")
	}
}

// emulatorBreaks says what becomes of a login with each fault; "" is a login
// that succeeds.
func emulatorBreaks() map[string]string {
	return map[string]string{
		emulator.BreakWrongIss:       vipps.CodeIssuerMismatch,
		emulator.BreakMissingIss:     vipps.CodeMissingClaim,
		emulator.BreakWrongAud:       vipps.CodeAudience,
		emulator.BreakMissingAud:     vipps.CodeMissingClaim,
		emulator.BreakAudString:      "",
		emulator.BreakAudExtra:       vipps.CodeAudience,
		emulator.BreakAudExtraAzp:    vipps.CodeAudience,
		emulator.BreakAzp:            "",
		emulator.BreakWrongAzp:       vipps.CodeAudience,
		emulator.BreakWrongNonce:     vipps.CodeNonce,
		emulator.BreakMissingNonce:   vipps.CodeNonce,
		emulator.BreakWrongAtHash:    vipps.CodeAccessTokenHash,
		emulator.BreakMissingAtHash:  "",
		emulator.BreakExpired:        vipps.CodeExpired,
		emulator.BreakMissingExp:     vipps.CodeMissingClaim,
		emulator.BreakMissingIat:     vipps.CodeMissingClaim,
		emulator.BreakIatOld:         vipps.CodeTooOld,
		emulator.BreakIatFuture:      vipps.CodeIssuedInFuture,
		emulator.BreakNbfFuture:      vipps.CodeIssuedInFuture,
		emulator.BreakMissingSub:     vipps.CodeMissingClaim,
		emulator.BreakEmptySub:       vipps.CodeInvalidSubject,
		emulator.BreakSubNumber:      vipps.CodeInvalidSubject,
		emulator.BreakMissingACR:     vipps.CodeACR,
		emulator.BreakWrongACR:       vipps.CodeACR,
		emulator.BreakExtraClaims:    "",
		emulator.BreakDuplicateKeys:  vipps.CodeMalformedToken,
		emulator.BreakCaseVariants:   "",
		emulator.BreakAlgNone:        vipps.CodeAlgorithm,
		emulator.BreakHS256PublicKey: vipps.CodeAlgorithm,
		emulator.BreakHS256Secret:    vipps.CodeAlgorithm,
		emulator.BreakES256:          "",
		emulator.BreakUnknownKID:     vipps.CodeUnknownKey,
		emulator.BreakForeignKey:     vipps.CodeSignature,
		emulator.BreakNoKID:          "",
		emulator.BreakBadSignature:   vipps.CodeSignature,
		emulator.BreakNoIDToken:      vipps.CodeMissingIDToken,
		emulator.BreakNotAJWT:        vipps.CodeMalformedToken,
		emulator.BreakTokenTypeCase:  "",
		emulator.BreakTokenNoExpires: "",
		emulator.BreakWrongMSN:       "", // looked at with partner keys only
		emulator.BreakMissingMSN:     "",

		emulator.BreakUserinfoWrongSub:      vipps.CodeSubjectMismatch,
		emulator.BreakUserinfoMissingSub:    vipps.CodeSubjectMismatch,
		emulator.BreakUserinfoDuplicateKeys: vipps.CodeInvalidResponse,
		emulator.BreakUserinfoExtraClaims:   "",
		emulator.BreakUserinfoHTML:          vipps.CodeInvalidResponse,
		emulator.BreakEmailVerifiedString:   "",
		emulator.BreakEmailVerifiedMissing:  "",
		emulator.BreakPhoneUnverified:       "", // forwardauth keeps no such number
		emulator.BreakEscapedNewlines:       "",
		emulator.BreakAddressArray:          "",
		emulator.BreakControlCharacters:     "",
		emulator.BreakHugeProfile:           "",
		emulator.BreakHugeBody:              vipps.CodeTooLarge,

		emulator.BreakMalformedRedirect:     vipps.CodeMissingState,
		emulator.BreakCallbackNoState:       vipps.CodeMissingState,
		emulator.BreakCallbackWrongState:    vipps.CodeStateMismatch,
		emulator.BreakCallbackTwoStates:     vipps.CodeDuplicateParameter,
		emulator.BreakCallbackNoScope:       "",
		emulator.BreakCallbackIss:           "",
		emulator.BreakCallbackWrongIss:      vipps.CodeIssuerMismatch,
		emulator.BreakDiscoveryWrongIssuer:  vipps.CodeIssuerMismatch,
		emulator.BreakDiscoveryAdvertiseIss: vipps.CodeMissingIssuer,
	}
}

func TestEmulatorBreaks(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	expected := emulatorBreaks()
	for _, info := range emulator.Breaks() {
		if !slices.Contains([]string{"id-token", "token", "userinfo", "callback", "discovery"}, info.Where) {
			continue // not of a login in a browser
		}
		t.Run(info.Kind, func(t *testing.T) {
			srv.Control().Reset()
			if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
				t.Fatal(err)
			}
			if err := srv.Control().Break(info.Kind, -1); err != nil {
				t.Fatal(err)
			}
			if info.Kind == emulator.BreakMalformedRedirect { // only errors come back like this
				if err := srv.Control().Deny("access_denied"); err != nil {
					t.Fatal(err)
				}
			}
			l, err := emulatorLogin(t, emulatorClient(t, srv), newBrowser(t), false)
			var e *vipps.Error
			want, known := expected[info.Kind]
			switch {
			case info.Kind == emulator.BreakCallbackCodeAndError:
				if !errors.As(err, &e) || e.Stage != vipps.StageAuthorize {
					t.Errorf("error is %v", err)
				}
			case !known:
				t.Errorf("no word here on what becomes of it: %s; error is %v", info.Does, err)
			case want != "":
				refused(t, err, want)
			case err != nil:
				t.Error(err)
			case !strings.HasPrefix(l.User.Sub, "emulator-"):
				t.Errorf("sub is %q", l.User.Sub)
			}
		})
	}
}

func TestEmulatorRotatesKeys(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		t.Fatal(err)
	}
	c := emulatorClient(t, srv)
	for range 2 {
		if _, err := emulatorLogin(t, c, newBrowser(t), false); err != nil {
			t.Fatal(err)
		}
		if err := srv.Control().RotateKeys(false); err != nil {
			t.Fatal(err)
		}
	}
	if n := srv.Control().Calls()[emulator.EndpointJWKS]; n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}
