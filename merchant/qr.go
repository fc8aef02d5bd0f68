package merchant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	keepQR    = 5 * time.Minute // for the caller to fetch
	mostQRs   = 100             // that wait for one caller: whoever scans more pushes out the oldest
	maxQRID   = 256
	qrClaim   = "qr_id"
	qrSetting = "qr_callers"
)

// QRLogins hands logins that began with the scan of a printed QR code to the caller that the code belongs to: the till or the machine
// that it sticks to. Codes are static and public, so that who scanned one says nothing about who stands there; nobody but
// the configured caller gets the login. Make it with [NewQRLogins]. It is safe for concurrent use.
type QRLogins struct {
	callers map[string]string // by qr_id
	now     func() time.Time

	mu      sync.Mutex
	waiting map[string][]qrLogin     // by caller, the oldest first
	changed map[string]chan struct{} // by caller: closed when a login comes
}

type qrLogin struct {
	login *vipps.Login
	until time.Time
}

// NewQRLogins reads whose code is whose, each entry as "qr_id=caller". Several codes may be of one caller, and none of two. A nil now
// is time.Now. Its error joins a *vipps.ConfigError for each faulty entry.
func NewQRLogins(callers []string, now func() time.Time) (*QRLogins, error) {
	if now == nil {
		now = time.Now
	}
	q := &QRLogins{callers: map[string]string{}, now: now, waiting: map[string][]qrLogin{}, changed: map[string]chan struct{}{}}
	var errs []error
	for i, entry := range callers {
		id, caller, ok := strings.Cut(entry, "=")
		_, twice := q.callers[id]
		reason := ""
		switch {
		case !ok:
			reason = "is not one: write the code's qr_id and the caller that gets its logins, as oKAz7q1O=till-1"
		case !isQRID(id):
			reason = "has no usable qr_id: 1 to 256 printable characters without blanks, as Vipps calls the code"
		case !isCallerName(caller):
			reason = "names no caller: write one of merchant_callers behind the ="
		case twice:
			reason = "is for the same code as another one: a login is one caller's"
		}
		if reason != "" {
			errs = append(errs, &vipps.ConfigError{Setting: qrSetting, Reason: fmt.Sprintf("entry %d %s", i+1, reason)})
			continue
		}
		q.callers[id] = caller
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return q, nil
}

func isQRID(id string) bool {
	return id != "" && len(id) <= maxQRID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Callers are those that codes belong to, each once.
func (q *QRLogins) Callers() []string {
	var names []string
	for _, caller := range q.callers {
		if !slices.Contains(names, caller) {
			names = append(names, caller)
		}
	}
	slices.Sort(names)
	return names
}

// String says nothing of who logged in.
func (q *QRLogins) String() string { return fmt.Sprintf("QR logins of %d codes", len(q.callers)) }

// Format writes String for every verb.
func (q *QRLogins) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, q.String()) }

// LogValue is String.
func (q *QRLogins) LogValue() slog.Value { return slog.StringValue(q.String()) }

// OfferQR keeps a login for the caller of its code, for five minutes. [ErrUnknown] means that the code is nobody's.
func (q *QRLogins) OfferQR(login *vipps.Login) error {
	if login == nil || login.User.Sub == "" {
		return ErrNoResult
	}
	id, _ := login.User.Claim(qrClaim)
	caller, ok := q.callers[id]
	if !ok {
		return ErrUnknown
	}
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	all := append(q.fresh(caller, now), qrLogin{login, now.Add(keepQR)})
	if len(all) > mostQRs {
		all[0] = qrLogin{}
		all = all[1:]
	}
	q.waiting[caller] = all
	time.AfterFunc(keepQR, q.sweep)
	if changed := q.changed[caller]; changed != nil {
		close(changed)
		delete(q.changed, caller)
	}
	return nil
}

// sweep forgets what nobody fetched.
func (q *QRLogins) sweep() {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for caller := range q.waiting {
		q.fresh(caller, now)
	}
}

// fresh forgets what waited too long, and returns the rest. q.mu is held.
func (q *QRLogins) fresh(caller string, now time.Time) []qrLogin {
	all := slices.DeleteFunc(q.waiting[caller], func(l qrLogin) bool { return !l.until.After(now) })
	if len(all) == 0 {
		delete(q.waiting, caller)
		return nil
	}
	q.waiting[caller] = all
	return all
}

// NextQR returns the oldest login that waits for a caller, or waits for one until ctx ends; then its error is [ErrNoResult]. Each login
// is given once, and to no other caller.
func (q *QRLogins) NextQR(ctx context.Context, caller string) (*vipps.Login, error) {
	for {
		if ctx.Err() != nil { // whoever asked has gone: the login stays for the next
			return nil, ErrNoResult
		}
		login, changed := q.take(caller)
		if login != nil {
			return login, nil
		}
		select {
		case <-ctx.Done():
			return nil, ErrNoResult
		case <-changed:
		}
	}
}

// take returns the oldest login of a caller, or what is closed when there is one.
func (q *QRLogins) take(caller string) (*vipps.Login, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if all := q.fresh(caller, q.now()); len(all) > 0 {
		login := all[0].login
		all[0] = qrLogin{}
		q.waiting[caller] = all[1:]
		return login, nil
	}
	if q.changed[caller] == nil {
		q.changed[caller] = make(chan struct{})
	}
	return nil, q.changed[caller]
}
