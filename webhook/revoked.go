package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	revocationQueue   = 256
	revocationWorkers = 4 // each may wait for a disk

	// Withdrawn consents are rare. Whoever has found out the secret must not fill the list of ended sessions, which is widened to
	// everybody when it is full: at this rate that takes twelve days.
	revocationBurst     = 100
	revocationEvery     = 10 * time.Second
	rememberRevocations = time.Hour

	// keepTime is how long an answer waits until the sessions are ended for good. Vipps never sends again what was answered with 200, so
	// that a crash in between would lose it.
	keepTime = 500 * time.Millisecond

	// clockLeeway is how far the clocks of Vipps and ours may be apart. A session that began so little after the moment ends too.
	clockLeeway = time.Minute
)

var errPathSecret = errors.New("the address doesn't end in consent_revoked_secret")

// judgeRevoked judges a consent-revoked webhook. Nobody signs these, so knowing the address is all that is asked for, and the
// end of sessions is all that comes of it. Whether we know the person isn't looked at.
func (r *Receiver) judgeRevoked(req *http.Request, body io.Reader) verdict {
	given := sha256.Sum256([]byte(strings.TrimPrefix(req.URL.EscapedPath(), ConsentRevokedPath)))
	secret := sha256.Sum256([]byte(r.cfg.ConsentRevokedSecret.Reveal()))
	if subtle.ConstantTimeCompare(given[:], secret[:]) != 1 {
		if err := pass(body); err != nil {
			return verdict{outcome: unread(err)}
		}
		return verdict{outcome: forged, err: errPathSecret}
	}
	text, err := io.ReadAll(body) //nolint:forbidigo // receive has limited it
	if err != nil {
		return verdict{outcome: unread(err)}
	}
	revoked, err := vipps.ParseConsentRevoked(text)
	switch {
	case errors.Is(err, vipps.ErrOtherEvent):
		return verdict{outcome: otherEvent}
	case err != nil:
		return verdict{outcome: unreadable, err: err}
	}
	now := r.cfg.Now()
	before := revoked.IssuedAt.Add(clockLeeway)
	if before.After(now) {
		before = now // or it would end sessions that are yet to begin
	}
	same := sha256.Sum256([]byte(strconv.FormatInt(revoked.IssuedAt.UnixNano(), 10) + " " + revoked.Sub))
	if !r.seenRevocations.claim(same, now) {
		return verdict{outcome: replayed}
	}
	if wait := r.revoking.Take(rate.Limit{Count: revocationBurst, Period: revocationBurst * revocationEvery}, now); wait > 0 {
		r.seenRevocations.forget(same)
		return verdict{outcome: limited, wait: wait}
	}
	done, crowd := make(chan struct{}), r.revocations.crowded()
	if !r.revocations.offer(func(context.Context) {
		defer close(done)
		r.endSessions(revoked.Sub, before)
	}) {
		r.seenRevocations.forget(same)
		return verdict{outcome: busy}
	}
	if !crowd { // or who waits would make others wait
		r.await(req.Context(), done)
	}
	return verdict{outcome: accepted}
}

// await waits for an effect, but not for long, and whoever it is about as long.
func (r *Receiver) await(ctx context.Context, done <-chan struct{}) {
	timer := time.NewTimer(r.keepTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *Receiver) endSessions(sub string, before time.Time) {
	if err := r.cfg.EndSessions(sub, before); err != nil {
		r.metrics.failed()
		r.log.Error("the sessions of somebody who withdrew consent were not ended for good", zap.Error(err),
			zap.String("cure", "see the lines about saving ended sessions; vippsauth revoke ends them by hand"))
	}
}
