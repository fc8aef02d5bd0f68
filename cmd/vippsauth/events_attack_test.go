package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: the disk of consent_dir hangs, as one over the network does. Logins with answers to consents waited for it without end, and with
// sixteen of them nobody asked about any merchant's login any more, nor did the service stop. They go on after some seconds, and what
// waits for the disk has an end.
func TestADiskThatHangsHoldsUpNoLogin(t *testing.T) {
	t.Parallel()
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "c", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	mended := make(chan struct{})
	var putting, kept atomic.Int32
	put := func(context.Context, string, any) error {
		putting.Add(1)
		<-mended
		kept.Add(1)
		return nil
	}
	keep := consented(put, client)
	began := time.Now()
	var all sync.WaitGroup
	for range mostKeeping + 50 {
		all.Go(func() {
			if err := keep(t.Context(), "person", vipps.Consents{}); err == nil {
				t.Error("it counts as kept")
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > keepTime+20*time.Second || putting.Load() != mostKeeping {
		t.Errorf("it took %v, and %d wait", took, putting.Load())
	}
	close(mended)
	for range 3000 { // until what waited is through
		if err = keep(t.Context(), "person", vipps.Consents{}); err == nil && kept.Load() == putting.Load() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || kept.Load() <= mostKeeping {
		t.Errorf("%v, %d kept", err, kept.Load())
	}
}

// Attack: whoever reads the log finds the address of a receiver that has its key in it, as many have.
func TestTheLogHasNoConsentURL(t *testing.T) {
	t.Parallel()
	core, seen := observer.New(zap.DebugLevel)
	logEffective(zap.New(core), map[string][]string{"consent_url": {"https://hooks.example/in/kEy-0123456789?code=abc"}})
	if got := fmt.Sprint(seen.All()[0].ContextMap()); strings.Contains(got, "kEy") || strings.Contains(got, "abc") || !strings.Contains(got, "consent_url:set") {
		t.Error(got)
	}
}
