package caddymodule

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
)

// Servers that share a storage and start together all end up with the one key that one of them made.
func TestLoadKeysTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const servers = 8
	var starting sync.WaitGroup
	results := make([]session.Keys, servers)
	made := make([]bool, servers)
	for i := range servers {
		starting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var err error
			results[i], made[i], err = loadKeys(ctx, &certmagic.FileStorage{Path: dir})
			if err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	count := 0
	for i, keys := range results {
		if len(keys) != 1 || !keys[0].Equal(results[0][0]) {
			t.Fatalf("server %d has another key", i)
		}
		if made[i] {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d servers made a key", count)
	}
}

// A lock that somebody holds costs a deadline, not a hang.
func TestLoadKeysLocked(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	if err := storage.Lock(t.Context(), keysLock); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = storage.Unlock(context.Background(), keysLock) }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	keys, _, err := loadKeys(ctx, storage)
	if err == nil || keys != nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestPoolsAreGivenBack(t *testing.T) {
	t.Parallel()
	h := Handler{Issuer: "https://issuer.example/pool", ClientID: "pool", ClientSecret: "secret", PublicURL: []string{"https://a.example"}}
	set, errs := h.resolve(nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	cfg := instanceConfig{log: zap.NewNop(), storage: func() certmagic.Storage { return nil }}
	first, err := openInstance(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openInstance(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if first.client != second.client || first.state != second.state {
		t.Error("two handlers with one configuration share nothing")
	}
	set.vipps.ClientSecret = "another"
	third, err := openInstance(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if third.client == first.client {
		t.Error("another secret has the same client")
	}
	if third.state != first.state {
		t.Error("another secret has another state: logged-out sessions would open again")
	}
	for _, in := range []*instance{first, second, third} {
		if err := in.close(); err != nil {
			t.Error(err)
		}
	}
	if n, there := states.References(stateKey{set.vipps.Issuer, "pool"}); there {
		t.Errorf("the state still has %d references", n)
	}
	if _, err := first.start(t.Context()); err == nil {
		t.Error("a closed handler starts")
	}
}
