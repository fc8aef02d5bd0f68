package integration_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// FastCGI has an end of its own behind an answer, and Apache lets nobody pass who has all of it but that.
//
// Attack: what such an answer has said of the person would go to the browser, as headers Variable-VIPPS_SUB and so on.
func TestSec_D25_E007_ApacheAnswerWithoutItsEnd(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApache(t, f, "")
	in := f.loggedIn()
	var now atomic.Pointer[fault]
	f.moveService()(t, 0, func([]byte) *fault { return now.Load() })
	hits := f.app.hits()
	for _, lacks := range []int{9, 15, 16, 24, 30} { // the last byte of all mod_authnz_fcgi doesn't miss
		now.Store(&fault{lacks: lacks})
		for _, h := range []http.Header{navigation(), fetching()} {
			a := in.send(http.MethodPost, f.origin+"/secret", h, nil)
			if (differs{}).awayPage(a, true) != "" || f.app.hits() != hits {
				t.Errorf("without %d bytes: %d %s", lacks, a.StatusCode, a.words())
			}
			for name := range a.Header {
				if strings.Contains(strings.ToLower(name), "vipps") {
					t.Errorf("without %d bytes the browser gets %s", lacks, name)
				}
			}
		}
	}
	now.Store(nil)
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("with all of them: %d at %v", a.StatusCode, in.trail)
	}
}
