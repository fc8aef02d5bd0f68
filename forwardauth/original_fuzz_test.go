package forwardauth

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
)

// FuzzFromExtAuthz: whatever question net/http reads, what is judged is what it asked for, to the byte, and no question is
// one about another policy than that of its path.
func FuzzFromExtAuthz(f *testing.F) {
	const prefix = pathAuthz + dialectExtAuthz + "/"
	f.Add("GET", prefix+"default/a?b", "app.example", "https")
	f.Add("CONNECT", "app.example:443", "app.example:443", "wss")
	f.Add("OPTIONS", "*", "APP.example:443", "http")
	f.Add("GET", "http://evil.example"+prefix+"default/a", "app.example", "https,http")
	for _, uri := range append(slices.Clone(badURIs), "/../x", "//evil.example", "/%2e%2e/x", "?x", "") {
		f.Add("GET", prefix+"default"+uri, "app.example", "https")
		f.Add("GET", prefix+uri, "a@b", "javascript")
	}
	f.Fuzz(func(t *testing.T, method, target, host, proto string) {
		lines := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Proto: " + proto + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(lines)))
		if err != nil {
			return
		}
		o, err := fromExtAuthz(r)
		if err != nil {
			if o.Method != "" || o.URI != "" || o.Host != "" {
				t.Fatalf("an error, and %+v", o)
			}
			return
		}
		checkOriginal(t, o)
		policy := strings.TrimSuffix(o.Policy, noPolicy)
		if strings.Contains(policy, "/") || r.RequestURI != prefix+policy+o.URI {
			t.Fatalf("%q is policy %q and URI %q", r.RequestURI, o.Policy, o.URI)
		}
	})
}

// FuzzFromFastCGI: whatever variables come, what passes the checks is a request, the client's headers say nothing of it or
// of the policy, and a header of ours is known as one.
func FuzzFromFastCGI(f *testing.F) {
	f.Add("GET", "https", "app.example", "/a?b", "board", "HTTP_X_VIPPS_SUB", "evil")
	f.Add("get", "javascript", "a@b", "*", "", "HTTP_HOST", "evil.example")
	f.Add("GET", "http", "APP.example:80", "//evil.example", "default", "HTTP_VIPPS_POLICY", "other")
	f.Add("GET", "http", "app.example", "/", "default", "VIPPS_POLICY", "other")
	f.Add("GET", "http", "app.example", "/", "/", "REQUEST_URI", "/public")
	for _, uri := range badURIs {
		f.Add("GET", "https", "app.example", uri, "default", "HTTP_X.VIPPS.SUB", "evil")
	}
	strip := newStripper([]headerSpec{{Name: headerSub}})
	f.Fuzz(func(t *testing.T, method, scheme, host, uri, policy, name, value string) {
		params := []fcgi.Param{{Name: "REQUEST_METHOD", Value: method}, {Name: "REQUEST_SCHEME", Value: scheme}, {Name: "HTTP_HOST", Value: host}, {Name: "REQUEST_URI", Value: uri}, {Name: variablePolicy, Value: policy}, {Name: name, Value: value}}
		raw := fromFastCGI(&fcgi.Request{Params: params})
		fields, clients := strings.CutPrefix(name, "HTTP_")
		if clients && name != "HTTP_HOST" {
			if raw.Method != method || raw.Host != host || raw.URI != uri || raw.Policy != policy && policy != "" {
				t.Fatalf("%s changes the request to %+v", name, raw)
			}
			if _, alias := strip.hasAlias(raw.Header); strip.ours(strings.ReplaceAll(fields, "_", "-")) && !alias && len(raw.Header[headerSub])+len(raw.Header[headerProxySecret]) == 0 {
				t.Fatalf("%s is no header of ours: %v", name, raw.Header)
			}
		}
		if raw.Policy == "" {
			t.Fatal("a policy that is named and empty is the default one")
		}
		o, err := raw.checked()
		if err != nil {
			return
		}
		checkOriginal(t, o)
		if o.URI != uri || o.Method != method {
			t.Fatalf("%q %q became %+v", method, uri, o)
		}
	})
}
