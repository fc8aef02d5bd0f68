package integration_test

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A battery drives the corpus through one way into a site.
type battery struct {
	f     *front
	judge *judge
	send  func(t testing.TB, s shot) []reply // answers to what may be several requests
	good  *wire                              // of somebody who has a session and does no harm
	own   *process                           // ours among those that run
	twice bool                               // each request is sent again, to be answered the same
	files []string                           // of the corpus; nil: all but those of return URLs, which have tests of their own behind proxies
	shots int
}

// Every line of the corpus at every endpoint, behind everything that the site can be behind, with a session and without.
func TestSec_B109_Corpus(t *testing.T) {
	t.Parallel()
	lines, ids := hostileLines(t), newTally()
	t.Run("through", func(t *testing.T) {
		for name, start := range batteries() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := start(t)
				b.run(t, lines, ids)
			})
		}
	})
	ids.report(t)
}

// batteries are the ways into a site. Each says which answers a server in front gives of its own accord.
func batteries() map[string]func(t *testing.T) *battery {
	asked := func(program string, j judge, start func(t *testing.T, f *front)) func(t *testing.T) *battery {
		return func(t *testing.T) *battery {
			if program != "" {
				need(t, program)
			}
			f := newFront(t)
			f.serve("--trusted-proxies=loopback", "--login-limit=off", "--login-limit-total=off")
			start(t, f)
			j.bare = append(slices.Clone(j.bare), http.StatusNotFound) // for what is not for browsers
			return newBattery(t, f, &j, f.service)
		}
	}
	return map[string]func(t *testing.T) *battery{
		"service":                     func(t *testing.T) *battery { return serviceBattery(t, "127.0.0.1") },
		"service asked by a stranger": func(t *testing.T) *battery { return serviceBattery(t, "127.0.0.2") },
		"sidecar": func(t *testing.T) *battery {
			f := newFront(t)
			f.sidecar("--login-limit=off", "--login-limit-total=off")
			b := newBattery(t, f, &judge{excuses: goExcuses()}, f.service)
			b.twice, b.files = true, hostileFiles
			return b
		},
		"nginx":              asked("nginx", judge{excuses: goExcuses(excuse{503, headerNoGoReads}), bare: []int{301, 405}}, func(t *testing.T, f *front) { startNginx(t, f) }),
		"haproxy":            asked("haproxy", judge{excuses: goExcuses(excuse{503, headerNoGoReads}, excuse{500, targetNoHAProxyReads}), trailers: true}, func(t *testing.T, f *front) { startHAProxy(t, f) }),
		"caddy forward_auth": asked("", judge{excuses: goExcuses(excuse{502, bodyNoCaddyReads}, excuse{503, bodyNoCaddyReads}), caddy: true, trailers: true, bare: []int{405}}, startCaddyForwardAuth),
		"caddy module": func(t *testing.T) *battery {
			b := moduleBattery(t, "", func(f *front) string { return moduleSite(f, unlimited) })
			b.twice = true
			return b
		},
		"caddy module, HTTP 2": func(t *testing.T) *battery {
			return moduleBattery(t, ownTLS, func(f *front) string {
				f.overTLS()
				f.tls = moduleTLS()
				return strings.Replace(moduleSite(f, unlimited), "log\n", "log\n\ttls internal\n", 1)
			}, "name", "phone number", "e-mail address").overHTTP2() // see TestSec_D21_PassthroughOfAnAppThatClosesEarly
		},
		"caddy module, h2c": func(t *testing.T) *battery {
			b := moduleBattery(t, "\tservers {\n\t\tprotocols h1 h2c\n\t}\n", func(f *front) string { return moduleSite(f, unlimited) }, "name", "phone number", "e-mail address").overHTTP2()
			b.files = []string{"headers.txt", "cookies.txt"}
			return b
		},
	}
}

// unlimited lets one address start as many logins as a corpus does.
const unlimited = "login_limit off\n\t\tlogin_limit_total off"

// moduleBattery is a Caddy with the module, and with its admin API, which says what it uses.
func moduleBattery(t *testing.T, options string, site func(f *front) string, except ...string) *battery {
	f := newFront(t)
	f.secrets.add("client secret", clientSecret)
	admin, text := freeAddr(t), site(f)
	f.judge = runCaddy(t, f, write(t, "Caddyfile", caddyfile(t, "\tadmin "+admin+"\n"+options, text)))
	f.checkLog(f.judge, except...)
	f.ops = admin
	return newBattery(t, f, &judge{excuses: goExcuses(excuse{502, bodyNoCaddyReads}), caddy: true, bare: []int{404, 405}}, f.judge)
}

// serviceBattery is the standalone service, as a proxy or a stranger reaches it.
func serviceBattery(t *testing.T, from string) *battery {
	f := newFront(t)
	f.addr, f.ops = "127.0.0.1:"+f.port(), freeAddr(t)
	// With somebody who may start logins by phone, there is a landing too.
	f.serve("--trusted-proxies=127.0.0.1", "--login-limit=off", "--login-limit-total=off", "--merchant-callers=till=sha256:"+strings.Repeat("5e", 32))
	b := newBatteryFrom(t, from, f, &judge{direct: true, trusts: from == "127.0.0.1", excuses: goExcuses()}, f.service)
	if b.twice, b.files = b.judge.trusts, hostileFiles; !b.judge.trusts {
		b.files = []string{"headers.txt", "forwarded.txt", "methods.txt"}
	}
	return b
}

func newBattery(t *testing.T, f *front, j *judge, own *process) *battery {
	return newBatteryFrom(t, "127.0.0.1", f, j, own)
}

// newBatteryFrom logs two people in and looks at how the app gets to know them.
func newBatteryFrom(t *testing.T, from string, f *front, j *judge, own *process) *battery {
	t.Helper()
	scheme, host, _ := strings.Cut(f.origin, "://")
	j.visitor = visitor{host: host, origin: f.origin, provider: strings.TrimSuffix(f.vipps.URL, "/") + "/", name: "vippsauth", otherName: "__Host-vippsauth", values: map[string]string{}}
	if scheme == "https" {
		j.name, j.otherName = j.otherName, j.name
	}
	j.app, j.people, j.subs = f.app, map[string]http.Header{}, map[string]string{}
	j.bare = append(j.bare, 400, 408, 413, 414, 417, 431, 501, 505)
	b := &battery{f: f, judge: j, own: own, good: &wire{addr: "127.0.0.1:" + f.port(), from: from, tls: f.onlyHTTP1()}}
	b.send = b.over(&wire{addr: b.good.addr, from: from, tls: b.good.tls})
	for _, phone := range []string{phonePer, phoneAase} {
		f.as(phone)
		who := f.browser()
		who.open(f.origin + "/_vipps/login?rd=%2F")
		for _, c := range who.cookies(f.origin) {
			if c.Name == j.name {
				j.values[phone] = c.Value
			}
		}
		me := who.send(http.MethodGet, f.origin+"/_vipps/me", fetching(), nil)
		sub := regexp.MustCompile(`"sub":"([^"]+)"`).FindStringSubmatch(me.text)
		if j.values[phone] == "" || sub == nil {
			t.Fatalf("no session: %d at %v", me.StatusCode, who.trail)
		}
		j.subs[phone] = sub[1]
		a := b.ask(t, j.get(b.goodPath(), j.name+"="+j.values[phone], phone))
		if j.people[phone] = identity(a.header); !j.direct {
			j.people[phone] = identity(f.app.last().Header)
		}
		if subs := j.people[phone]["X-Vipps-Sub"]; (!j.direct || j.trusts) && !slices.Equal(subs, sub[1:]) {
			t.Fatalf("%d with %v", a.status, j.people[phone])
		}
	}
	return b
}

func (b *battery) goodPath() string {
	if b.judge.direct {
		return "/_vipps/authz/forward-auth"
	}
	return "/good"
}

// over sends shots over HTTP/1.
func (b *battery) over(w *wire) func(testing.TB, shot) []reply {
	b.f.t.Cleanup(w.close)
	return func(t testing.TB, s shot) []reply {
		if s.alone {
			return w.alone(t, s.bytes, s.method, nextRequest(b.judge.host))
		}
		return []reply{w.ask(t, s.bytes, s.method)}
	}
}

// ask sends a harmless request.
func (b *battery) ask(t testing.TB, s shot) reply { return b.good.ask(t, s.bytes, s.method) }

// overHTTP2 sends shots over HTTP/2.
func (b *battery) overHTTP2() *battery {
	w := &wire2{addr: b.good.addr, tls: b.f.tls}
	b.f.t.Cleanup(w.close)
	b.send = func(t testing.TB, s shot) (answers []reply) {
		for _, r := range asHTTP2(s) {
			answers = append(answers, w.ask(t, r))
		}
		return answers
	}
	b.judge.together = true
	b.judge.excuses = append(b.judge.excuses, excuse{http.StatusBadGateway, lengthNoCaddyReads})
	return b
}

// run fires every line, and looks at what is left of the processes afterwards.
func (b *battery) run(t *testing.T, lines []hostileLine, ids *tally) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l hostileLine) bool {
		return b.files == nil && l.file == "redirect.txt" || b.files != nil && !slices.Contains(b.files, l.file)
	})
	for _, l := range lines { // warm up: what is kept for good is kept by now
		if l.number%10 == 0 {
			b.line(ids.of(t, l), l)
		}
	}
	b.good.close()
	before := b.usage(t)
	for _, l := range lines {
		b.line(ids.of(t, l), l)
	}
	b.good.close()
	b.settled(t, before)
	t.Logf("%d requests of %d lines", b.shots, len(lines))
}

// line fires one line, without and with a session, and then asks as somebody who does no harm.
func (b *battery) line(t testing.TB, l hostileLine) {
	t.Helper()
	for _, session := range []bool{false, true} {
		for _, s := range b.judge.shots(l, session, func() (string, string) { return b.attempt(t, strings.HasPrefix(l.text, "?")) }) {
			var before []reply
			for again := range 2 {
				if again > 0 && !b.twice {
					break
				}
				b.f.app.forget()
				answers := b.send(t, s)
				b.shots++
				b.judge.shot(t, s, answers, b.f.app.since(0))
				if again > 0 {
					b.judge.same(t, s, before, answers)
				}
				before = answers
			}
		}
	}
	b.stillGood(t)
}

// stillGood: the session that all this was sent with is alive, and its owner's, on the connection that it was sent on.
func (b *battery) stillGood(t testing.TB) {
	t.Helper()
	j := b.judge
	b.f.app.forget()
	a := b.send(t, j.get(b.goodPath(), j.name+"="+j.values[phoneAase], phoneAase))[0]
	hits := b.f.app.since(0)
	// What the line itself sent may reach the app late, over HTTP/2: then it is this person's as well.
	good := slices.DeleteFunc(slices.Clone(hits), func(h seen) bool { return h.URI != "/good" })
	switch {
	case j.direct && !j.trusts:
		if a.status != http.StatusForbidden {
			t.Errorf("I8: a stranger is answered %d", a.status)
		}
	case a.status != http.StatusOK, !j.direct && len(good) != 1:
		t.Errorf("I9: afterwards: %d, the app was asked %d times", a.status, len(good))
	case j.direct:
		j.decision(t, shot{where: "afterwards", target: b.goodPath(), who: phoneAase}, a, false)
	default:
		for _, h := range hits {
			j.hit(t, shot{where: "afterwards", who: phoneAase}, h)
		}
	}
}

// attempt starts a login and gives its cookie and its state. That is a secret at the address of the callback; at another one
// it is what a client has written there.
func (b *battery) attempt(t testing.TB, secret bool) (cookie, state string) {
	t.Helper()
	a := b.ask(t, b.judge.get("/_vipps/login?rd=%2Fx", "", ""))
	for _, line := range a.header["Set-Cookie"] {
		if pair, _, _ := strings.Cut(line, ";"); strings.Contains(pair, "-login-") {
			cookie = pair
		}
	}
	m := regexp.MustCompile(`[?&]state=([^&]+)`).FindStringSubmatch(a.header.Get("Location"))
	if m == nil || cookie == "" {
		t.Fatalf("no login starts: %d %v", a.status, a.header)
	}
	if secret {
		b.f.secrets.add("state", m[1])
	}
	return cookie, m[1]
}

// usage is what a process holds.
type usage struct{ files, goroutines, heap int }

func (b *battery) usage(t *testing.T) usage {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(b.own.cmd.Process.Pid), "fd"))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	if b.own == b.f.judge { // Caddy can be told to collect its garbage
		b.f.get("http://" + b.f.ops + "/debug/pprof/heap?gc=1")
	}
	u := usage{files: len(files)}
	in := bufio.NewScanner(strings.NewReader(b.f.get("http://" + b.f.ops + "/metrics").text))
	for in.Scan() {
		name, text, _ := strings.Cut(in.Text(), " ")
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			u.goroutines = int(n)
		case name == "go_memstats_heap_alloc_bytes":
			u.heap = int(n)
		}
	}
	if u.goroutines == 0 || u.heap == 0 {
		t.Fatal("the process doesn't say what it uses")
	}
	return u
}

// settled: nothing of all those requests is left (I4). What the service has not collected yet counts too.
func (b *battery) settled(t *testing.T, before usage) {
	t.Helper()
	var now usage
	within := func() bool {
		now = b.usage(t)
		return now.files <= before.files+4 && now.goroutines <= before.goroutines+6 && now.heap <= before.heap+16<<20
	}
	for begin := time.Now(); !within() && time.Since(begin) < startsWithin; {
		time.Sleep(50 * time.Millisecond)
	}
	if !within() {
		t.Errorf("I4: %s: before %+v, afterwards %+v", b.own.name, before, now)
	}
	if text := b.own.out.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		t.Errorf("I4: %s panicked: %.300s", b.own.name, text[max(strings.Index(text, "panic"), 0):])
	}
}
