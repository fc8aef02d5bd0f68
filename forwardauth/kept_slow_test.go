package forwardauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A slowFormBody is a body that says when it is first read, and comes when it is let.
type slowFormBody struct {
	io.Reader

	once  sync.Once
	begun func()
	let   <-chan struct{}
}

func (b *slowFormBody) Read(p []byte) (int, error) {
	b.once.Do(b.begun)
	<-b.let
	return b.Reader.Read(p)
}

// Attack: somebody without a session posts forms on very many connections, each but for its last byte, as a page of the site's would. All of them
// were held for five seconds, 64 KiB each. So many are at hand at a time; one more is not read, and its sender told what to do.
func TestSec_B108_C071_FormsThatAreKeptAreFew(t *testing.T) {
	t.Parallel()
	const most = 64
	l := newLab(t, nil)
	begun, let := make(chan struct{}, most+1), make(chan struct{})
	free := sync.OnceFunc(func() { close(let) })
	defer free()
	post := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, l.site.URL+"/order", &slowFormBody{Reader: strings.NewReader("a=1"), begun: func() { begun <- struct{}{} }, let: let})
		r.Header = postedForm()
		w := httptest.NewRecorder()
		l.one.ServeHTTP(w, r)
		return w
	}
	holds := func(w *httptest.ResponseRecorder) bool {
		return w.Code == http.StatusUnauthorized && strings.Contains(w.Body.String(), `name="a" value="1"`)
	}
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			if w := post(); !holds(w) {
				t.Errorf("%d: its form isn't kept", w.Code)
			}
		})
	}
	for i := range most {
		select {
		case <-begun:
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d are read at a time", i)
		}
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- post() }()
	select {
	case w := <-answered:
		if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "<form") || !strings.Contains(w.Body.String(), "Nothing was sent") {
			t.Errorf("one more: %d %s", w.Code, w.Body)
		}
	case <-begun:
		t.Error("one more is read")
	case <-time.After(30 * time.Second):
		t.Error("one more is not answered")
	}
	free()
	all.Wait()
	if w := post(); !holds(w) {
		t.Errorf("afterwards: %d, no form", w.Code)
	}
}
