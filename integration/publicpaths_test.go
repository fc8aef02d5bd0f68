package integration_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// opened are the sites of which everybody may see /public/ and nothing else, as the examples have it, for an app at an address.
var opened = map[string]func(t *testing.T, f *front, app string){
	"caddy module": func(t *testing.T, f *front, app string) {
		startCaddy(t, f, aliasesPass, fmt.Sprintf("%s {\n\t@closed not path /public/*\n\t%s\n\treverse_proxy %s\n}\n", f.origin, moduleBlock(f, "@closed", ""), app))
	},
	"nginx": func(t *testing.T, f *front, app string) {
		need(t, "nginx")
		f.serve("--trusted-proxies=loopback")
		startNginx(t, f, "\t#location ^~ /public/", "\tlocation ^~ /public/", "server "+f.app.addr(), "server "+app)
	},
	"haproxy": func(t *testing.T, f *front, app string) {
		need(t, "haproxy")
		f.serve("--trusted-proxies=loopback")
		startHAProxy(t, f, "vipps_public always_false", "vipps_public path_beg /public/", "server application "+f.app.addr(), "server application "+app)
	},
}

// readers are servers that make a file of a path, each in its own way.
var readers = map[string]func(t *testing.T, root string) (addr string){
	"nginx": func(t *testing.T, root string) string {
		need(t, "nginx")
		addr := freeAddr(t)
		p := nginxIn(t, t.TempDir(), fmt.Sprintf("access_log off;\nserver { listen %s; root %s; }", addr, root))
		p.answers("http://" + addr + "/")
		return addr
	},
	"Go": func(t *testing.T, root string) string {
		mux := http.NewServeMux()
		mux.Handle("/", http.FileServer(http.Dir(root)))
		mux.HandleFunc("/admin/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "SECRET") })
		addr := freeAddr(t)
		_, port, _ := strings.Cut(addr, ":")
		serveOn(t, port, mux)
		return addr
	},
}

// Attack: a path that the proxy takes for one under /public/, and the server behind it for another. Each line of the corpus,
// and some thousand paths made of the pieces that such attacks are made of; without a session, nobody reads what isn't public.
func TestSec_C020_C022_B071_PublicPaths(t *testing.T) {
	t.Parallel()
	lines := slices.DeleteFunc(hostileLines(t), func(l hostileLine) bool { return l.file != "paths.txt" })
	ids := newTally()
	t.Run("C022_through", func(t *testing.T) {
		for front, open := range opened {
			for reader, serve := range readers {
				t.Run(front+" before "+reader, func(t *testing.T) {
					t.Parallel()
					f := newFront(t)
					f.secrets.add("client secret", clientSecret)
					open(t, f, serve(t, publicFiles(t)))
					w := &wire{addr: "127.0.0.1:" + f.port()}
					t.Cleanup(w.close)
					v := visitor{host: "localhost:" + f.port(), origin: f.origin, values: map[string]string{}}
					if a := w.ask(t, v.get("/public/", "", "").bytes, "GET"); a.status != http.StatusOK || a.body != "for everybody" {
						t.Fatalf("the public part: %d %q", a.status, a.body)
					}
					for _, l := range lines {
						readsNothing(ids.of(t, l), w, v, v.pathShots(l, false)...)
					}
					random := rand.New(rand.NewPCG(22, 22)) // the same paths each time
					public := 0
					for range 1500 {
						public += readsNothing(t, w, v, v.get(anyPath(random), "", ""))
					}
					if public < 20 {
						t.Errorf("only %d of them reach the public part", public)
					}
				})
			}
		}
	})
	ids.report(t)
}

// publicFiles are those of a site: one for everybody, and others, by names that differ in case and in odd letters too.
func publicFiles(t *testing.T) (root string) {
	t.Helper()
	root = readable(t)
	for name, text := range map[string]string{
		"public/index.html": "for everybody", "public/a/index.html": "for everybody", "public/..;/index.html": "for everybody",
		"index.html": "SECRET", "admin/index.html": "SECRET", "a/index.html": "SECRET", "A/index.html": "SECRET", "public-secret/index.html": "SECRET", "publicx/index.html": "SECRET", "xpublic": "SECRET",
		"e/index.html": "SECRET", "2f/index.html": "SECRET", "public;/index.html": "SECRET", "public%2f/index.html": "SECRET", "public /index.html": "SECRET", "public#/index.html": "SECRET", "public?/index.html": "SECRET", `public\/index.html`: "SECRET",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // a server with another account reads it
			t.Fatal(err)
		}
	}
	return root
}

// readsNothing sends requests without a session. What passes may only be what is public, which it counts.
func readsNothing(t testing.TB, w *wire, v visitor, shots ...shot) (public int) {
	t.Helper()
	for _, s := range shots {
		answers := []reply{}
		if s.alone {
			answers = w.alone(t, s.bytes, s.method, nextRequest(v.host))
		} else {
			answers = append(answers, w.ask(t, s.bytes, s.method))
		}
		for _, a := range answers {
			if strings.Contains(a.body, "SECRET") || a.status == http.StatusOK && strings.Contains(a.body, "root:") {
				t.Errorf("%q reads what is not public: %d", s.target, a.status)
			}
			if a.body == "for everybody" {
				public++
			}
		}
	}
	return public
}

// anyPath is a path of up to twelve pieces.
func anyPath(random *rand.Rand) string {
	pieces := []string{
		"/", ".", "%", "2", "f", "e", "5", "c", ";", "#", "?", `\`, "a", "A", "/..", "/.", "//", "%2e", "%2f", "%5c", "%3b", "%23", "%3f", "%00", "%20", "..;", "%252e", "%252f", "/public", "/public/", "/admin", "/admin/", "public", "admin", "..",
	}
	path := []string{"/", "/public/", "/public/", "/public", "/admin"}[random.IntN(5)]
	for range 1 + random.IntN(11) {
		path += pieces[random.IntN(len(pieces))]
	}
	return path
}

// Attack: identity headers where nobody looks for a session. Whatever a client sends, the public part gets no identity.
func TestSec_C010_B102_PublicPart(t *testing.T) {
	t.Parallel()
	lines := slices.DeleteFunc(hostileLines(t), func(l hostileLine) bool { return l.file != "headers.txt" && l.file != "forwarded.txt" })
	listed := map[string]bool{} // the headers that nginx is told of by name: it has no word for all
	for _, m := range regexp.MustCompile(`proxy_set_header (X-Vipps-[A-Za-z-]+)`).FindAllStringSubmatch(example(t, "nginx/nginx.conf"), -1) {
		listed[http.CanonicalHeaderKey(m[1])] = true
	}
	ids := newTally()
	t.Run("through", func(t *testing.T) {
		for front, open := range opened {
			t.Run(front, func(t *testing.T) {
				t.Parallel()
				f := newFront(t)
				open(t, f, f.app.addr())
				w := &wire{addr: "127.0.0.1:" + f.port()}
				t.Cleanup(w.close)
				v := visitor{host: "localhost:" + f.port(), origin: f.origin, values: map[string]string{}}
				w.ask(t, v.get("/public/x", "", "").bytes, "GET")
				want := identity(f.app.last().Header)
				if len(want["X-Vipps-Sub"]) > 0 {
					t.Fatalf("the public part gets %v", want)
				}
				j := judge{people: map[string]http.Header{"anybody": want}, trailers: front == "haproxy"}
				for _, l := range lines {
					t := ids.of(t, l)
					text := v.fill(l, false)
					for _, method := range []string{"GET", "OPTIONS", "HEAD"} {
						s := v.get("/public/x", "", "anybody", text)
						s.method, s.alone = method, needsItsOwn.MatchString(text)
						s = v.write(s)
						f.app.forget()
						if s.alone {
							w.alone(t, s.bytes, s.method, nextRequest(v.host))
						} else {
							w.ask(t, s.bytes, s.method)
						}
						for _, got := range f.app.since(0) {
							for name := range identity(got.Header) {
								if front == "nginx" && !listed[name] { // SECURITY.md says so
									delete(got.Header, name)
								}
							}
							j.hit(t, s, got)
						}
					}
				}
			})
		}
	})
	ids.report(t)
}
