package forwardauth_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// stuckStore never answers before its time is over.
type stuckStore struct{}

func (stuckStore) Load(ctx context.Context, _ func([]byte)) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

func (stuckStore) Save(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}
func (stuckStore) Compact(ctx context.Context, _ time.Time) error { return errors.ErrUnsupported }
func (stuckStore) Place() (name, mend string)                     { return "nowhere", "wait" }

// A store that hangs holds up no request, and a logout for a second.
func TestSec_A132_StoreThatHangs(t *testing.T) {
	t.Parallel()
	state := forwardauth.NewState()
	k := forwardauth.NewRevocationKeeper(state, stuckStore{}, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { k.Run(ctx); close(done) }()
	l := newLab(t, func(c *forwardauth.Config) { c.State = state })
	b := l.loggedIn(phoneAase)
	stolen := b.cookie("vippsauth")
	begin := time.Now()
	if a := b.click("/_vipps/logout", nil); !strings.Contains(a.text, notKept) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if took := time.Since(begin); took > 10*time.Second { // one and a half as a rule
		t.Errorf("the logout takes %s", took)
	}
	if l.opensIn(l.engine, stolen) {
		t.Error("the session isn't ended")
	}
	cancel()
	begin = time.Now()
	<-done
	if took := time.Since(begin); took > 20*time.Second { // two as a rule
		t.Errorf("stopping takes %s", took)
	}
	quickest := time.Hour
	for range 5 { // of which a busy machine may hold some up
		b = l.loggedIn(phoneAase)
		begin = time.Now()
		if a := b.post("/_vipps/logout", nil); !strings.HasSuffix(a.Header.Get("Location"), "?kept=not-yet") {
			t.Errorf("after the keeper has stopped: to %s", a.Header.Get("Location"))
		}
		if quickest = min(quickest, time.Since(begin)); quickest < time.Second {
			break
		}
	}
	if quickest > 1400*time.Millisecond {
		t.Errorf("after the keeper has stopped each logout takes %s and more, though nobody is there to wait for", quickest)
	}
}

// Somebody takes the file away, or puts yesterday's back: what this process knows is in it again.
func TestSec_A132_FileTakenAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	l, _, _ := keptLab(t, path)
	yesterday := []byte("# nothing yet\n")
	logout := func() string {
		b := l.loggedIn(phoneAase)
		stolen := b.cookie("vippsauth")
		b.post("/_vipps/logout", nil)
		return stolen
	}
	first := logout()
	holdsIt := func() bool {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nv1 ")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	soon(t, "the file is made again", holdsIt)
	if err := os.WriteFile(path+".old", yesterday, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	soon(t, "yesterday's file is mended", holdsIt)
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	if _, opens := l.judges(t, late); opens(first) {
		t.Error("it opens again")
	}
}
