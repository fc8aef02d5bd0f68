package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A fault of ours in one request ends that request and no other: 500 without a word of what it was, or, where the application
// may have begun to answer, an answer that is seen to have no end. It is counted.
func TestSec_D28_PanicInAHandler(t *testing.T) {
	t.Parallel()
	for _, proxies := range []bool{false, true} {
		entered, release := make(chan struct{}), make(chan struct{})
		r := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/waits"):
				close(entered)
				<-release
			case strings.HasSuffix(r.URL.Path, "/half"):
				fmt.Fprint(w, "half of it")
				_ = http.NewResponseController(w).Flush()
				panic(errors.New("a number that nobody may see: 4790000001"))
			case strings.HasSuffix(r.URL.Path, "/panics"):
				w.Header().Set("X-Vipps-Sub", "somebody")
				panic(r.URL.Path)
			}
			fmt.Fprint(w, "answered")
		}), proxies)
		ask := func(path string) (*http.Response, string, error) {
			conn := r.dial(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			defer conn.Close()
			w, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return nil, "", err
			}
			defer w.Body.Close()
			text, err := io.ReadAll(w.Body)
			return w, string(text), err
		}
		waiting := make(chan error, 1)
		go func() {
			_, text, err := ask("/waits")
			if err == nil && text != "answered" {
				err = errors.New(text)
			}
			waiting <- err
		}()
		<-entered
		w, text, err := ask("/_vipps/panics")
		if err != nil || w.StatusCode != http.StatusInternalServerError || w.Header.Get("X-Vipps-Sub") != "" || w.Header.Get("Cache-Control") != "no-store" ||
			text != faultText+"\n" || w.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("proxies %t, a page of ours: %v %v %q", proxies, err, w, text)
		}
		w, text, err = ask("/panics")
		if asProxy := err != nil; asProxy != proxies || err == nil && w.StatusCode != http.StatusInternalServerError {
			t.Errorf("proxies %t: %v %v %q", proxies, err, w, text)
		}
		if _, text, err = ask("/half"); proxies && err == nil {
			t.Errorf("half an answer looks whole: %q", text)
		}
		close(release)
		if err := <-waiting; err != nil {
			t.Errorf("proxies %t, another request meanwhile: %v", proxies, err)
		}
		if _, text, err := ask("/next"); err != nil || text != "answered" {
			t.Errorf("proxies %t, the next request: %v %q", proxies, err, text)
		}
		res, err := http.Get("http://" + r.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(metrics), "\nvippsauth_panics_total 3\n") {
			t.Errorf("proxies %t: the panics are not counted: %v", proxies, err)
		}
	}
}
