package outbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	secretPrefix = "whsec_"
	lookEvery    = time.Minute      // for events of other processes
	maxPause     = 15 * time.Minute // while the receiver is away
	mostRefused  = 10               // one after another: beyond, it is the receiver's fault, and not that of an event
)

// delays are those before the second attempt at an event that its receiver refuses, and so on; the last one stays.
var delays = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour,
}

func parseSecret(s vipps.Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New(`must be "whsec_" and base64 of 24 to 64 random bytes: make one with vippsauth keygen --events`)
	}
	return key, nil
}

// httpClient copies hc, or makes our own if it is nil. Redirects are the receiver's fault, and its URL is ours to know.
func httpClient(hc *http.Client) *http.Client {
	out := &http.Client{Timeout: callTimeout}
	if hc != nil {
		*out = *hc
	}
	out.Jar = nil
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return out
}

// Run delivers events until ctx ends. It sends one at a time, the oldest first. Each that isn't taken is tried again later and later.
// While the receiver seems to be away, or refuses one event after another, attempts are spaced, a second at first and a quarter of an hour
// at most; each is at another event, and a fresh one brings another at once, since it may be one event only that the receiver stumbles over.
func (o *Outbox) Run(ctx context.Context) {
	defer o.http.CloseIdleConnections()
	pause, looked, told := time.Duration(0), o.cfg.Now(), time.Time{}
	for {
		wait := lookEvery
		name, due := o.next()
		switch in := due.Sub(o.cfg.Now()); {
		case name == "":
		case in > 0:
			wait = min(in, lookEvery)
		default:
			wait = 0
			if away := o.attempt(ctx, name); away != nil && ctx.Err() == nil {
				pause = min(max(2*pause, time.Second), maxPause)
				wait = pause
				if now := o.cfg.Now(); now.Sub(told) >= min(pause, time.Minute) {
					told = now
					o.tellAway(away, o.pauseBeforeNext(wait))
				}
			} else {
				pause = 0
			}
		}
		if o.cfg.Now().Sub(looked) >= lookEvery {
			looked = o.cfg.Now()
			if err := o.look(); err != nil {
				o.log.Error("events that wait for their receiver can't be read", zap.Error(err), zap.String("mend", "make consent_dir readable"))
			}
		}
		if !o.sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits, and no longer than until there is a fresh event. It returns false when ctx has ended.
func (o *Outbox) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-o.fresh:
	case <-t.C:
	}
	return true
}

// attempt sends one event. It returns an error when the receiver seems to be away, or refuses whatever comes, and nil when it has taken the
// event, or refused this one. Until the next attempt at this one others have their turn.
func (o *Outbox) attempt(ctx context.Context, name string) (away error) {
	body, err := o.load(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // another process has delivered it
		o.drop(name)
		return nil
	case err != nil:
		o.postpone(name, err, true)
		return nil
	}
	status, err := o.send(ctx, idOf(name), body)
	switch {
	case err != nil:
		o.later(name, whileAway)
		if ctx.Err() == nil {
			o.metrics.failed.Inc()
		}
		return err
	case status >= 200 && status < 300:
		o.metrics.delivered.Inc()
		o.refused = 0
		if err := os.Remove(o.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.log.Error("a delivered event can't be removed and will be sent again", zap.Error(err), zap.String("mend", "make consent_dir writable"))
			o.postpone(name, nil, false)
			return nil
		}
		o.drop(name)
		return nil
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		o.later(name, whileAway)
		o.metrics.failed.Inc()
		return fmt.Errorf("it answers with status %d", status)
	default:
		o.postpone(name, fmt.Errorf("the receiver refuses it with status %d", status), false)
		if o.refused++; o.refused <= mostRefused {
			return nil
		}
		return fmt.Errorf("it refuses one event after another, the last with status %d", status)
	}
}

// whileAway is how long after an attempt the same event may be sent again, when the receiver could not take it.
func whileAway(tries int) time.Duration { return min(delays[min(tries, len(delays)-1)], maxPause) }

// send posts one event and returns the status of the answer.
func (o *Outbox) send(ctx context.Context, id string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	at := strconv.FormatInt(o.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "vippsauth")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", sign(o.key, id, at, body))
	resp, err := o.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10) // what it says is of no interest; the connection is
	return resp.StatusCode, nil
}

// sign follows Standard Webhooks, "Signature scheme", in its symmetric form.
func sign(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(slices.Concat([]byte(id+"."+at+"."), body)) // never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// postpone puts an event off, and says why, but for the attempts of the first hour once only.
func (o *Outbox) postpone(name string, why error, unusable bool) {
	tries := o.later(name, func(tries int) time.Duration { return delays[min(tries, len(delays)-1)] })
	o.metrics.failed.Inc()
	if why == nil || tries > 1 && (unusable || delays[min(tries, len(delays))-1] < time.Hour) {
		return
	}
	mend := "it is sent again until the receiver of consent_url takes it with a 2xx"
	switch {
	case errors.Is(why, errUnusable):
		mend = "put the cookie key back with which it was kept, behind the new one in cookie_keys, until it has been delivered"
	case unusable:
		mend = "make consent_dir readable to the user that runs vippsauth"
	}
	o.log.Error("an event was not delivered, and is kept", zap.String("event", idOf(name)), zap.Error(why), zap.String("mend", mend))
}

// pauseBeforeNext is how long it is until the next attempt, when there is a pause: with few events it takes longer until one is due again.
func (o *Outbox) pauseBeforeNext(pause time.Duration) time.Duration {
	if name, due := o.next(); name != "" {
		return max(pause, due.Sub(o.cfg.Now()))
	}
	return pause
}

func (o *Outbox) tellAway(err error, wait time.Duration) {
	o.log.Warn("the receiver of events is away, and they are kept", zap.Int("waiting", o.Waiting()), zap.Duration("retry_after", wait.Round(time.Second)), zap.Error(hideURL(err)))
}

// hideURL takes the URL out of an error of net/http: it may hold a secret.
func hideURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
