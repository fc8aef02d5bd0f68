package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var betweenTags = regexp.MustCompile(`>\s+<`)

var badDayPath = regexp.MustCompile(`/bad-day/([0-9]+)\?`)

// atItsWorst puts a between where the service was and tries each fault, with a session and without, as a person and as a
// script, all at once: the fault is chosen by the path that is judged.
func atItsWorst(t *testing.T, f *front, d differs) {
	if d.inProcess {
		providerAtItsWorst(t, f, d)
		return
	}
	in := f.loggedIn()
	normal := f.service.cmd.Args[1:]
	all, before := faults(), f.app.hits()
	ask := badDay{f: f, d: d, session: in.cookies(f.origin)}
	start := f.moveService()
	t.Run("refuses connections", func(t *testing.T) { ask.everybody(t, "/down", fault{}, d.waits) })
	betweens := start(t, d.waits+time.Second, func(asked []byte) *fault {
		if m := badDayPath.FindSubmatch(asked); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			return &all[n]
		}
		return nil
	})
	ready := func() bool { return in.send(http.MethodGet, f.origin+"/", fetching(), nil).StatusCode == http.StatusOK }
	eventually(t, "the service is asked again", ready)
	var slow, quick sync.WaitGroup
	for i, fl := range all {
		group := &quick
		if fl.hangs || fl.late {
			group = &slow
			if d.hurried {
				continue
			}
		}
		group.Go(func() { ask.everybody(t, fmt.Sprintf("/bad-day/%d?x=1", i), fl, d.waits) })
	}
	quick.Wait()
	if !d.hurried {
		goOn := standStill(t, f.service)
		slow.Go(func() { ask.everybody(t, "/stands-still", fault{name: "stands still", hangs: true}, d.waits) })
		slow.Wait()
		goOn()
	}
	ask.nobodyPassed(t, all, f.app.since(before))
	for _, b := range betweens {
		b.stop()
	}
	f.restart(syscall.SIGTERM, normal...)
	eventually(t, "the service is asked as before", ready)
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the session afterwards: %d at %v", a.StatusCode, in.trail)
	}
}

// moveService starts the service at other addresses, and gives what puts something in its place.
func (f *front) moveService() func(*testing.T, time.Duration, func([]byte) *fault) []*between {
	moved := map[[2]string]string{} // setting and old address → new address
	flags := slices.Clone(f.service.cmd.Args[1:])
	for i, flag := range flags {
		name, at, _ := strings.Cut(flag, "=")
		if dialects[name] != nil {
			moved[[2]string{name, at}] = freeAddr(f.t)
			flags[i] = name + "=" + moved[[2]string{name, at}]
		}
	}
	f.restart(syscall.SIGTERM, flags...)
	return func(t *testing.T, late time.Duration, which func([]byte) *fault) (all []*between) {
		for from, to := range moved {
			b := &between{to: to, which: which, late: late}
			b.start(t, from[1], dialects[from[0]])
			all = append(all, b)
		}
		return all
	}
}

// standStill stops a process in its tracks, and gives what lets it go on.
func standStill(t *testing.T, p *process) func() {
	t.Helper()
	goOn := sync.OnceFunc(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
	t.Cleanup(goOn)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.name+" stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)) // proc(5): the state follows the name
		return err == nil && strings.Contains(string(stat), ") T ")
	})
	return goOn
}

// badDay asks on bad days, and looks at what comes.
type badDay struct {
	f       *front
	d       differs
	session []*http.Cookie
}

// everybody asks as a person and as a script, with a session and without.
func (k badDay) everybody(t *testing.T, path string, fl fault, wait time.Duration) {
	t.Helper()
	client := &http.Client{
		Timeout: time.Minute, Transport: k.f.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var all sync.WaitGroup
	for _, in := range []bool{true, false} {
		for _, h := range []http.Header{navigation(), fetching()} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.f.origin+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = h
			for _, c := range k.session {
				if in {
					r.AddCookie(c)
				}
			}
			all.Go(func() {
				begin := time.Now()
				w, err := client.Do(r)
				if err != nil {
					if in || fl.cut != inBody && fl.cut != inBodyOfYes || !k.f.http3 { // a stream that is reset takes what has come with it
						t.Errorf("%s: %v", fl.name, err)
					}
					return
				}
				defer w.Body.Close()
				text, err := io.ReadAll(w.Body)
				if wrong := k.wrong(fl, answer{w, string(text)}, err, in); wrong != "" {
					t.Errorf("%s (session %t, %s): %s: %d %v %s", fl.name, in, h.Get("Sec-Fetch-Mode"), wrong, w.StatusCode, w.Header, answer{w, string(text)}.words())
				}
				if took := time.Since(begin); took > 2*wait+10*time.Second {
					t.Errorf("%s: the answer took %s", fl.name, took)
				}
			})
		}
	}
	all.Wait()
}

// wrong says what is wrong with an answer on a bad day; "": nothing.
func (k badDay) wrong(fl fault, a answer, err error, in bool) string {
	if o := fl.theirs; o != nil && slices.Contains(k.d.believes, o.status) && a.StatusCode == http.StatusOK {
		return "" // nobodyPassed looks at what the app has got
	} else if o != nil && slices.Contains(k.d.passesOn, o.status) && a.StatusCode == o.status {
		return ""
	}
	// All that matters of these answers has arrived, and some front ends want no more than that.
	refusal := slices.Contains([]int{http.StatusFound, http.StatusUnauthorized}, a.StatusCode)
	if (fl.cut == inBody || fl.cut == inBodyOfYes && !in) && (in && a.StatusCode == http.StatusOK || !in && refusal) || fl.cut == inBodyOfYes && in && a.StatusCode == http.StatusOK {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	return k.d.awayPage(a, a.Request.Header.Get("Sec-Fetch-Mode") == "navigate")
}

// awayStatus is what everybody gets while nobody can judge.
func (d differs) awayStatus() int {
	if d.bare > 0 {
		return d.bare
	}
	return http.StatusServiceUnavailable
}

// awayPage says what is wrong with the page that people see while nobody can judge, and with what scripts get; "": nothing.
func (d differs) awayPage(a answer, person bool) string {
	kind := a.Header["Content-Type"]
	switch {
	case a.StatusCode != d.awayStatus():
		return "the status"
	case d.bare > 0 && (a.text == "" || strings.Contains(a.text, "<center>nginx")):
		return ""
	case len(kind) != 1 || strings.Contains(a.text, "goroutine"):
		return "the page"
	case a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Retry-After") != "60":
		return "Cache-Control or Retry-After"
	case !person && d.tellsScripts && (kind[0] != "application/json" || a.text != `{"error":"login_unavailable"}`):
		return "the words to a script"
	case (person || !d.tellsScripts) && (kind[0] != "text/html; charset=utf-8" || betweenTags.ReplaceAllString(strings.TrimSpace(a.text), "><") != awayHTML):
		return "the words to a person"
	}
	return ""
}

// awayHTML is the page everywhere, but for line ends between its tags.
const awayHTML = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>Login is not available</title><body style="font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:12vh auto;padding:0 1em"><h1 style="font-size:1.5em;line-height:1.25">Login is not available just now</h1><p>Nothing was sent to the site. Try again in a minute.</p><p lang="nb">Innlogging er ikke tilgjengelig akkurat n&aring;. Ingenting ble sendt til nettstedet. Pr&oslash;v igjen om et minutt.</p></body></html>`

// nobodyPassed looks at what the app has got all day: people with a session, where the answer about them was whole in all
// that matters, or nobody at all, where another server's answer is taken for a yes.
func (k badDay) nobodyPassed(t *testing.T, all []fault, got []seen) {
	t.Helper()
	for _, s := range got {
		m := badDayPath.FindStringSubmatch(s.URI)
		if s.URI == "/" {
			continue
		} else if m == nil {
			t.Errorf("the app was asked for %s", s.URI)
			continue
		}
		n, _ := strconv.Atoi(m[1])
		fl := all[n]
		known := s.Header.Get("X-Vipps-Auth") == "authenticated" && s.Header.Get("X-Vipps-Sub") != ""
		nobody := s.Header.Get("X-Vipps-Sub") == "" && !slices.Contains([]string{"authenticated", "anonymous"}, s.Header.Get("X-Vipps-Auth"))
		switch {
		case known && (fl.cut == inBody || fl.cut == inBodyOfYes):
		case nobody && fl.theirs != nil && slices.Contains(k.d.believes, fl.theirs.status):
		default:
			t.Errorf("%s: the app was asked, by %q", fl.name, s.Header.Get("X-Vipps-Auth"))
		}
	}
}

// providerAtItsWorst does the same where no service is asked: sessions need nobody, and who logs in meets the provider's
// faults when the code is redeemed, and gets a page of ours.
func providerAtItsWorst(t *testing.T, f *front, d differs) {
	in := f.loggedIn()
	issuer, err := url.Parse(f.vipps.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.closeVipps(); err != nil {
		t.Fatal(err)
	}
	moved := unstarted(t, strconv.Itoa(freePort(t)), f.vipps.Emulator)
	moved.Start()
	t.Cleanup(moved.Close)
	all := faults()
	var codes sync.Map // code → fault
	b := &between{to: moved.Listener.Addr().String(), late: d.waits + time.Second, which: func(asked []byte) *fault {
		_, body, _ := strings.Cut(string(asked), "\r\n\r\n")
		form, _ := url.ParseQuery(body)
		if fl, ok := codes.Load(form.Get("code")); ok && form.Get("code") != "" {
			return fl.(*fault)
		}
		return nil
	}}
	b.start(t, issuer.Host, dialects["--listen"])
	hits := f.app.hits()
	var open sync.WaitGroup
	for _, fl := range all {
		who := f.browser()
		a := who.send(http.MethodGet, f.origin+"/new", navigation(), nil)
		for !a.Request.URL.Query().Has("redirect_uri") || a.Header.Get("Location") == "" || !strings.Contains(a.Header.Get("Location"), "code=") {
			to, err := a.Location()
			if err != nil {
				t.Fatalf("the way to the provider: %d at %s", a.StatusCode, a.Request.URL)
			}
			a = who.send(http.MethodGet, to.String(), navigation(), nil)
		}
		back, err := a.Location()
		if err != nil {
			t.Fatal(err)
		}
		codes.Store(back.Query().Get("code"), &fl)
		open.Go(func() { comesBack(t, who, back, fl, d.waits) })
	}
	for range 3 {
		if a := in.open(f.origin + "/still"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
			t.Errorf("a session: %d at %v", a.StatusCode, in.trail)
		}
	}
	open.Wait()
	for _, got := range f.app.since(hits) {
		if got.URI != "/still" {
			t.Errorf("the app was asked for %s", got.URI)
		}
	}
	b.stop()
	serveOn(f.t, issuer.Port(), f.vipps.Emulator)
	f.loggedIn()
}

// comesBack redeems a code at a provider that fails.
func comesBack(t *testing.T, who *browser, back *url.URL, fl fault, wait time.Duration) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back.String(), http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header = navigation()
	begin := time.Now()
	w, err := who.client.Do(r)
	for err == nil && w.StatusCode/100 == 3 {
		_ = w.Body.Close()
		if r.URL, err = w.Location(); err == nil {
			w, err = who.client.Do(r)
		}
	}
	if err != nil {
		t.Errorf("%s: %v", fl.name, err)
		return
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	page := answer{w, string(text)}
	if err != nil || w.StatusCode != http.StatusServiceUnavailable && w.StatusCode != http.StatusBadGateway || w.Header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(w.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.text, "Try again") || strings.Contains(page.text, "goroutine") {
		t.Errorf("%s: %d %v %s", fl.name, w.StatusCode, w.Header, page.words())
	}
	if took := time.Since(begin); took > 2*wait+10*time.Second {
		t.Errorf("%s: the page took %s", fl.name, took)
	}
}

// appDown: an application that doesn't answer isn't taken for a login that doesn't.
func appDown(t *testing.T, f *front) {
	t.Helper()
	in := f.loggedIn()
	for _, status := range []int{401, 500, 502, 503, 504} {
		a := in.send(http.MethodGet, f.origin+"/status-of-app?"+strconv.Itoa(status), navigation(), nil)
		if a.StatusCode != status || !strings.Contains(a.text, "app: its own error") {
			t.Errorf("the app's own %d: %d %s", status, a.StatusCode, a.words())
		}
	}
	f.app.srv.Close()
	a := in.send(http.MethodGet, f.origin+"/", navigation(), nil)
	if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, "The site does not answer just now") || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the app is down: %d %s", a.StatusCode, a.words())
	}
	a = in.send(http.MethodGet, f.origin+"/", fetching(), nil)
	if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, `"application_unavailable"`) {
		t.Errorf("the app is down, to a script: %d %s", a.StatusCode, a.text)
	}
	if a := f.browser().send(http.MethodGet, f.origin+"/", navigation(), nil); a.StatusCode != http.StatusFound {
		t.Errorf("the app is down, without a session: %d", a.StatusCode)
	}
}
