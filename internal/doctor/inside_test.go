package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSpelling(t *testing.T) {
	t.Parallel()
	const name = "Åse Ødegård"
	for page, want := range map[string]string{
		"X-Vipps-Name: Åse Ødegård\n":                             "utf-8",
		"<td>&Aring;se &Oslash;deg&aring;rd</td>":                 "utf-8",
		"<td>&#197;se &#216;deg&#xe5;rd</td>":                     "utf-8",
		`{"X-Vipps-Name":["\u00c5se \u00d8deg\u00e5rd"]}`:         "utf-8",
		"name=Ã\u0085se Ã\u0098degÃ¥rd":                           "mojibake",
		"name=Ã…se Ã˜degÃ¥rd":                                     "mojibake",
		`{"name":"\u00c3\u0085se \u00c3\u0098deg\u00c3\u00a5rd"}`: "mojibake",
		"name=\xc5se \xd8deg\xe5rd":                               "latin1",
		"name=%C3%85se%20%C3%98deg%C3%A5rd":                       "percent",
		"name=%C3%85se+%C3%98deg%C3%A5rd":                         "percent",
		"name=w4VzZSDDmGRlZ8OlcmQ":                                "base64url",
		"name=Aase Oedegaard":                                     "ascii",
		"name=Ase Odegard":                                        "ascii",
		"name=?se ?deg?rd":                                        "dropped",
		"name=se degrd":                                           "dropped",
		"name=":                                                   "",
		"nothing of the kind":                                     "",
	} {
		if got := spelling(name, page); got != want {
			t.Errorf("%q is %q, want %q", page, got, want)
		}
	}
}

// A page in Latin-1 is read as one: UTF-8 in it is mojibake, and Latin-1 is right.
func TestText(t *testing.T) {
	t.Parallel()
	const name = "Åse Ødegård"
	for _, tt := range []struct{ kind, body, want string }{
		{"text/html; charset=utf-8", name, "utf-8"},
		{"text/html", name, "utf-8"},
		{"text/html; charset=ISO-8859-1", name, "mojibake"},
		{"text/html", `<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">` + name, "mojibake"},
		{"text/html", `<meta charset='windows-1252'>` + latin1(name), "utf-8"},
		{"text/html; charset=utf-8", latin1(name), "latin1"},
	} {
		w := &answer{header: http.Header{"Content-Type": {tt.kind}}, body: tt.body}
		if got := spelling(name, w.text()); got != tt.want {
			t.Errorf("%s %q is %q, want %q", tt.kind, tt.body, got, tt.want)
		}
	}
}

func FuzzSpelling(f *testing.F) {
	f.Add("Åse Ødegård", "<td>&Aring;se", "text/html; charset=latin1")
	f.Add("", "", "")
	f.Add("é", "%C3%A9", "charset=")
	f.Fuzz(func(t *testing.T, name, page, kind string) {
		w := &answer{header: http.Header{"Content-Type": {kind}}, body: page}
		if got := spelling(name, w.text()); name != "" && got == "" && strings.Contains(w.text(), name) {
			t.Errorf("%q isn't found in %q", name, page)
		}
	})
}

// Over http, and not on this machine: everybody on the way can read along.
func TestPlainSite(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	v := Site{URL: &url.URL{Scheme: "http", Host: "app.example.com"}, Now: time.Now}.visit()
	v.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	if !v.reach(t.Context()) || len(v.list) != 1 || v.list[0].Level != Problem || !strings.Contains(v.list[0].Cure, "public_url") {
		t.Errorf("%+v", v.list)
	}
}

func TestPathFault(t *testing.T) {
	t.Parallel()
	const want = "/a%20b?x=1&y=%C3%A5%26b+c"
	for got, word := range map[string]string{
		want:                          "",
		"/a%20b":                      "query",
		"/a%20b?x=1":                  "query",
		"/a b?x=1&y=å&b c":            "decoded",
		"/a%2520b?x=1&y=%C3%A5%26b+c": "not what was asked",
		"/_vipps/authz/challenge":     "proxy's own question",
		"/_vipps_auth_request":        "proxy's own question",
		"/":                           "query",
		"/elsewhere":                  "not what was asked",
	} {
		fault, cure := pathFault(got, want)
		if word == "" && fault != "" || !strings.Contains(fault, word) || fault != "" && cure == "" {
			t.Errorf("%s: %q %q, want %q", got, fault, cure, word)
		}
	}
}

// What goes over the wire is one request, whatever stands in it.
func TestAskIsOneRequest(t *testing.T) {
	t.Parallel()
	a := asker{target: &url.URL{Scheme: "https", Host: "app.example.com"}, userAgent: "vippsauth-doctor/dev"}
	got := a.text(ask{at: a.target, path: "/x?y=1", header: []string{"x_vipps_sub: me"}})
	want := "GET /x?y=1 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: vippsauth-doctor/dev\r\nx_vipps_sub: me\r\nConnection: close\r\n\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	got = a.text(ask{at: a.target, method: "POST", path: "/", header: []string{"Connection: close, X-Vipps-Sub"}, body: "rd=%2F"})
	if strings.Count(got, "Connection:") != 1 || !strings.HasSuffix(got, "Content-Length: 6\r\n\r\nrd=%2F") {
		t.Errorf("%q", got)
	}
}

// What comes from outside is printed on one line, and does nothing to a terminal.
func TestClean(t *testing.T) {
	t.Parallel()
	if got := short("a\x1b[31mb\nc\u009bd" + strings.Repeat("x", 300)); strings.ContainsAny(got, "\x1b\n\u009b") || len([]rune(got)) > 161 {
		t.Errorf("%q", got)
	}
	var text strings.Builder
	(&Report{About: "https://app.example.com/", Findings: []Finding{{Problem, "callback", "it is\naway", "nobody\x1b can log in", "bring it back"}}}).Print(&text)
	if want := "problem  callback          It is away. Nobody  can log in. Cure: Bring it back.\n\nhttps://app.example.com/: 1 problem, 0 warnings, 0 requests\n"; text.String() != want {
		t.Errorf("%q", text.String())
	}
}

// A certificate that is made for a few hours is no old one.
func TestCertificateEnds(t *testing.T) {
	t.Parallel()
	begins := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for life, want := range map[time.Duration]time.Duration{
		365 * 24 * time.Hour: 14 * 24 * time.Hour,
		90 * 24 * time.Hour:  14 * 24 * time.Hour,
		6 * 24 * time.Hour:   24 * time.Hour,
		12 * time.Hour:       2 * time.Hour,
	} {
		if got := certificateEnds(&x509.Certificate{NotBefore: begins, NotAfter: begins.Add(life)}); got != want {
			t.Errorf("one for %s should be renewed %s before its end, want %s", life, got, want)
		}
	}
	for d, want := range map[time.Duration]string{11*time.Hour + 59*time.Minute: "11 hours", 49 * time.Hour: "2 days", 89*24*time.Hour + time.Hour: "89 days"} {
		if got := span(d); got != want {
			t.Errorf("%s is %q", d, got)
		}
	}
}
