package forwardauth

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
)

// Attack: one customer of an IPv6 provider has a /56 or a /48, which are 256 and 65,536 addresses' worth of /64. Each of them
// starts a few logins, and with fifty of them a second the total is used up: nobody else can log in for as long as it pleases
// them, and it costs nothing. A whole /48 gets four times what one client gets, so that a dozen of those customers is needed.
func TestSec_C073_OneCustomersManyNetworks(t *testing.T) {
	t.Parallel()
	each, all, errs := (&Config{}).parseLimits()
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var l loginLimiter
	refused, started := 0, map[bool]int{}
	for second := range 300 {
		now := stateEpoch.Add(time.Duration(second) * time.Second)
		for i := range 200 { // a second, each from another /64
			limit, _ := l.take(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, byte(i), byte(second), 15: 1}), each, all, now)
			started[limit == limitNone]++
		}
		for i := range 3 { // people, in networks of their own
			address := netip.AddrFrom4([4]byte{203, 0, byte(second), byte(i)})
			if i == 2 {
				address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 1, byte(second), 15: 1})
			}
			if limit, _ := l.take(address, each, all, now); limit != limitNone {
				refused++
			}
		}
	}
	if refused > 0 {
		t.Errorf("%d of 900 other people can't log in", refused)
	}
	if most := 4 * (600 + 300); started[true] > most || started[true] < most-10 {
		t.Errorf("the customer started %d logins and was refused %d", started[true], started[false])
	}
}

// Two neighbours of one /48 don't share what is one client's.
func TestLoginLimitOfNeighbours(t *testing.T) {
	t.Parallel()
	each := rate.Limit{Count: 3, Period: time.Minute}
	var l loginLimiter
	take := func(client string) string {
		limit, _ := l.take(netip.MustParseAddr(client), each, rate.Limit{}, stateEpoch)
		return limit
	}
	for range 3 {
		if take("2001:db8:1:0::1") != limitNone {
			t.Fatal("the first is refused")
		}
	}
	if take("2001:db8:1:0::1") != limitClient {
		t.Error("the first isn't limited")
	}
	for i := range 9 {
		if take("2001:db8:1:"+string(rune('1'+i/3))+"::1") != limitNone {
			t.Fatalf("a neighbour is refused, at %d", i)
		}
	}
	if take("2001:db8:1:9::1") != limitClient {
		t.Error("a fifth is not limited with its neighbours")
	}
	if take("2001:db8:2:9::1") != limitNone {
		t.Error("somebody in another network is refused")
	}
}
