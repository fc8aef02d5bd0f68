package caddymodule

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	cfg := instanceConfig{log: zap.NewNop(), storage: func() certmagic.Storage { return storage }}
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
		t.Error("a closed handler starts, with a key that it has made")
	}
	if storage.Exists(t.Context(), storedKeys) {
		t.Error("a closed handler makes a key")
	}
}

// A reload replaces a configuration before it has had a request, and one comes late, on a connection that is still open: it
// is answered. What the handler takes for that it has nobody to give back to, so it takes nothing.
func TestSec_D15_LateRequestOfAReplacedConfiguration(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	if _, _, err := loadKeys(t.Context(), storage); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	cfg := instanceConfig{log: zap.NewNop(), storage: func() certmagic.Storage { return storage }}
	for name, h := range map[string]Handler{
		"keys in the storage":  {Issuer: "https://issuer.example/late", ClientID: "late", ClientSecret: "secret", PublicURL: []string{"https://a.example"}},
		"keys in a file":       {Issuer: "https://issuer.example/late", ClientID: "late", ClientSecret: "secret", PublicURL: []string{"https://a.example"}, CookieKeysFile: file},
		"with an emulator":     {Environment: "emulator", EmulatorListen: "127.0.0.1:1", PublicURL: []string{"http://localhost:1"}},
		"a file that has gone": {Issuer: "https://issuer.example/late", ClientID: "late", ClientSecret: "secret", PublicURL: []string{"https://a.example"}, CookieKeysFile: file + "2"},
	} {
		if name == "keys in a file" {
			if _, _, err := session.LoadOrCreateKeysFile(file); err != nil {
				t.Fatal(err)
			}
		}
		set, errs := h.resolve(nil)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		in, err := openInstance(set, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.close(); err != nil {
			t.Fatal(err)
		}
		s, err := in.start(t.Context())
		if serves := s != nil && err == nil; serves != strings.HasPrefix(name, "keys") {
			t.Errorf("%s: serves %t, %v", name, serves, err)
		}
		if len(in.refs) > 0 {
			t.Errorf("%s: it has %d things that nobody gives back", name, len(in.refs))
		}
		if n, there := states.References(stateKey{set.vipps.Issuer, set.vipps.ClientID}); there {
			t.Errorf("%s: the state has %d references", name, n)
		}
	}
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a closed handler makes a file of keys")
	}
}
