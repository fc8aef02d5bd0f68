package merchant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// scanned is the login of somebody who scanned a code.
func scanned(qrID, sub string) *vipps.Login {
	return &vipps.Login{User: vipps.User{Sub: sub, Claims: map[string]json.RawMessage{
		"sub": json.RawMessage(`"` + sub + `"`), "qr_id": json.RawMessage(`"` + qrID + `"`), "qr_description": json.RawMessage(`"Till <1>"`),
	}}}
}

// next is NextQR, which waits only as long as it takes to see that there is nothing where want is "".
func next(t *testing.T, q *merchant.QRLogins, caller, want string) string {
	t.Helper()
	patience := 30 * time.Second
	if want == "" {
		patience = 20 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	login, err := q.NextQR(ctx, caller)
	if err != nil {
		if !errors.Is(err, merchant.ErrNoResult) || login != nil {
			t.Errorf("%v, %v", login, err)
		}
		return ""
	}
	return login.User.Sub
}

// Attack: QR codes are static and public. Somebody scans that of another till, at home, to have their login taken for that of whoever
// stands at a till; or a till asks for another's.
func TestSec_A165_QRLoginsOfTheirCallerOnly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	q, err := merchant.NewQRLogins([]string{"code-1=till-1", "code-1b=till-1", "code-2=till-2"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []*vipps.Login{scanned("code-3", "x"), scanned("", "x"), scanned("CODE-1", "x"), {User: vipps.User{Sub: "x"}}} {
		if err := q.OfferQR(login); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("a login of nobody's code: %v", err)
		}
	}
	for _, login := range []*vipps.Login{nil, scanned("code-1", "")} {
		if err := q.OfferQR(login); !errors.Is(err, merchant.ErrNoResult) {
			t.Errorf("a login of nobody: %v", err)
		}
	}
	for _, l := range []struct{ code, sub string }{{"code-1", "a"}, {"code-2", "b"}, {"code-1b", "c"}} {
		if err := q.OfferQR(scanned(l.code, l.sub)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct{ caller, sub string }{
		{"till-3", ""}, {"", ""}, {"code-1", ""}, {"till-2", "b"}, {"till-2", ""}, {"till-1", "a"}, {"till-1", "c"}, {"till-1", ""},
	} {
		if got := next(t, q, want.caller, want.sub); got != want.sub {
			t.Errorf("%q gets %q, want %q", want.caller, got, want.sub)
		}
	}

	// Nobody fetched it in five minutes.
	if err := q.OfferQR(scanned("code-1", "late")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	at = at.Add(5 * time.Minute)
	mu.Unlock()
	if got := next(t, q, "till-1", ""); got != "" {
		t.Errorf("%q is given after five minutes", got)
	}
	// A hundred wait, and no more.
	for i := range 150 {
		if err := q.OfferQR(scanned("code-1", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if got := next(t, q, "till-1", fmt.Sprint(50+i)); got != fmt.Sprint(50+i) {
			t.Fatalf("number %d is %q", i, got)
		}
	}
	if got := next(t, q, "till-1", ""); got != "" {
		t.Errorf("%q came after a hundred", got)
	}
	if s := fmt.Sprintf("%+v %#v %s", q, q, q.LogValue()); strings.Contains(s, "till") {
		t.Errorf("printed as %s", s)
	}
}

// Each login is given once, however many wait for it; and one whose asker has gone is left for the next.
func TestQRLoginsOnce(t *testing.T) {
	t.Parallel()
	q, err := merchant.NewQRLogins([]string{"code=till"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				login, err := q.NextQR(ctx, "till")
				if err != nil {
					return
				}
				mu.Lock()
				got[login.User.Sub]++
				last := len(got) == 40
				mu.Unlock()
				if last {
					cancel()
				}
			}
		})
	}
	for i := range 40 {
		if err := q.OfferQR(scanned("code", fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	for sub, n := range got {
		if n != 1 {
			t.Errorf("%s was given %d times", sub, n)
		}
	}
	if err := q.OfferQR(scanned("code", "left")); err != nil {
		t.Fatal(err)
	}
	if _, err := q.NextQR(ctx, "till"); !errors.Is(err, merchant.ErrNoResult) {
		t.Errorf("who has gone got %v", err)
	}
	if got := next(t, q, "till", "left"); got != "left" {
		t.Errorf("the next gets %q", got)
	}
}

func TestQRCallersThatAreNone(t *testing.T) {
	t.Parallel()
	for entry, rule := range map[string]string{
		"till": "entry 1 is not one", "=till": "no usable qr_id", "a b=till": "no usable qr_id", "å=till": "no usable qr_id", "code=": "names no caller", "code=-till": "names no caller", "a=b=till": "names no caller",
		"code=operator/c06c4afe": "names no caller",
	} {
		_, err := merchant.NewQRLogins([]string{entry}, nil)
		var ce *vipps.ConfigError
		if !errors.As(err, &ce) || ce.Setting != "qr_callers" || !strings.Contains(ce.Reason, rule) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	_, err := merchant.NewQRLogins([]string{"code=till-1", "code=till-2", "nonsense"}, nil)
	if err == nil || !strings.Contains(err.Error(), "entry 2 is for the same code") || !strings.Contains(err.Error(), "entry 3") {
		t.Errorf("error is %v", err)
	}
}

// qrAPI serves the API for two tills, whose tokens are their names, five times.
func qrAPI(t *testing.T, q *merchant.QRLogins) (ask func(ctx context.Context, caller, method, target string) (status int, body string)) {
	t.Helper()
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "c", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	logins, err := merchant.New(merchant.Config{Client: client, Keys: session.Keys{key}})
	if err != nil {
		t.Fatal(err)
	}
	token := func(caller string) string { return strings.Repeat(caller+".", 8) }
	api, err := merchant.NewAPI(merchant.APIConfig{
		Logins: logins, QR: q, PublicURLs: []string{"https://shop.example"},
		Callers: []string{"till-1=" + merchant.HashToken(token("till-1")), "till-2=" + merchant.HashToken(token("till-2"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, caller, method, target string) (int, string) {
		t.Helper()
		r := httptest.NewRequestWithContext(ctx, method, "https://shop.example"+merchant.PathPrefix+target, http.NoBody)
		if caller != "" {
			r.Header.Set("Authorization", "Bearer "+token(caller))
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be kept", method, target)
		}
		return w.Code, w.Body.String()
	}
}

func TestSec_A165_QRLoginsOverHTTP(t *testing.T) {
	t.Parallel()
	q, err := merchant.NewQRLogins([]string{"oKAz7q1O=till-1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := qrAPI(t, q)
	want := func(caller, method, target string, status int, body string) {
		t.Helper()
		if got, text := ask(t.Context(), caller, method, target); got != status || body != "" && !strings.Contains(text, body) {
			t.Errorf("%s %s as %q: %d %s", method, target, caller, got, text)
		}
	}
	want("till-1", http.MethodGet, "qr-logins", http.StatusNoContent, "")
	if err := q.OfferQR(scanned("oKAz7q1O", "c06c4afe")); err != nil {
		t.Fatal(err)
	}
	want("", http.MethodGet, "qr-logins", http.StatusUnauthorized, "")
	want("stranger", http.MethodGet, "qr-logins", http.StatusUnauthorized, "")
	want("till-2", http.MethodGet, "qr-logins", http.StatusNoContent, "")
	want("till-2", http.MethodGet, "qr-logins?wait=0", http.StatusNoContent, "")
	want("till-1", http.MethodPost, "qr-logins", http.StatusMethodNotAllowed, "")
	want("till-1", http.MethodHead, "qr-logins", http.StatusMethodNotAllowed, "")
	want("till-1", http.MethodGet, "qr-logins?wait=61", http.StatusBadRequest, `"field":"wait"`)
	want("till-1", http.MethodGet, "qr-logins?caller=till-2", http.StatusBadRequest, "")
	want("till-1", http.MethodGet, "qr-logins/x", http.StatusNotFound, "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, text := ask(gone, "till-1", http.MethodGet, "qr-logins?wait=5"); strings.Contains(text, "c06c4afe") {
		t.Error("a login was given to nobody")
	}
	want("till-1", http.MethodGet, "qr-logins", http.StatusOK,
		`{"qr_id":"oKAz7q1O","qr_description":"Till <1>","result":{"sub":"c06c4afe","claims":{"qr_description":"Till <1>","qr_id":"oKAz7q1O","sub":"c06c4afe"}}}`)
	want("till-1", http.MethodGet, "qr-logins", http.StatusNoContent, "")

	// A long poll ends when somebody scans.
	time.AfterFunc(20*time.Millisecond, func() { _ = q.OfferQR(scanned("oKAz7q1O", "second")) })
	want("till-1", http.MethodGet, "qr-logins?wait=30", http.StatusOK, `"second"`)

	off := qrAPI(t, nil)
	if status, _ := off(t.Context(), "till-1", http.MethodGet, "qr-logins"); status != http.StatusNotFound {
		t.Errorf("without QR logins the answer is %d", status)
	}
}
