//go:build unix

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/session"
)

// A service that is asked to stop while the disk with its events hangs stops all the same, in its time, and says so. Here a pipe that nobody
// writes to stands in place of an event, and whoever reads it waits for ever.
func TestSec_D29_StopWhileTheDiskOfEventsHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer receiver.Close()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	core, logged := observer.New(zap.InfoLevel)
	var ahead atomic.Int64
	c := newConfig()
	c.environment, c.publicURLs, c.trustedProxies = envEmulator, []string{"http://localhost:4190"}, []string{"loopback"}
	s := &service{log: zap.New(core), ops: newOps(), handler: http.NotFoundHandler()}
	if err := s.build(c, "http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	s.site, s.opsLn = []net.Listener{anywhere(t)}, anywhere(t)
	s.events, err = outbox.New(outbox.Config{
		URL: receiver.URL, Dir: dir, Secret: outbox.NewSecret(), Keys: session.Keys{key},
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.events.Put(t.Context(), "consents.given", map[string]string{"sub": "s"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("not within half a minute: " + what)
			}
		}
	}
	until("the first attempt", func() bool { return asked.Load() > 0 })
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q: %v", files, err)
	}
	pipe := files[0] + ".pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pipe, files[0]); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(30 * time.Second)) // the second attempt is due, or will be in five seconds; it is not yet time to look at the directory
	var writer *os.File
	until("the second attempt", func() bool { // which opens the pipe
		fd, err := syscall.Open(files[0], syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err == nil {
			writer = os.NewFile(uintptr(fd), files[0])
		}
		return err == nil
	})
	defer writer.Close() // the reader goes on
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it doesn't stop")
	}
	if logged.FilterMessage("delivering events takes too long: stopping without").Len() != 1 {
		t.Errorf("the log: %v", logged.All())
	}
}
