package forwardauth_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: bodies to our own endpoints that are announced and never come, in a program whose server sets no time for them.
// Each is answered within ten seconds, real time. A form that has come is not hurried while the provider is asked.
func TestSec_C071_SlowBodies(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	host := "Host: " + l.site.Listener.Addr().String() + "\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\n"
	var all sync.WaitGroup
	for _, what := range []string{
		"POST /_vipps/login", "POST /_vipps/logout", "POST /_vipps/result", "GET /_vipps/login?rd=/", "GET /_vipps/callback?code=x&state=x", "GET /_vipps/me", "GET /_vipps/x",
	} {
		for _, body := range []string{"Content-Length: 1000\r\n\r\nrd=", "Transfer-Encoding: chunked\r\n\r\n5\r\nrd=%2\r\n"} {
			all.Go(func() {
				began := time.Now()
				a, err := l.raw(what+" HTTP/1.1\r\n"+host+body, 12*time.Second)
				if err != nil || a.StatusCode >= 500 || time.Since(began) > 10*time.Second {
					t.Errorf("%s: %v after %s, %v", what, a, time.Since(began), err)
				}
			})
		}
	}
	all.Go(func() { slowForm(t, host) })
	all.Wait()
}

// slowForm takes two seconds to arrive, and then the provider takes four to answer.
func slowForm(t *testing.T, host string) {
	l := newLab(t, nil)
	if err := l.vipps.Control().Delay(emulator.EndpointDiscovery, 4*time.Second); err != nil {
		t.Error(err)
	}
	conn, err := net.DialTimeout("tcp", l.site.Listener.Addr().String(), 5*time.Second)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, host, _ = strings.Cut(host, "\r\n")
	fmt.Fprintf(conn, "POST /_vipps/login HTTP/1.1\r\nHost: %s\r\n%sTransfer-Encoding: chunked\r\n\r\n2\r\nrd\r\n1\r\n", l.site.Listener.Addr(), host)
	time.Sleep(2 * time.Second)
	fmt.Fprint(conn, "=\r\n4\r\n%2Fa\r\n0\r\n\r\n")
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusSeeOther {
		t.Errorf("a login while the provider is slow: %d", a.StatusCode)
	}
}

// Attack, or a bad day: the provider takes the code and doesn't answer. The person gets a page that says to try again, after
// five seconds and not for ever; the code is not sent a second time, and the next login works.
func TestSec_D04_TokenEndpointHangs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.as(phoneAase)
	if err := l.vipps.Control().Delay(emulator.EndpointToken, 6*time.Second); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b := l.browser()
	a := b.visit("/")
	if took := time.Since(began); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || took > 15*time.Second {
		t.Errorf("%d after %s: %s", a.StatusCode, took, a.text)
	}
	if !strings.Contains(a.text, "Try again") || b.cookie("vippsauth") != "" {
		t.Errorf("the page: %s", a.text)
	}
	if n := l.vipps.Control().Calls()[emulator.EndpointToken]; n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	if err := l.vipps.Control().Delay(emulator.EndpointToken, 0); err != nil {
		t.Fatal(err)
	}
	l.loggedIn(phoneAase)
	time.Sleep(time.Until(began.Add(7 * time.Second))) // for the emulator to be done with it too
}
