//go:build linux

package main

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
)

// bareSub is a sub as the emulator's look.
const bareSub = "11111111-2222-4333-8444-555555555555"

// serveBare serves what stands in our place, or the app behind the proxies.
func serveBare(addr, as string) error {
	runtime.GOMAXPROCS(1)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	switch as {
	case "grpc":
		return serveBareGRPC(ln)
	case "fcgi":
		answer := &fcgi.Answer{Status: http.StatusOK, Header: http.Header{"Variable-VIPPS_AUTH": {"authenticated"}, "Variable-VIPPS_SUB": {bareSub}}}
		return (&fcgi.Server{Handler: func(*fcgi.Request) *fcgi.Answer { return answer }}).Serve(ln)
	case "202":
		return serveHTTP(ln, http.HandlerFunc(bare))
	case "yes":
		return serveHTTP(ln, http.HandlerFunc(yes))
	default:
		return serveHTTP(ln, bareProxy(as))
	}
}

func serveHTTP(ln net.Listener, handler http.Handler) error {
	return (&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}).Serve(ln)
}

// The app's page says whether X-Vipps-Sub arrived, in as many bytes either way: what a proxy copies costs it too.
const (
	knownPage   = "hello, whoever is in X-Vipps-Sub\n"
	unknownPage = "hello, whoever you are out there\n"
)

// bare answers 202. It is the app too, which has a page and WebSockets.
func bare(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		echo(w, r)
	case "/orders":
		page := unknownPage
		if r.Header["X-Vipps-Sub"] != nil {
			page = knownPage
		}
		_, _ = io.WriteString(w, page)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// yes answers with the least that our Lua file takes for a yes.
func yes(w http.ResponseWriter, _ *http.Request) {
	w.Header()["X-Vipps-Auth"] = []string{"authenticated"}
}
