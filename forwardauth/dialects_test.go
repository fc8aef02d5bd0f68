package forwardauth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	hostileHost   = "app.localhost"
	hostileSecret = "correct horse battery"
)

// outcome is what has to come of a question from a trusted peer.
type outcome int

const (
	passes      outcome = iota // with a session; to the login without
	stranger                   // its cookies hold no session: to the login
	refused                    // 401: it doesn't say plainly what is to be judged
	denied                     // 403: who asks, the policy, or an alias
	forbidden                  // 403 with a session that the policy doesn't let pass
	misdirected                // 421: not one of our hosts
	unreadable                 // 400: it is no question at all
	unread                     // whoever reads the bytes refuses them, or closes, before anything is judged
)

// status is the one that a dialect answers with.
func (o outcome) status(dialect string, session, loads bool) int {
	toLogin := http.StatusFound
	if dialect == "auth-request" || !loads {
		toLogin = http.StatusUnauthorized
	}
	switch o {
	case passes:
		switch {
		case !session:
			return toLogin
		case dialect == "challenge": // which never lets anything pass
			return http.StatusForbidden
		}
		return http.StatusOK
	case stranger:
		return toLogin
	case forbidden:
		if !session {
			return toLogin
		}
		return http.StatusForbidden
	case refused:
		return http.StatusUnauthorized
	case unreadable:
		return http.StatusBadRequest
	case misdirected:
		if dialect != "auth-request" { // 200, 401 or 403, nothing else ever
			return http.StatusMisdirectedRequest
		}
	}
	return http.StatusForbidden
}

// A row is one line of the table.
type row struct {
	name   string
	change func(*question)
	want   outcome
	but    map[string]outcome // in some dialects
	cannot map[string]string  // why a dialect can't express it
}

// Attack: every dialect is told the same hostile things about a request, by the proxy and by somebody who isn't, with a
// live session, so that any mistake is a 200.
func TestSec_C062_EveryDialect(t *testing.T) {
	t.Parallel()
	l := newDialectLab(t)
	names := map[string]bool{}
	for _, r := range hostileTable() {
		if names[r.name] {
			t.Errorf("%q is there twice", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) { l.row(t, r) })
	}
	if len(names) < 60 {
		t.Errorf("%d rows", len(names))
	}
}

// row asks in every dialect that can express it.
func (l *dialectLab) row(t *testing.T, r row) {
	for _, d := range dialects() {
		if _, ok := r.cannot[d.name]; ok {
			continue
		}
		for _, trusted := range []bool{true, false} {
			for _, session := range []bool{true, false} {
				l.try(t, fmt.Sprintf("%s, trusted %t, session %t", d.name, trusted, session), r, d, trusted, session)
			}
		}
	}
}

// try asks once and holds the answer and the log against the row.
func (l *dialectLab) try(t *testing.T, where string, r row, d dialect, trusted, session bool) {
	t.Helper()
	q := plainQuestion()
	r.change(&q)
	l.fill(&q, d, session)
	want := r.want
	if other, ok := r.but[d.name]; ok {
		want = other
	}
	l.clock.advance(time.Minute) // or the log would say it once only
	l.log.TakeAll()
	a, err := d.ask(l, q, trusted)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	if want == unread {
		if a.status != 0 && (a.status < 400 || a.status > 499) && a.status != 501 && a.status != 505 {
			t.Errorf("%s: %d", where, a.status)
		}
	} else {
		if !trusted {
			want = denied
		}
		loads := slices.Equal(q.method, []string{"GET"}) || slices.Equal(q.method, []string{"HEAD"})
		if code := want.status(d.name, session, loads); a.status != code {
			t.Errorf("%s: %d, want %d: %.100s", where, a.status, code, a.body)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: an answer of ours may be kept: %v", where, a.header)
		}
	}
	l.checkReply(t, where, q, a)
	l.checkLog(t, where, slices.Contains([]outcome{refused, denied, misdirected, unreadable}, want))
}

// fill puts the cookies into a question, and takes out what the dialect reads itself of the client's lines.
func (l *dialectLab) fill(q *question, d dialect, session bool) {
	aase, per := "none", "none"
	if session {
		aase, per = l.sessions[phoneAase], l.sessions[phonePer]
	}
	replace := strings.NewReplacer("$session", "__Host-vippsauth="+aase, "$value", aase, "$per", "__Host-vippsauth="+per)
	q.cookie = slices.Clone(q.cookie)
	for i := range q.cookie {
		q.cookie[i] = replace.Replace(q.cookie[i])
	}
	q.client = slices.DeleteFunc(slices.Clone(q.client), func(line [2]string) bool {
		return line[0] != "X-Forwarded-Prefix" && slices.ContainsFunc(d.own, func(own string) bool { return strings.EqualFold(own, line[0]) })
	})
}

// checkReply: identity with 200 only, whole and the person's own; nothing set; no way off the site.
func (l *dialectLab) checkReply(t *testing.T, where string, q question, a reply) {
	t.Helper()
	names := l.engine.HeaderNames()
	if a.status == http.StatusOK {
		if a.body != "" {
			t.Errorf("%s: allowed, with %q", where, a.body)
		}
		for _, name := range names {
			if len(a.header[name]) != 1 || strings.Contains(a.header.Get(name), "evil") {
				t.Errorf("%s: allowed with %s %q", where, name, a.header[name])
			}
		}
		if a.header.Get("X-Vipps-Auth") != "authenticated" || a.header.Get("X-Vipps-Name") != "Åse Ødegård" || a.header.Get("X-Vipps-Phone-Number") != phoneAase {
			t.Errorf("%s: allowed as %v", where, a.header)
		}
	} else {
		for name := range a.header {
			if strings.HasPrefix(strings.ToLower(name), "x-vipps-") && name != "X-Vipps-Login-Url" {
				t.Errorf("%s: %s with %d", where, name, a.status)
			}
		}
	}
	if a.header["Set-Cookie"] != nil {
		t.Errorf("%s: a cookie is set", where)
	}
	const login = "https://" + hostileHost + "/_vipps/login"
	for _, name := range []string{"Location", "X-Vipps-Login-Url"} {
		to := a.header.Get(name)
		if to != "" && to != login && !strings.HasPrefix(to, login+"?rd=%2F") {
			t.Errorf("%s: to %q", where, to)
		}
		if name == "Location" && to != "" && slices.Equal(q.uri, plainQuestion().uri) && len(q.policy) == 0 && to != login+"?rd=%2Fa%3Fb%3Dc" {
			t.Errorf("%s: comes back by %q", where, to)
		}
	}
	for _, harm := range []string{`"https://evil`, `"//evil`, `"/\evil`, `"><script>`} {
		if strings.Contains(a.body, harm) {
			t.Errorf("%s: the answer has %s", where, harm)
		}
	}
}

// checkLog: a refusal names its cure, and nothing from outside is in the log at length, in control bytes or as a session.
func (l *dialectLab) checkLog(t *testing.T, where string, cured bool) {
	t.Helper()
	found := false
	for _, entry := range l.log.TakeAll() {
		fields := entry.ContextMap()
		cure, _ := fields["cure"].(string)
		found = found || cure != "" && entry.Level >= zapcore.WarnLevel
		for key, value := range fields {
			text := fmt.Sprint(value)
			if len(text) > 250 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
				t.Errorf("%s: the log has %s %.300q", where, key, text)
			}
			for _, session := range l.sessions {
				if strings.Contains(text, session[:20]) {
					t.Errorf("%s: a session is in the log", where)
				}
			}
			if strings.Contains(text, hostileSecret) {
				t.Errorf("%s: the proxy's secret is in the log", where)
			}
		}
	}
	if cured && !found {
		t.Errorf("%s: the log names no cure", where)
	}
}

// in gives the same outcome or reason for several dialects.
func in[T any](value T, names ...string) map[string]T {
	m := make(map[string]T, len(names))
	for _, name := range names {
		m[name] = value
	}
	return m
}
