package forwardauth_test

import (
	"slices"
	"strings"
)

var (
	header3  = []string{"forward-auth", "auth-request", "challenge"} // what is judged is in headers alone
	original = []string{"auth-request", "challenge"}
	byHTTP   = []string{"forward-auth", "auth-request", "challenge", "ext-authz"}
	byGRPC   = []string{"grpc", "grpc-headers"}
	noHTTP   = []string{"grpc", "grpc-headers", "fastcgi"}
)

const (
	oneLine   = "a request line has one"
	oneField  = "a protobuf field has one value"
	blanks    = "blanks around a field's value are no part of it (RFC 9110, section 5.5)"
	lineEnds  = "a line break ends the line; what follows is a line of its own, which is a row of its own"
	noHeaders = "it has no headers of its own"
	noAlias   = "Apache makes no variable of such a name (server/util_script.c); its configuration refuses it"
	itsURL    = "it is the path of the URL that it sends"
)

func hostileTable() []row {
	return slices.Concat(missingRows(), methodRows(), schemeRows(), hostRows(), uriRows(), headerRows(), cookieRows(), askerRows())
}

// parts are what a question is made of.
var parts = map[string]func(q *question) *[]string{
	"method": func(q *question) *[]string { return &q.method },
	"proto":  func(q *question) *[]string { return &q.scheme },
	"host":   func(q *question) *[]string { return &q.host },
	"URI":    func(q *question) *[]string { return &q.uri },
}

// missingRows: each part absent, empty, doubled and joined by a comma.
func missingRows() (rows []row) {
	for part, of := range parts {
		early := map[string]outcome{} // where net/http reads the part
		doubled := in(oneField, byGRPC...)
		switch part {
		case "method":
			early = in(unread, "ext-authz")
			doubled["ext-authz"] = oneLine
		case "URI":
			doubled["ext-authz"] = oneLine
		case "host":
			early = in(unread, "ext-authz")
		}
		empty := early
		if part == "host" {
			empty = nil // Host may be
		}
		joined := early
		if part == "URI" {
			joined = in(unread, "ext-authz") // by the blank
		}
		rows = append(rows,
			row{name: "C061_" + part + " absent", change: func(q *question) { *of(q) = nil }, want: refused, but: early},
			row{name: "B067_" + part + " empty", change: func(q *question) { *of(q) = []string{""} }, want: refused, but: empty},
			row{name: "B060_" + part + " twice", change: func(q *question) { *of(q) = slices.Repeat(*of(q), 2) }, want: refused, but: early, cannot: doubled},
			row{name: "B060_" + part + " and then another", change: func(q *question) { *of(q) = append(*of(q), "evil") }, want: refused, but: early, cannot: doubled},
			row{name: "B060_" + part + " and then an empty one", change: func(q *question) { *of(q) = append(*of(q), "") }, want: refused, but: early, cannot: doubled},
			row{name: "B060_" + part + " joined by a comma", change: func(q *question) { (*of(q))[0] += ", " + (*of(q))[0] }, want: refused, but: joined},
		)
	}
	return append(rows, row{name: "nothing at all", change: func(q *question) {
		q.method, q.scheme, q.host, q.uri, q.client = nil, nil, nil, nil, nil
	}, want: refused, but: in(unread, "ext-authz")})
}

// values are rows in which one part has another value.
func values(of func(q *question) *[]string, want outcome, but map[string]outcome, cannot map[string]string, named ...string) (rows []row) {
	for i := 0; i < len(named); i += 2 {
		rows = append(rows, row{name: named[i], change: func(q *question) { *of(q) = []string{named[i+1]} }, want: want, but: but, cannot: cannot})
	}
	return rows
}

func methodRows() []row {
	of := parts["method"]
	return slices.Concat(
		values(of, passes, nil, nil, "POST", "POST", "a method of 20 letters", strings.Repeat("A", 20), "HEAD", "HEAD", "OPTIONS", "OPTIONS", "C051_TRACE", "TRACE"),
		values(of, refused, nil, nil, "C021_method in lower case", "get", "C021_method in mixed case", "Get", "a method of 21 letters", strings.Repeat("A", 21),
			"a method of 4 KB", strings.Repeat("A", 4096), "a method that is a flag", "-GET", "a method with a digit", "GET1"),
		values(of, refused, in(unread, "ext-authz"), nil, "a method with a path", "GET /x", "a method and a version", "GET / HTTP/1.1", "a list of methods", "GET,POST", "a method with a tab", "G\tT",
			"a method with a colon", "GET:", "a method beyond ASCII", "G\u00c9T"),
		values(of, refused, in(unread, byHTTP...), nil, "a method with a NUL", "GET\x00", "a method with a bell", "\aGET", "a method with DEL", "GET\x7f"),
		values(of, refused, nil, in(blanks, byHTTP...), "a method with a blank behind it", "GET ", "a method with a blank before it", " GET"),
	)
}

func schemeRows() []row {
	of := parts["proto"]
	return slices.Concat(
		values(of, passes, nil, nil, "proto http: nothing hangs on it", "http"),
		values(of, passes, in(refused, original...), nil, "proto wss", "wss", "proto ws", "ws"),
		values(of, refused, nil, nil, "B036_proto javascript", "javascript", "B036_proto in capitals", "HTTPS", "B036_protos in a list", "https,http",
			"B036_proto evil_protocol", "evil_protocol", "proto with encoded line break", "https%0d%0aX:y", "proto quic", "quic", "proto ftp", "ftp", "proto file", "file",
			"proto with a colon", "https:", "proto as an origin", "https://evil.example", "proto beyond ASCII", "http\u017f", "proto of 64 KB", strings.Repeat("https", 13000)),
		values(of, refused, nil, in(blanks, "forward-auth", "ext-authz"), "proto with a blank behind it", "https ", "proto with a tab behind it", "https\t"),
		values(of, refused, in(unread, byHTTP...), nil, "proto with a NUL", "https\x00"),
	)
}

func hostRows() []row {
	of := parts["host"]
	return slices.Concat(
		values(of, passes, nil, nil, "B062_host in capitals", "APP.LOCALHOST", "host with the default port", "app.localhost:443"),
		values(of, misdirected, nil, nil, "B035_another host", "evil.example", "B002_host that begins like ours", "app.localhost.evil.example", "B002_host that ends like ours", "evilapp.localhost",
			"host of a subdomain", "evil.app.localhost", "host with a dot behind it", "app.localhost.", "host with another port", "app.localhost:8443", "host with the other scheme's port", "app.localhost:80",
			"host localhost", "localhost", "host as an IPv4 address", "127.0.0.1", "host as an IPv6 address", "[::1]", "host as an IPv6 address with a port", "[::1]:443",
			"host in Punycode", "xn--pp-yia.example", "host of 250 letters", strings.Repeat("a", 242)+".example", "host with an underscore", "app_localhost"),
		values(of, refused, nil, nil, "port 0", "app.localhost:0", "port with a zero before it", "app.localhost:0443", "port 65536", "app.localhost:65536", "a port that is none", "app.localhost:", "two ports", "app.localhost:443:443",
			"host with an empty label", "app..localhost", "host that begins with a dot", ".app.localhost", "host of 256 letters", strings.Repeat("a", 248)+".example",
			"B060_hosts in a list", "app.localhost,evil.example", "host with an encoded NUL", "app.localhost%00", "an open bracket", "[::1", "an IPv6 address with a zone", "[fe80::1%25eth0]", "host as a port", ":443"),
		values(of, refused, in(unread, "ext-authz"), nil, "host with userinfo", "evil@app.localhost", "host as userinfo", "app.localhost@evil.example", "C001_host with a fragment", "evil.example#app.localhost",
			"C001_host with a query", "evil.example?app.localhost", "host with a backslash", `app.localhost\evil.example`, "host beyond ASCII", "\u00e5pp.example", "host with a wide dot", "app\u3002example",
			"host with a blank inside", "app.localhost evil.example"),
		values(of, refused, in(unread, "ext-authz"), in(itsURL, original...), "host with a path", "app.localhost/x", "host as a URL", "https://app.localhost"),
		values(of, refused, in(unread, byHTTP...), nil, "host with a NUL", "app.localhost\x00.evil.example", "host with DEL", "app.localhost\x7f"),
		values(of, refused, nil, in(blanks, "forward-auth", "ext-authz"), "host with a blank behind it", "app.localhost "),
		values(of, refused, in(unreadable, byGRPC...), in("net/http knows no such Host", "ext-authz"), "host that is no UTF-8", "app\xff.example"),
	)
}

func uriRows() []row {
	of := parts["URI"]
	broken := map[string]outcome{"ext-authz": unread}
	return slices.Concat(
		values(of, passes, nil, nil, "a bare question mark", "/?", "B028_two slashes", "//evil.example/x", "C020_dots", "/../admin", "C020_encoded dots", "/%2e%2e/admin", "C020_encoded slash", "/..%2fadmin",
			"C020_parameters", "/a;x=1/b;y", "C020_encoded NUL", "/a%00", "C001_encoded line break", "/%0d%0aLocation:%20https://evil.example/", "stray percent in the query", "/?q=%zz",
			"a URL in the query", "/?rd=https://evil.example/", "our own pages", "/_vipps/login?rd=//evil.example", "our own endpoint", "/_vipps/authz/forward-auth", "a path of 16 KB", "/"+strings.Repeat("a", 16383),
			"a comma", "/a,/b", "UTF-8", "/s\u00f8k?q=\u00e6", "quotes and angles", `/"><script>`),
		values(of, passes, nil, nil, "C001_backslash", `/\evil.example`),
		values(of, refused, nil, nil, "URI without a slash", "admin", "URI that is a query", "?x=1", "B004_fragment", "/public#/../admin", "B004_fragment behind a query", "/a?b#c",
			"B060_URI of 16 KB and one", "/"+strings.Repeat("a", 16384), "B060_query of 16 KB", "/?"+strings.Repeat("a", 16384), "C070_URI of 64 KB", "/"+strings.Repeat("a", 64<<10)),
		values(of, refused, map[string]outcome{"ext-authz": unread, "grpc": refused, "fastcgi": unread, "forward-auth": unread, "auth-request": unread, "challenge": unread}, nil,
			"C070_URI of 128 KB", "/"+strings.Repeat("a", 128<<10)),
		values(of, refused, map[string]outcome{"ext-authz": denied, "auth-request": refused, "challenge": refused}, nil, "absolute URI", "http://app.localhost/", "absolute URI of another site", "https://evil.example/"),
		values(of, refused, broken, nil, "escape that is none", "/%zz", "escape that is cut off", "/%2", "percent at the end", "/a%"),
		values(of, refused, broken, nil, "blank in the path", "/a b", "blank in the query", "/a?b c"),
		values(of, refused, in(unread, byHTTP...), nil, "NUL", "/a\x00", "DEL", "/a\x7f", "bell", "/a\x07", "carriage return", "/a\rX-Evil: y"),
		values(of, refused, broken, nil, "tab", "/a\tb"),
		values(of, refused, broken, in(lineEnds, header3...), "line break", "/a\r\nX-Evil: y", "line feed", "/a\nX-Evil: y"),
		values(of, refused, in(unreadable, byGRPC...), nil, "B060_no UTF-8", "/\xff\xfe", "overlong UTF-8", "/..\xc0\xaf", "half a rune", "/\xe2\x82", "no UTF-8 in the query", "/?\xff"),
		[]row{
			{name: "C051_OPTIONS *", change: func(q *question) { q.method, q.uri = []string{"OPTIONS"}, []string{"*"} }, want: refused},
			{name: "C051_CONNECT with an authority", change: func(q *question) { q.method, q.uri = []string{"CONNECT"}, []string{"app.localhost:443"} }, want: refused},
			{name: "B047_CONNECT with a path", change: func(q *question) { q.method, q.uri = []string{"CONNECT"}, []string{"/"} }, want: passes},
		},
	)
}

// client is a change that adds lines to the client's header.
func client(lines ...string) func(*question) {
	return func(q *question) {
		for i := 0; i < len(lines); i += 2 {
			q.client = append(q.client, [2]string{lines[i], lines[i+1]})
		}
	}
}

// headerRows: what a client sends along that is not its to say.
func headerRows() (rows []row) {
	add := func(name string, want outcome, cannot map[string]string, lines ...string) {
		rows = append(rows, row{name: name, change: client(lines...), want: want, cannot: cannot})
	}
	fastcgi := in(noAlias, "fastcgi")
	for _, prefix := range []string{"//evil.example", `/\evil.example`, "https://evil.example", "javascript:alert(1)", "/a, //evil.example", "/_vipps", "/a?b", "/%2f%2fevil.example", "", "/" + strings.Repeat("a", 1025)} {
		add("B041_prefix "+prefix[:min(len(prefix), 30)], passes, nil, "X-Forwarded-Prefix", prefix)
	}
	add("B041_two prefixes", passes, nil, "X-Forwarded-Prefix", "/a", "X-Forwarded-Prefix", "//evil.example")
	add("C062_Forwarded", passes, nil, "Forwarded", "host=evil.example;proto=javascript;for=127.0.0.1")
	add("C062_the other dialects' headers, evil", passes, nil,
		"X-Original-URL", "https://evil.example/public", "X-Original-Method", "OPTIONS", "X-Original-URI", "/public", "X-Original-Host", "evil.example", "X-Rewrite-URL", "/public",
		"X-Forwarded-Method", "OPTIONS", "X-Forwarded-Host", "evil.example", "X-Forwarded-Uri", "/public", "X-Forwarded-Proto", "javascript", "X-Forwarded-Port", "1337", "X-Forwarded-For", "127.0.0.1",
		"X-Real-IP", "127.0.0.1", "X-Host", "evil.example", "X-HTTP-Method-Override", "OPTIONS", "X-Envoy-Original-Path", "/public", "X-Envoy-Auth-Headers-To-Remove", "X-Vipps-Sub")
	add("B066_no addresses in X-Forwarded-For", passes, nil, "X-Forwarded-For", "a, ::ffff:127.0.0.1, 1.2.3.4:80, unknown", "X-Forwarded-For", "")
	for _, name := range []string{"x_vipps_sub", "X_Vipps_Sub", "X-Vipps_Sub", "X.Vipps.Sub", "X-Vipps.Sub", "X-Vipps~Sub", "X-Vipps!Sub", "X-Vipps'Sub", "x_vipps_new", "X_Vipps_Proxy_Secret", "X.Vipps.Auth"} {
		add("B007_"+name, denied, fastcgi, name, "evil")
	}
	for _, name := range []string{"X-Vipps-Nin", "X-Vipps-New-Header", "X-Vipps-Assertion", "X-Vipps-", "x-vipps-birthdate", "X-Vipps-" + strings.Repeat("A", 8000)} {
		add("C010_unconfigured "+name[:min(len(name), 30)], denied, nil, name, "evil")
	}
	add("C010_canonical", passes, nil, "X-Vipps-Sub", "evil", "X-Vipps-Auth", "evil", "x-vipps-name", "evil", "X-VIPPS-PHONE-NUMBER", "evil")
	add("C010_canonical, twice and empty", passes, nil, "X-Vipps-Sub", "evil", "X-Vipps-Sub", "", "X-Vipps-Sub", "evil, evil")
	add("B040_named by Connection", passes, nil, "Connection", "close, X-Vipps-Sub, x-vipps-auth, X-Forwarded-Uri, cookie", "Keep-Alive", "X-Vipps-Sub", "Proxy-Connection", "X-Vipps-Sub")
	add("B083_other credentials", passes, nil, "Authorization", "Bearer evil", "Remote-User", "evil", "X-Forwarded-User", "evil")
	add("B006_a health check", passes, nil, "User-Agent", "kube-probe/1.30 GoogleHC/1.0 ELB-HealthChecker/2.0")
	add("Sec_I10_conditional", passes, nil, "If-None-Match", "*", "If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT", "Range", "bytes=0-0", "If-Range", "x")
	return append(rows, aliasRows()...)
}

// aliasRows: the dialect's own headers in other spellings.
func aliasRows() (rows []row) {
	for name, spell := range map[string]func(string) string{
		"underscores": func(name string) string { return strings.ReplaceAll(name, "-", "_") },
		"dots":        func(name string) string { return strings.ReplaceAll(name, "-", ".") },
		"a mixture":   func(name string) string { return strings.Replace(name, "-", "_", 1) },
	} {
		rows = append(rows,
			row{name: "B042_" + name + " in place of the right names", change: func(q *question) { q.spell = spell }, want: refused, cannot: in(noHeaders, noHTTP...)},
			row{name: "B042_" + name + " beside the right names", change: func(q *question) { q.spell, q.beside = spell, true }, want: passes, cannot: in(noHeaders, noHTTP...)},
		)
	}
	return append(rows, row{name: "the right names in lower case", change: func(q *question) { q.spell = strings.ToLower }, want: passes, cannot: in(noHeaders, noHTTP...)})
}

// cookieRows: what stands in Cookie.
func cookieRows() (rows []row) {
	add := func(name string, want outcome, but map[string]outcome, lines ...string) {
		rows = append(rows, row{name: name, change: func(q *question) { q.cookie = lines }, want: want, but: but})
	}
	joined := in(stranger, "grpc-headers", "fastcgi") // by a comma, which ends up in the value
	const own = "__Host-vippsauth"
	add("C030_no cookie", stranger, nil)
	add("C030_an empty Cookie", stranger, nil, "")
	for _, garbage := range []string{
		own + "=", own + "=AAAA", own + "=$valueA", own + "=A$value", own + "=$value=", own + "=$value%3d", own, "=", ";;;;;", "$Version=1; " + own + "=x; $Path=\"/\"", "vippsauth=$value", "__Secure-vippsauth=$value",
		"__host-vippsauth=$value", "%5f%5fHost-vippsauth=$value", "\xe2\x80\x80" + own + "=$value", own + ".1=$value", own + "-login-AAAA=$value", own + "-hint=$value", "X-Vipps-Sub=evil",
	} {
		but := map[string]outcome{}
		if strings.HasPrefix(garbage, "\xe2") {
			but = nil
		}
		add("C030_"+strings.TrimPrefix(garbage, "\xe2\x80\x80"), stranger, but, garbage)
	}
	add("C031_garbage, then the session", passes, nil, own+"=garbage; $session")
	add("C031_the session, then garbage", passes, nil, "$session; "+own+"=garbage")
	add("C031_garbage, then the session, in two lines", passes, joined, own+"=garbage", "$session")
	add("C031_the session twice", passes, nil, "$session; $session")
	add("B086_two people", stranger, nil, "$session; $per; $session")
	add("B086_two people in two lines", stranger, nil, "$session", "$per")
	add("C033_a hundred cookies", passes, nil, strings.Repeat("a=b; ", 50)+"$session"+strings.Repeat("; a=b", 50))
	add("C070_32 KB of cookies", passes, nil, "a="+strings.Repeat("b", 32<<10)+"; $session")
	add("C070_64 KB of the session's name", stranger, nil, own+"="+strings.Repeat("A", 63<<10))
	add("C070_80 KB of cookies", passes, in(unread, byHTTP...), "a="+strings.Repeat("b", 80<<10)+"; $session")
	return rows
}

// askerRows: who asks, for which policy, and what else stands in the question.
func askerRows() (rows []row) {
	policy := func(name string, want outcome, but map[string]outcome, cannot map[string]string, value ...string) {
		rows = append(rows, row{name: name, change: func(q *question) { q.policy = value }, want: want, but: but, cannot: cannot})
	}
	secret := func(name string, cannot map[string]string, values ...string) {
		rows = append(rows, row{name: name, change: func(q *question) { q.secret = values }, want: denied, cannot: cannot})
	}
	policy("the default policy by its name", passes, nil, nil, "default")
	policy("B010_a policy that has others on its list", forbidden, nil, nil, "board")
	for _, name := range []string{"unknown", "", "%64efault", "DEFAULT", "..", "../forward-auth", "default;x", "default%2f", ".", "default%00", strings.Repeat("x", 4000)} {
		policy("policy "+name[:min(len(name), 30)], denied, nil, nil, name)
	}
	policy("policy default/", denied, in(passes, "ext-authz"), nil, "default/")
	policy("two policies", denied, nil, in("there is one place for it", append(byGRPC, byHTTP...)...), "default", "default")
	for _, query := range []string{"?policy=board&optional=1&rd=https://evil.example/&auto=1&allow=anyone", "?" + strings.Repeat("a", 32<<10), "?%zz;&&=", "?"} {
		rows = append(rows, row{name: "B015_query " + query[:min(len(query), 30)], change: func(q *question) { q.query = query }, want: passes, cannot: in("its query is that of the request", "ext-authz")})
	}
	rows = append(rows,
		row{name: "B015_the policy of the path counts", change: func(q *question) { q.policy, q.query = []string{"board"}, "?policy=default" }, want: forbidden},
		row{name: "C055_asked under another host", change: func(q *question) { q.front = "evil.example" }, want: passes, cannot: in("it is asked under the host that is judged", append(noHTTP, "ext-authz")...)},
		row{name: "C060_the secret in the client's header", change: func(q *question) {
			q.secret = nil
			q.client = append(q.client, [2]string{"X-Vipps-Proxy-Secret", hostileSecret})
		}, want: denied, cannot: in("there the proxy's headers are the client's, overwritten", append(byHTTP, "fastcgi")...)},
		row{name: "C060_an alias of the secret's header", change: func(q *question) {
			q.secret = nil
			q.client = append(q.client, [2]string{"X_Vipps_Proxy_Secret", hostileSecret}, [2]string{"X.Vipps.Proxy.Secret", hostileSecret})
		}, want: denied, cannot: in(noAlias, "fastcgi")},
	)
	secret("C060_no secret", nil)
	secret("C060_an empty secret", nil, "")
	secret("C060_a wrong secret", nil, "wrong")
	secret("C060_the secret in capitals", nil, strings.ToUpper(hostileSecret))
	secret("C060_part of the secret", nil, hostileSecret[:len(hostileSecret)-1])
	secret("C060_more than the secret", nil, hostileSecret+"x")
	secret("C060_the secret twice", nil, hostileSecret, hostileSecret)
	secret("C060_the secret and a wrong one", nil, hostileSecret, "wrong")
	secret("C060_the secret, joined", nil, hostileSecret+", "+hostileSecret)
	secret("C060_a secret of 32 KB", in("gRPC's own limit of metadata is 16 KB: it ends the call, which an Envoy that is set up as ours denies", byGRPC...), strings.Repeat("x", 32<<10))
	return rows
}
