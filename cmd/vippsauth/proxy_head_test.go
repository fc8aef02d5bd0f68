package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

// Attack: an application answers HEAD with a body, as if it were a GET, and somebody has put a whole answer into it. What
// stands behind the head on the connection is taken for the answer to the request that comes next on it, and every answer
// after that goes to the wrong person: now and then, since net/http notices a moment after it has put the connection back.
// No request follows a HEAD, and everybody gets what is theirs.
func TestSec_D35_AnswersStayWithTheirRequests(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var app sync.WaitGroup
	var followed, sloppy atomic.Int64
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		for head := false; ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if head {
				followed.Add(1)
			}
			body := r.Header.Get("Who")
			if head = r.Method == http.MethodHead; head {
				body = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			if !head || sloppy.Load() > 0 {
				_, _ = io.WriteString(c, body)
			}
		}
	}
	app.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			app.Go(func() { serve(c) })
		}
	})
	proxy := newSidecar(&config{upstream: &url.URL{Scheme: "http", Host: ln.Addr().String()}}, zap.NewNop(), nil)
	site := httptest.NewServer(proxy)
	t.Cleanup(func() {
		site.Close()
		if p, ok := proxy.(*httputil.ReverseProxy); ok {
			if transport, ok := p.Transport.(*http.Transport); ok {
				transport.CloseIdleConnections()
			}
		}
		_ = ln.Close()
		app.Wait()
	})
	ask := func(method, who string) {
		r, err := http.NewRequestWithContext(t.Context(), method, site.URL, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Who", who)
		w, err := site.Client().Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = w.Body.Close() }()
		if got, err := io.ReadAll(w.Body); w.StatusCode != http.StatusOK || method == http.MethodGet && string(got) != who || err != nil {
			t.Errorf("%s of %s gets %d %q, %v", method, who, w.StatusCode, got, err)
		}
	}
	for range 3 { // an application as it should be
		ask(http.MethodHead, "Åse")
		ask(http.MethodGet, "Per")
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d requests followed a HEAD on its connection", n)
	}
	sloppy.Store(1)
	var asking sync.WaitGroup
	for i := range 6 {
		asking.Go(func() {
			for range 200 {
				ask([]string{http.MethodGet, http.MethodHead}[i%2], fmt.Sprint("person ", i))
			}
		})
	}
	asking.Wait()
}
