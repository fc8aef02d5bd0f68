package merchant_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: an operator starts a login, and logs out in another tab, or is taken off the list. The page that waits for the customer
// stays open, and whoever sits at the computer next, or has been sent away, gets the customer's details on it minutes later.
func TestSec_A155_OperatorWhoHasGone(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	var gone atomic.Bool
	lab.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lab.api.Operator(w, r, merchant.Operator{Sub: "op", Still: func() bool { return !gone.Load() }})
	})
	path := lab.begin("op", aase, "name")
	stream := lab.events(path+"/events", "", "Sec-Fetch-Site", "same-origin")
	if got := stream.state(); got["state"] != "pending" {
		t.Fatalf("first: %v", got)
	}
	gone.Store(true)
	lab.approve(aase)
	until(t, "the approval", func() bool { return strings.Contains(lab.look("op", path).Body, "has approved") })
	for block := stream.next(); block != ""; block = stream.next() {
		if !strings.HasPrefix(block, ":") {
			t.Errorf("somebody who has gone is told: %s", block)
		}
	}
	gone.Store(false) // they are back, and nobody has taken the result meanwhile
	if got := lab.form("op", path+"/result", nil); !strings.Contains(got.Body, "Åse Ødegård") {
		t.Errorf("back again: %s", got.Body)
	}
}
