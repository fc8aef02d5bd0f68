package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// storedKeys is where the cookie keys are in Caddy's storage, in the form of a cookie_keys_file. One serves
	// all sites: what it seals is bound to provider, client and site.
	storedKeys = "vippsauth/cookie_keys.txt"
	keysLock   = "vippsauth_cookie_keys"

	keysHeader = "# The keys that seal vippsauth's cookies, one a line. The first seals, all open.\n"

	unlockTimeout = 2 * time.Second
)

// loadKeys reads the cookie keys from Caddy's storage, and makes one when there are none. Of several servers
// that share a storage and start at the same time, one makes it. Keys that are there but can't be read are
// an error, never replaced.
func loadKeys(ctx context.Context, storage certmagic.Storage) (keys session.Keys, created bool, err error) {
	keys, err = readKeys(ctx, storage)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	if err := storage.Lock(ctx, keysLock); err != nil {
		return nil, false, fmt.Errorf("locking Caddy's storage for the cookie key: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		if unlockErr := storage.Unlock(ctx, keysLock); unlockErr != nil && err == nil {
			err = fmt.Errorf("unlocking Caddy's storage: %w", unlockErr)
		}
	}()
	keys, err = readKeys(ctx, storage)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	key, err := session.NewKey()
	if err != nil {
		return nil, false, err
	}
	if err := storage.Store(ctx, storedKeys, []byte(keysHeader+key.Encode()+"\n")); err != nil {
		return nil, false, fmt.Errorf("storing the cookie key in Caddy's storage: %w", err)
	}
	// What others will read counts, should a lock not have held.
	keys, err = readKeys(ctx, storage)
	return keys, err == nil, err
}

func readKeys(ctx context.Context, storage certmagic.Storage) (session.Keys, error) {
	data, err := storage.Load(ctx, storedKeys)
	if err != nil {
		return nil, fmt.Errorf("reading the cookie key from Caddy's storage: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	keys, err := session.ParseKeys(lines)
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", storedKeys, err)
	}
	return keys, nil
}

// checkKeysFile returns what is wrong with a file of keys, as a *vipps.ConfigError. A file that is missing is
// made later, where its directory exists.
func checkKeysFile(path string) error {
	_, err := session.ReadKeysFile(path)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		info, statErr := os.Stat(filepath.Dir(path))
		if statErr == nil && info.IsDir() {
			return nil
		}
	}
	return &vipps.ConfigError{Setting: "cookie_keys_file", Reason: oneLine(err)}
}
