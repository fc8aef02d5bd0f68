package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/meter"
	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// QRPath is where QR callbacks come in.
	QRPath = "/_vipps/qr"

	kindQR    = "qr"
	maxQRBody = 8 << 10
	qrQueue   = 256
	qrWorkers = 4 // each waits for Vipps

	// rememberQR is longer than any callback is good for: five minutes, and a minute for one from the future.
	rememberQR = 10 * time.Minute
	// unavailableQR is when a callback may be sent again that couldn't be judged.
	unavailableQR = 5 * time.Second
)

// QRConfig says what comes of QR callbacks. Client and Login are required. Vipps MobilePay withdrew QR logins in January 2023: without an
// agreement about them none will ever come.
type QRConfig struct {
	// Client judges the callbacks, and makes the exchange for each.
	Client *vipps.Client

	// Login is given each login, once, after the callback was answered. Its claim qr_id says which code was scanned. An error is logged.
	Login func(ctx context.Context, login *vipps.Login) error

	// Logger gets a line about what was refused, a few times a minute at most. It holds nothing that was sent. Default: none.
	Logger *zap.Logger

	// Metrics is where counters are registered. Default: nowhere.
	Metrics prometheus.Registerer

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// QR receives QR callbacks. It is safe for concurrent use. Its logins need Run.
type QR struct {
	cfg     QRConfig
	log     *zap.Logger
	said    rate.Lines
	metrics *metrics
	logins  *prometheus.CounterVec
	queue   *queue
	seen    *seen
}

// NewQR returns a receiver of QR callbacks. It does no I/O.
func NewQR(cfg QRConfig) (*QR, error) {
	if cfg.Client == nil || cfg.Login == nil {
		return nil, errors.New("webhook: QRConfig needs Client and Login")
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	q := &QR{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(cfg.Metrics),
		queue: newQueue(qrQueue, qrWorkers), seen: newSeen(maxSeen, rememberQR),
	}
	q.logins = meter.Register(cfg.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "vippsauth", Name: "qr_logins_total", Help: "Logins that began with a QR callback, by what came of them.",
	}, []string{"outcome"}))
	return q, nil
}

// String says nothing of what it knows.
func (q *QR) String() string { return "receiver of QR callbacks" }

// Format writes String for every verb.
func (q *QR) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, q.String()) }

// LogValue is String.
func (q *QR) LogValue() slog.Value { return slog.StringValue(q.String()) }

// Handler receives what comes to QRPath, written exactly so, and leaves everything else to next.
func (q *QR) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.EscapedPath() != QRPath {
			next.ServeHTTP(w, req)
			return
		}
		var v verdict
		body, out := openBody(w, req, maxQRBody)
		if out == "" {
			v = q.judge(req, body)
		} else {
			v.outcome = out
		}
		q.metrics.count(kindQR, v.outcome)
		q.say(v)
		answer(w, v)
	})
}

// Run makes the logins, until ctx ends, and those that are left in the queue then, for some seconds at most.
func (q *QR) Run(ctx context.Context) error {
	q.queue.run(ctx, func(cause string, stack []byte) {
		q.log.Error("a QR login was ended by a fault of ours", zap.String("cause", cause), zap.ByteString("stack", stack))
	})
	return nil
}

// judge says what comes of a callback. The provider is asked for its keys at most, and not more often than every half minute however many come;
// the exchange comes after the answer.
func (q *QR) judge(req *http.Request, body io.Reader) verdict {
	jws, err := io.ReadAll(body) //nolint:forbidigo // Handler has limited it, to so little that all that many strangers send at once is little
	if err != nil {
		return verdict{outcome: unread(err)}
	}
	if !isJWS(req.Header) {
		return verdict{outcome: forged, err: errMediaType}
	}
	cb, err := q.cfg.Client.VerifyQRCallback(req.Context(), string(jws))
	switch {
	case errors.Is(err, vipps.ErrUnavailable):
		v := verdict{outcome: busy, err: err, wait: unavailableQR}
		if e, ok := errors.AsType[*vipps.Error](err); ok {
			v.wait = max(v.wait, e.RetryAfter)
		}
		return v
	case errors.Is(err, vipps.ErrStale):
		return verdict{outcome: stale}
	case err != nil:
		return verdict{outcome: forged, err: err}
	}
	// The same callback has the same auth_req_id, so that one look is enough.
	id := sha256.Sum256([]byte(cb.AuthReqID))
	if !q.seen.claim(id, q.cfg.Now()) {
		return verdict{outcome: replayed}
	}
	if !q.queue.offer(func(ctx context.Context) { q.finish(ctx, cb) }) {
		q.seen.forget(id)
		return verdict{outcome: busy, wait: unavailableQR}
	}
	return verdict{outcome: accepted}
}

// finish makes the exchange, once: what a callback is good for may be gone when it fails.
func (q *QR) finish(ctx context.Context, cb *vipps.QRCallback) {
	login, err := q.cfg.Client.FinishQRLogin(ctx, cb)
	if err != nil {
		q.logins.WithLabelValues("failed").Inc()
		fields := []zap.Field{zap.Error(err)}
		if e, ok := errors.AsType[*vipps.Error](err); ok {
			fields = append(fields, zap.Strings("likely_causes", e.Causes()))
		}
		q.log.Error("a QR login failed: the person has to scan the code again", fields...)
		return
	}
	if err := q.cfg.Login(ctx, login); err != nil {
		q.logins.WithLabelValues("undelivered").Inc()
		if q.said.May("undelivered", q.cfg.Now()) {
			q.log.Warn("a QR login reached nobody", zap.Error(err), zap.String("cure", "name the code's qr_id and its caller in qr_callers"))
		}
		return
	}
	q.logins.WithLabelValues("delivered").Inc()
}

var errMediaType = errors.New("its Content-Type is not that of a JWS")

// isJWS reports whether a body can be a compact JWS by what its sender says: Vipps has never documented its Content-Type.
func isJWS(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) > 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	if len(types) == 0 {
		return true
	}
	kind, _, err := mime.ParseMediaType(types[0])
	return err == nil && slices.Contains([]string{"text/plain", "application/jose", "application/jwt"}, kind)
}

// say logs what an operator should know of an outcome, now and then.
func (q *QR) say(v verdict) {
	var code string
	if e, ok := errors.AsType[*vipps.Error](v.err); ok {
		code = e.Code
	}
	var text, cure string
	switch v.outcome {
	case forged:
		text, cure = "was refused: nobody knows who sent it", "nothing, unless those of Vipps MobilePay are refused too: then look at the issuer and the client"
	case stale:
		text, cure = "had no effect: it is more than five minutes old", "if all of them are, synchronise the clock (NTP)"
	case busy:
		text, cure = "was put off", "if it goes on: too many come at once, or the provider's keys can't be had"
	case tooLarge, tooSlow:
		text, cure = "was refused: it is longer than 8 KiB, or took longer than 5 seconds to come", "Vipps MobilePay sends no such thing; look at what is in front"
	default:
		return
	}
	if !q.said.May(string(v.outcome)+" "+code, q.cfg.Now()) {
		return
	}
	fields := []zap.Field{zap.String("cure", cure)}
	if v.err != nil {
		fields = append(fields, zap.Error(v.err))
	}
	q.log.Warn("a QR callback "+text, fields...)
}
