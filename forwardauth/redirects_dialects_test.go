package forwardauth_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: what a proxy says of a request is in part the client's own: its path, its host, and whatever header the proxy
// passes on as it came. In every dialect the login that follows comes back to the site.
func TestSec_C001_C003_B035_B036_EveryDialect(t *testing.T) {
	t.Parallel()
	l := newDialectLab(t)
	places := map[string]func(q *question, line string){
		"the path":          func(q *question, line string) { q.uri = []string{line} },
		"the host":          func(q *question, line string) { q.host = []string{line} },
		"the end of a host": func(q *question, line string) { q.host = []string{hostileHost + line} },
		"the scheme":        func(q *question, line string) { q.scheme = []string{line} },
		"the prefix":        func(q *question, line string) { q.client = append(q.client, [2]string{"X-Forwarded-Prefix", line}) },
		"its Host":          func(q *question, line string) { q.front = line },
		"its query": func(q *question, line string) {
			q.query = "?rd=" + url.QueryEscape(line) + "&url=" + url.QueryEscape(line)
		},
		"Referer": func(q *question, line string) {
			q.client = [][2]string{{"Sec-Fetch-Mode", "cors"}, {"Referer", line}, {"X-Auth-Request-Redirect", line}, {"X-Original-URI", line}}
		},
		"Referer of the site": func(q *question, line string) {
			q.client = [][2]string{{"Sec-Fetch-Mode", "cors"}, {"Referer", "https://" + hostileHost + line}}
		},
	}
	for i, r := range returnURLs(t) {
		if strings.ContainsAny(r.line, "\r\n\x00") || len(r.line) > 8000 {
			continue // these bytes end a line: the rows of hostileTable have them
		}
		for place, put := range places {
			if place != "the path" && i%6 != 0 {
				continue
			}
			for j, d := range dialects() {
				if place != "the path" && place != "the prefix" && (i/6+j)%2 != 0 {
					continue
				}
				q := plainQuestion()
				put(&q, r.line)
				l.fill(&q, d, false)
				a, err := d.ask(l, q, true)
				what := d.name + ", " + place + ": " + clipped(r.line)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				l.checkLeads(t, what, place, r, a)
			}
		}
	}
}

// checkLeads: an answer leads to the site's own login and to nowhere else, and that comes back to a page of the site.
func (l *dialectLab) checkLeads(t *testing.T, what, place string, r returnURL, a reply) {
	t.Helper()
	const site = "https://" + hostileHost
	for _, wrong := range forwardauth.WaysOff(site+"/x", a.header, a.body, site) {
		t.Errorf("%s: I3: %.200q", what, wrong)
	}
	if a.status >= 500 || a.status == http.StatusOK {
		t.Errorf("%s: %d", what, a.status)
	}
	for _, to := range slices.Concat(a.header["Location"], a.header["X-Vipps-Login-Url"]) {
		if to == site+"/_vipps/login" {
			continue
		}
		u, err := url.Parse(to)
		if err != nil || u.Path != "/_vipps/login" || len(u.Query()) != 1 || len(u.Query()["rd"]) != 1 {
			t.Errorf("%s: to %.200q", what, to)
			continue
		}
		rd := u.Query().Get("rd")
		if forwardauth.BrowserOrigin(site, rd) != site || !strings.HasPrefix(rd, "/") || strings.HasPrefix(rd, "//") {
			t.Errorf("%s: comes back to %.200q", what, rd)
		}
		if place == "the path" && rd != r.want && strings.Trim(r.line, " \t") == r.line { // blanks at its ends are not the header's
			t.Errorf("%s: comes back to %.200q, want %q", what, rd, r.want)
		}
	}
}
