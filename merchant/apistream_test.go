package merchant_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Events come as the login changes, with comments between them, over a server that gives a request one second.
func TestAPIEvents(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t, shortReads)
	lab.api.SetBeat(50 * time.Millisecond)
	id := lab.start(tillToken, aase)
	stream := lab.events("logins/"+id+"/events", tillToken, "Last-Event-ID", "17", "Accept", "text/event-stream")
	if h := stream.resp.Header; stream.resp.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%d %v", stream.resp.StatusCode, h)
	}
	if first := stream.state(); first["state"] != "pending" || first["id"] != id || first["code"] == nil {
		t.Fatalf("first: %v", first)
	}
	for range 30 { // longer than a request may take
		if block := stream.next(); block != ":\n" {
			t.Fatalf("%q, want a comment", block)
		}
	}
	lab.approve(aase)
	last := stream.state()
	result, _ := last["result"].(map[string]any)
	if claims, _ := result["claims"].(map[string]any); last["state"] != "approved" || claims["name"] != "Åse Ødegård" {
		t.Errorf("last: %v", last)
	}
	if rest := stream.next(); rest != "" {
		t.Errorf("it goes on: %q", rest)
	}
	again := lab.events("logins/"+id+"/events", tillToken)
	if got := again.state(); got["state"] != "delivered" || got["result"] != nil || again.next() != "" {
		t.Errorf("again: %v", got)
	}
}

// A long poll waits longer than the server gives a request.
func TestAPILongPollOutlivesTheServersTime(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t, shortReads)
	id := lab.start(tillToken, aase)
	time.AfterFunc(1500*time.Millisecond, func() { lab.approve(aase) })
	if got := lab.call("GET", "logins/"+id+"?wait=30", tillToken, ""); !strings.Contains(got.Body, "Ødegård") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := lab.call("GET", "logins/"+id, tillToken, ""); got.text(t, "state") != "delivered" {
		t.Errorf("then: %s", got.Body)
	}
}

// When the service stops, whoever waits is told how it stands, and nobody begins to wait any more.
func TestAPIStop(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	stream := lab.events("logins/"+id+"/events", tillToken)
	stream.state()
	polled := make(chan *reply, 1)
	go func() { polled <- lab.call("GET", "logins/"+id+"?wait=60", tillToken, "") }()
	until(t, "both", func() bool { return lab.api.OpenStreams() == 2 })
	began := time.Now()
	lab.api.Stop()
	if got := <-polled; got.Status != http.StatusOK || got.text(t, "state") != "pending" {
		t.Errorf("the long poll: %d %s", got.Status, got.Body)
	}
	if rest := stream.next(); rest != "" {
		t.Errorf("the stream goes on: %q", rest)
	}
	if got := lab.call("GET", "logins/"+id+"?wait=60", tillToken, ""); got.text(t, "state") != "pending" {
		t.Errorf("another: %s", got.Body)
	}
	late := lab.events("logins/"+id+"/events", tillToken)
	late.next()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// What one caller has open is bounded, and another's is its own.
func TestAPIStreamsAreBounded(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id, other := lab.start(tillToken, aase), lab.start(officeToken, per)
	ctx, end := context.WithCancel(t.Context())
	var done []chan struct{}
	for range merchant.MaxStreams {
		closed := make(chan struct{})
		done = append(done, closed)
		r := lab.request("GET", "logins/"+id+"/events", tillToken, "").WithContext(ctx)
		go func() { // without a socket each, of which a machine may have too few
			defer close(closed)
			lab.api.ServeHTTP(httptest.NewRecorder(), r)
		}()
	}
	until(t, "all of them", func() bool { return lab.api.OpenStreams() == merchant.MaxStreams })
	for _, path := range []string{"/events", "?wait=20"} {
		if got := lab.call("GET", "logins/"+id+path, tillToken, ""); got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
			t.Errorf("one more: %d %s", got.Status, got.Body)
		}
	}
	if got := lab.call("GET", "logins/"+id, tillToken, ""); got.Status != http.StatusOK {
		t.Errorf("without waiting: %d", got.Status)
	}
	if stream := lab.events("logins/"+other+"/events", officeToken); stream.resp.StatusCode != http.StatusOK {
		t.Errorf("another caller: %d", stream.resp.StatusCode)
	}
	end()
	for _, closed := range done {
		<-closed
	}
	until(t, "their end", func() bool { return lab.api.OpenStreams() <= 1 })
}
