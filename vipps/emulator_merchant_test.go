package vipps_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// merchantBreaks says what becomes of a merchant-initiated login with each fault where that isn't what becomes of a login in a
// browser: in the app, and in a browser; "" succeeds.
func merchantBreaks() map[string][2]string {
	return map[string][2]string{
		emulator.BreakMissingNonce:  {"", ""}, // Vipps sends none
		emulator.BreakWrongNonce:    {vipps.CodeNonce, vipps.CodeNonce},
		emulator.BreakWrongAtHash:   {vipps.CodeAccessTokenHash, vipps.CodeAccessTokenHash},
		emulator.BreakMissingAtHash: {"", ""},
		emulator.BreakMissingACR:    {"", ""}, // not asked for
		emulator.BreakWrongACR:      {"", ""},

		emulator.BreakNoAuthReqID:          {vipps.CodeInvalidResponse, vipps.CodeInvalidResponse},
		emulator.BreakNoExpiresIn:          {vipps.CodeInvalidResponse, vipps.CodeInvalidResponse},
		emulator.BreakNoInterval:           {"", ""},
		emulator.BreakRetryAfterDate:       {"", ""},
		emulator.BreakErrorCode:            {"", ""},
		emulator.BreakRS256:                {"", ""},
		emulator.BreakAudArray:             {"", ""},
		emulator.BreakMerchantNonce:        {"", ""},
		emulator.BreakMerchantAuthReqID:    {"", ""},
		emulator.BreakAuthReqIDCamel:       {"", ""},
		emulator.BreakAuthReqIDClaim:       {"", ""},
		emulator.BreakAuthReqIDTwo:         {vipps.CodeAuthReqID, vipps.CodeAuthReqID},
		emulator.BreakWrongAuthReqID:       {vipps.CodeAuthReqID, vipps.CodeAuthReqID},
		emulator.BreakMissingAuthReqID:     {"", vipps.CodeAuthReqID},
		emulator.BreakConsentsLeadingSpace: {"", ""},
	}
}

// Each fault of the emulator's that can befall a merchant-initiated login, finished in the app and in a browser. Where auth_req_id
// is broken, it is broken in the token of a polled login too, which has it only then.
func TestEmulatorMerchantBreaks(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	expected, inBrowser := merchantBreaks(), emulatorBreaks()
	phone := emulator.FixturePeople()[0].Phone
	for _, info := range emulator.Breaks() {
		want, known := expected[info.Kind]
		switch info.Where {
		case "id-token", "token", "userinfo", "discovery":
			if code, ok := inBrowser[info.Kind]; ok && !known {
				want, known = [2]string{code, code}, true
			}
			if info.Kind == emulator.BreakDiscoveryAdvertiseIss {
				want = [2]string{"", ""} // iss is for callbacks of the code flow
			}
		case "merchant":
		default:
			continue
		}
		t.Run(info.Kind, func(t *testing.T) {
			if !known {
				t.Fatalf("no word here on what becomes of it: %s", info.Does)
			}
			for i, uri := range []string{"", appCallback} {
				srv.Control().Reset()
				kinds := []string{info.Kind}
				if strings.Contains(info.Kind, "auth-req-id") {
					kinds = append(kinds, emulator.BreakMerchantAuthReqID)
				}
				for _, kind := range kinds {
					if err := srv.Control().Break(kind, -1); err != nil {
						t.Fatal(err)
					}
				}
				if err := srv.Control().MerchantAuto(phone, 0, ""); err != nil {
					t.Fatal(err)
				}
				login, err := emulatorMerchantLogin(t, emulatorClient(t, srv), srv, vipps.MerchantLoginRequest{Phone: phone, RedirectURI: uri})
				if want[i] != "" {
					refused(t, err, want[i])
				} else if err != nil || !strings.HasPrefix(login.User.Sub, "emulator-") {
					t.Error(uri, err)
				}
			}
		})
	}
}

func emulatorMerchantLogin(t *testing.T, c *vipps.Client, srv *emulator.Server, r vipps.MerchantLoginRequest) (*vipps.Login, error) {
	t.Helper()
	pending, err := c.StartMerchantLogin(t.Context(), r)
	if err != nil {
		return nil, err
	}
	if r.RedirectURI == "" {
		return c.PollMerchantLogin(t.Context(), pending)
	}
	logins := srv.Control().MerchantLogins()
	to, err := url.Parse(logins[len(logins)-1].Link)
	if err != nil {
		t.Fatal(err)
	}
	login, _, err := c.FinishMerchantLogin(t.Context(), to.Query(), one(pending))
	return login, err
}

// What the emulator says of people who can't, won't or don't answer, and of one who is asked too often.
func TestEmulatorMerchantRefusals(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	c := emulatorClient(t, srv)
	phone := emulator.FixturePeople()[0].Phone
	start := func(phone string) (*vipps.PendingMerchantLogin, error) {
		return c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: phone})
	}
	if _, err := start("4790900123"); !errors.Is(err, vipps.ErrNotEligible) {
		t.Errorf("a number of nobody: %v", err)
	}
	for _, fault := range []string{"", emulator.BreakErrorCode} {
		if fault != "" {
			if err := srv.Control().Break(fault, -1); err != nil {
				t.Fatal(err)
			}
		}
		for code, want := range map[string]error{"access_denied": vipps.ErrDenied, "old_app": vipps.ErrNotEligible, "invalid_user": vipps.ErrNotEligible} {
			p, err := start(phone)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.PollMerchantLogin(t.Context(), p); !errors.Is(err, vipps.ErrPending) {
				t.Errorf("before an answer: %v", err)
			}
			if err := srv.Control().MerchantDeny(p.AuthReqID, code); err != nil {
				t.Fatal(err)
			}
			if _, err := c.PollMerchantLogin(t.Context(), p); !errors.Is(err, want) {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
	p, err := start(phone)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Control().MerchantExpire(p.AuthReqID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PollMerchantLogin(t.Context(), p); !errors.Is(err, vipps.ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	if err := srv.Control().MerchantLimit(1); err != nil {
		t.Fatal(err)
	}
	for _, dated := range []bool{false, true} {
		if dated {
			if err := srv.Control().Break(emulator.BreakRetryAfterDate, -1); err != nil {
				t.Fatal(err)
			}
		} else if _, err := start(phone); err != nil {
			t.Fatal(err)
		}
		_, err := start(phone)
		var e *vipps.Error
		if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || e.RetryAfter <= 0 || errors.Is(err, vipps.ErrNotEligible) {
			t.Errorf("one too many: %v after %v", err, e.RetryAfter)
		}
	}
}
