package merchant_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// A caller that asks to wait for sixty seconds, which the API allows, got its proxy's 503 or 504 in place of an answer: nginx gives up on
// one after sixty seconds, and the backend of the HAProxy example after thirty.
func TestALongPollIsAnsweredBeforeProxiesGiveUp(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]time.Duration{
		"": 0, "wait=0": 0, "wait=1": time.Second, "wait=25": 25 * time.Second, "wait=26": 25 * time.Second, "wait=60": 25 * time.Second,
	} {
		got, err := merchant.ReadWait(&url.URL{RawQuery: query})
		if err != nil || got != want {
			t.Errorf("%q: %v, want %v: %v", query, got, want, err)
		}
	}
}
