package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/forwardauth"
)

func storedIn(storage certmagic.Storage) *storedRevocations {
	s := &storedRevocations{}
	s.use(&storageInUse{storage, zap.NewNop()})
	return s
}

// loaded is what a look finds, whenever the last one was.
func loaded(t *testing.T, s *storedRevocations) (lines int, all bool) {
	t.Helper()
	s.looked = time.Time{}
	all, err := s.Load(t.Context(), func(line []byte) {
		if strings.HasPrefix(string(line), "v1 ") {
			lines++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, all
}

func revoked(who string) []byte {
	return forwardauth.RevokePerson("https://issuer.example/", who, time.Now())
}

// Servers that share a storage save at the same time: what each has saved is there, and each finds what others have.
func TestSec_A132_StorageShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const servers, each = 2, 3
	var all [servers]*storedRevocations
	var saving sync.WaitGroup
	for i := range servers {
		all[i] = storedIn(&certmagic.FileStorage{Path: dir})
		saving.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for n := range each {
				if err := all[i].Save(ctx, revoked(fmt.Sprint(i, " ", n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	saving.Wait()
	for i, s := range all {
		if lines, whole := loaded(t, s); lines != servers*each || !whole {
			t.Errorf("server %d finds %d lines, all %t", i, lines, whole)
		}
	}
	info, err := os.Stat(filepath.Join(dir, storedRevocationsKey))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// What hasn't changed for a while isn't read again.
	all[0].at = info.ModTime().Add(coarseTime + time.Second)
	if lines, whole := loaded(t, all[0]); lines != 0 || whole {
		t.Errorf("nothing has changed, and %d lines are read", lines)
	}
	if err := os.Remove(filepath.Join(dir, storedRevocationsKey)); err != nil {
		t.Fatal(err)
	}
	if _, whole := loaded(t, all[0]); !whole {
		t.Error("nobody notices that it was taken away")
	}
	if _, whole := loaded(t, all[0]); whole {
		t.Error("that is noticed again and again")
	}
}

// A lock that somebody holds, and a storage that can't be written, are errors, in time.
func TestSec_B138_StorageThatFails(t *testing.T) {
	t.Parallel()
	held := &certmagic.FileStorage{Path: t.TempDir()}
	if err := held.Lock(t.Context(), revocationsLock); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Unlock(context.Background(), revocationsLock) }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, storage := range map[string]certmagic.Storage{"held": held, "a file": &certmagic.FileStorage{Path: file}, "none": nil} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		begin := time.Now()
		if err := storedIn(storage).Save(ctx, revoked("x")); err == nil || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(begin))
		}
		cancel()
	}
}

// The storage and the log are those of the configuration in use: the new one's from its provisioning on, and the old one's
// again where the new one fails.
func TestStorageOfTheLastConfiguration(t *testing.T) {
	t.Parallel()
	before, after := t.TempDir(), t.TempDir()
	s := &storedRevocations{}
	if err := s.Save(t.Context(), revoked("a")); !errors.Is(err, errNoStorage) {
		t.Errorf("without any: %v", err)
	}
	save := func(who, want string) {
		t.Helper()
		if err := s.Save(t.Context(), revoked(who)); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{before, after} {
			text, err := os.ReadFile(filepath.Join(dir, storedRevocationsKey))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if there := strings.Contains(string(text), strings.Fields(string(revoked(who)))[3]); there != (dir == want) {
				t.Errorf("%s is in %s: %t", who, dir, there)
			}
		}
	}
	first := s.use(&storageInUse{&certmagic.FileStorage{Path: before}, zap.NewNop()})
	save("a", before)
	failed := s.use(&storageInUse{&certmagic.FileStorage{Path: after}, zap.NewNop()})
	save("b", after)
	failed()
	save("c", before)
	s.use(&storageInUse{&certmagic.FileStorage{Path: after}, zap.NewNop()})
	first()
	save("d", after)
}

// hangingStorage answers nothing before the deadline. What isn't here panics: only these are used.
type hangingStorage struct{ certmagic.Storage }

func (hangingStorage) Stat(ctx context.Context, _ string) (certmagic.KeyInfo, error) {
	<-ctx.Done()
	return certmagic.KeyInfo{}, ctx.Err()
}

func (hangingStorage) Lock(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// Attack: the storage is away, somewhere in the network. It holds a start up for a second, and neither a reload nor a stop.
func TestSec_A132_StorageThatHangs(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	k := newKeptRevocations(forwardauth.NewState())
	k.use(hangingStorage{}, zap.New(core))
	begin := time.Now()
	k.start()
	if took := time.Since(begin); took > 10*time.Second || logs.FilterMessageSnippet("takes too long").Len() != 1 {
		t.Errorf("the start takes %s, and the log says %v", took, logs.All())
	}
	begin = time.Now()
	k.stop()
	if took := time.Since(begin); took > 12*time.Second {
		t.Errorf("the stop takes %s", took)
	}
	newKeptRevocations(forwardauth.NewState()).stop() // one that was never started stops too
}
