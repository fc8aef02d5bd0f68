package forwardauth_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A-120, D-53: every secret of a login is drawn from crypto/rand. When the nth draw of a login fails, there is no login: the
// process ends, as crypto/rand has it, or the person gets an error. It runs in a process of its own, since the reader is
// everybody's.
func TestSec_A120_D28_D53_RandomnessFails(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutRandomness$", "-test.v")
	cmd.Env = append(os.Environ(), withoutRandomness+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("draws were tried")) {
		t.Errorf("%v\n%s", err, out)
	}
}

const withoutRandomness = "FORWARDAUTH_TEST_WITHOUT_RANDOMNESS"

// drawn stands for the system's randomness: it notes what it gives, and fails at the nth draw.
type drawn struct {
	system io.Reader
	paused bool // while the provider is asked, which draws too
	nth    int
	count  int
	given  []string
}

var errNoEntropy = errors.New("no entropy")

// Read fails as crypto/rand.Read does where that has called it: there the process would end, here it panics.
func (d *drawn) Read(b []byte) (int, error) {
	if d.paused {
		return d.system.Read(b)
	}
	if d.count++; d.count == d.nth {
		if calledBy("securecookie.GenerateRandomKey") {
			return 0, errNoEntropy
		}
		panic(errNoEntropy)
	}
	n, err := d.system.Read(b)
	d.given = append(d.given, base64.RawURLEncoding.EncodeToString(b[:n]))
	return n, err
}

func calledBy(name string) bool {
	var pcs [20]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if strings.HasSuffix(frame.Function, name) {
			return true
		}
	}
	return false
}

type pausing struct {
	inProcess
	d *drawn
}

func (p pausing) RoundTrip(r *http.Request) (*http.Response, error) {
	p.d.paused = true
	defer func() { p.d.paused = false }()
	return p.inProcess.RoundTrip(r)
}

// TestWithoutRandomness is what that process does. In any other it does nothing.
func TestWithoutRandomness(t *testing.T) {
	if os.Getenv(withoutRandomness) == "" {
		return
	}
	const origin = "http://127.0.0.1:4193"
	provider, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:4192", Spinner: -1,
		Clients: []emulator.Client{{ID: "shop", Secret: "shop secret", RedirectURIs: []string{origin + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &drawn{system: rand.Reader}
	client, err := vipps.New(vipps.Config{Issuer: provider.Issuer(), ClientID: "shop", ClientSecret: "shop secret", HTTPClient: &http.Client{Transport: pausing{inProcess{provider}, d}}})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{Client: client, Keys: session.Keys{labKey()}, PublicURLs: []string{origin}, Silent: forwardauth.SilentOff, Emulator: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.Discover(t.Context()), provider.Control().AutoApprove(phoneAase)); err != nil {
		t.Fatal(err)
	}
	rand.Reader = d
	handler := engine.Protect(http.NotFoundHandler())
	for d.nth = 1; ; d.nth++ {
		d.count, d.given = 0, nil
		location, value := oneLogin(t, handler, provider, d)
		if sealed := strings.Count(strings.Join(d.given, " ")+" ", " "); value != "" && sealed < 7 {
			t.Errorf("draw %d failed, and there is a session of %d draws", d.nth, sealed)
		}
		if d.count >= d.nth { // a seal of what is only remembered
			continue
		}
		// Nothing failed: each secret is one of the draws, whole.
		id, _, _ := engine.SessionOf(value)
		q := location.Query()
		state, _, _ := strings.Cut(q.Get("state"), ".")
		all := strings.Join(d.given, " ") + " "
		if !strings.Contains(all, state+" ") || !strings.Contains(all, q.Get("nonce")+" ") || !strings.Contains(" "+all, " "+id) || len(state) != 43 || len(id) != 22 {
			t.Errorf("state, nonce or the session's id is not of what was drawn")
		}
		break
	}
	t.Logf("%d draws were tried", d.nth)
	if d.nth < 8 {
		t.Error("a login draws more often than that")
	}
}

// oneLogin is a login from the click to the session; no value means that it ended on its way.
func oneLogin(t *testing.T, handler http.Handler, provider *emulator.Emulator, d *drawn) (location *url.URL, value string) {
	send := func(h http.Handler, target string, cookies []string) (w *httptest.ResponseRecorder) {
		w = httptest.NewRecorder()
		r := httptest.NewRequest("GET", target, http.NoBody)
		r.Header = navigation()
		r.Header["Cookie"] = cookies
		defer func() {
			if v := recover(); v != nil && (v != any(errNoEntropy) || len(w.Body.String()) > 0 || w.Code != 200 || w.Flushed) {
				t.Errorf("draw %d: %v after %d %s", d.nth, v, w.Code, w.Body)
			} else if v != nil {
				w = nil // the process is over
			}
		}()
		h.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "no entropy") {
			t.Errorf("draw %d: the person reads why", d.nth)
		}
		return w
	}
	w := send(handler, "http://127.0.0.1:4193/_vipps/login?rd=/", nil)
	if w == nil || w.Code != http.StatusFound {
		return nil, ""
	}
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, line := range w.Header()["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		cookies = append(cookies, pair)
	}
	d.paused = true
	back := send(provider, location.String(), nil)
	d.paused = false
	if w = send(handler, back.Header().Get("Location"), cookies); w == nil {
		return location, ""
	}
	for _, line := range w.Header()["Set-Cookie"] {
		if pair, _, _ := strings.Cut(line, ";"); strings.HasPrefix(pair, "vippsauth=1") {
			value = strings.TrimPrefix(pair, "vippsauth=")
		}
	}
	return location, value
}
