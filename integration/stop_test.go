package integration_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// hangsOn sends nothing, or at the provider headers and no more, until whoever asked goes away.
func hangsOn(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http sees that a client goes when the body is read
	w.WriteHeader(http.StatusOK)
	if strings.HasSuffix(r.URL.Path, "/oauth2/token") {
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
}

// untilCut opens a page as a browser with these cookies would, and waits until it is answered or cut off.
func (f *front) untilCut(path string, cookies []*http.Cookie) {
	jar, _ := cookiejar.New(nil) // which never fails
	if site, err := url.Parse(f.origin); err == nil {
		jar.SetCookies(site, cookies)
	}
	client := http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
	if w, err := client.Get(f.origin + path); err == nil {
		_, _ = io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
	}
}

// Container runtimes kill a service ten seconds after they have asked it to stop. Here everything hangs by then: the provider sends headers and
// no more to a login in a browser, to one by phone and to those of QR codes; the application doesn't answer, and neither does the receiver of
// events. It ends in time all the same, and what was accepted is there after the restart: the login by phone, and the event.
func TestSec_D29_StopWhileEverythingHangs(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.scopes = "openid name phoneNumber email delegatedConsents"
	var provider, receiver, redeemed, asked, delivered, atApp atomic.Int64 // the first two: whether it hangs
	f.asProvider(func(vipps http.Handler, w http.ResponseWriter, r *http.Request) {
		if provider.Load() > 0 && strings.HasSuffix(r.URL.Path, "/oauth2/token") {
			redeemed.Add(1)
			hangsOn(w, r)
			return
		}
		vipps.ServeHTTP(w, r)
	})
	events := strconv.Itoa(freePort(t))
	receiver.Store(1)
	serveOn(t, events, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if receiver.Load() > 0 {
			hangsOn(w, r)
			return
		}
		delivered.Add(1)
	}))
	f.app.handle("/hangs", func(w http.ResponseWriter, r *http.Request) {
		atApp.Add(1)
		hangsOn(w, r)
	})
	keygen := start(t, vippsauthProgram(t), command{name: "vippsauth keygen", tells: true, args: []string{"keygen", "--events"}})
	<-keygen.done
	secret, dir := strings.TrimSpace(keygen.out.String()), t.TempDir()
	f.secrets.add("secret of events", secret)
	f.secrets.add("token of a caller", callerToken)
	f.env = []string{
		fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x", sha256.Sum256([]byte(callerToken))),
		"VIPPSAUTH_CONSENT_SECRET=" + secret, "VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t),
	}
	flags := []string{
		"--qr=on", "--qr-callers=till-code=till", "--merchant-file=" + filepath.Join(dir, "logins"),
		"--consent-url=http://127.0.0.1:" + events + "/", "--consent-dir=" + filepath.Join(dir, "events"),
	}
	f.sidecar(flags...)
	control := f.vipps.Control()
	if err := control.MerchantInterval(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := control.AddQR(emulator.QRCode{ID: "till-code", ClientID: clientID, CallbackURI: f.origin + "/_vipps/qr"}); err != nil {
		t.Fatal(err)
	}
	in := f.loggedIn()
	eventually(t, "the receiver is told of consents", func() bool { return asked.Load() > 0 })

	provider.Store(1)
	login := f.merchantCall(http.MethodPost, "logins", callerToken, `{"phone":"4790000002"}`, http.StatusCreated)
	const codes, exchanges = 6, 4 // of which so many at a time
	for range codes {
		if _, err := control.ScanQR("till-code", phoneAase, true); err != nil {
			t.Fatal(err)
		}
	}
	gone := make(chan struct{}, 2)
	for path, cookies := range map[string][]*http.Cookie{"/wanted": nil, "/hangs": in.cookies(f.origin)} {
		go func() {
			f.untilCut(path, cookies)
			gone <- struct{}{}
		}()
	}
	eventually(t, "all wait for the provider and the application", func() bool { return redeemed.Load() >= exchanges+2 && atApp.Load() > 0 })

	begin := time.Now()
	if err := f.service.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.service.done:
	case <-time.After(60 * time.Second):
		t.Fatal("it doesn't stop")
	}
	took := time.Since(begin)
	t.Logf("stopping took %s", took.Round(time.Millisecond))
	if took > 17*time.Second { // nine where the machine has nothing else to do; each part in its turn took eighteen at least
		t.Errorf("stopping took %s", took)
	}
	if code := f.service.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	<-gone
	<-gone
	if kept, err := os.ReadDir(filepath.Join(dir, "events")); err != nil || len(kept) == 0 {
		t.Errorf("no event is kept: %v", err)
	}

	provider.Store(0)
	receiver.Store(0)
	if err := control.MerchantApprove("4790000002"); err != nil {
		t.Fatal(err)
	}
	f.sidecar(flags...)
	if got := f.merchantCall(http.MethodGet, "logins/"+login.ID+"?wait=25", callerToken, "", http.StatusOK); got.State != "approved" && got.State != "delivered" {
		t.Errorf("the login by phone is %s after the restart", got.State)
	}
	eventually(t, "the event is delivered after the restart", func() bool { return delivered.Load() > 0 })
}
