package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// Path is where signed webhooks come in.
	Path = "/_vipps/webhook"
	// ConsentRevokedPath is where consent-revoked webhooks come in, with the secret behind it.
	ConsentRevokedPath = "/_vipps/consent-revoked/"

	minPathSecret, maxPathSecret = 32, 256
)

var pathSecret = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Config says what is received, and what comes of it. The zero value receives nothing.
type Config struct {
	// Verifier says which signed webhooks are Vipps'. Default: none are received.
	Verifier *vipps.WebhookVerifier

	// Ping is told the auth_req_id of a signed ping, and says whether it is that of a login that waits. A ping is no more than a
	// hint that the login can be asked for now: what it names may be anybody's. Default: pings have no effect.
	Ping func(authReqID string) bool

	// ConsentRevokedSecret is the end of the address for consent-revoked webhooks, which nobody signs: 32 to 256 letters,
	// digits, "-" and "_". Default: none are received.
	ConsentRevokedSecret vipps.Secret

	// EndSessions ends the sessions of a person that began before a moment, and returns when that is kept. It is needed with
	// ConsentRevokedSecret, and must take as long for people whom nobody here knows.
	EndSessions func(sub string, before time.Time) error

	// Logger gets a line about what was refused, a few times a minute at most. It holds nothing that was sent. Default: none.
	Logger *zap.Logger

	// Metrics is where counters are registered. Default: nowhere.
	Metrics prometheus.Registerer

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Receiver receives webhooks. It is safe for concurrent use. Its effects need Run.
type Receiver struct {
	cfg     Config
	log     *zap.Logger
	said    rate.Lines
	metrics *metrics

	pings, revocations *queue
	seenPings          *seen
	seenRevocations    *seen
	revoking           rate.Bucket
	keepTime           time.Duration
}

// New returns a receiver, or an error that joins a *vipps.ConfigError for each faulty setting.
func New(cfg Config) (*Receiver, error) {
	var errs []error
	secret := cfg.ConsentRevokedSecret.Reveal()
	if secret != "" && (len(secret) < minPathSecret || len(secret) > maxPathSecret || !pathSecret.MatchString(secret)) {
		errs = append(errs, &vipps.ConfigError{
			Setting: "consent_revoked_secret",
			Reason:  `must be 32 to 256 letters, digits, "-" and "_", all of them random, as openssl rand -hex 32 prints: it is all that keeps others from ending sessions`,
		})
	}
	if secret != "" && cfg.EndSessions == nil {
		errs = append(errs, errors.New("webhook: EndSessions is missing"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Receiver{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(cfg.Metrics),
		pings: newQueue(pingQueue, pingWorkers), revocations: newQueue(revocationQueue, revocationWorkers),
		seenRevocations: newSeen(maxSeen, rememberRevocations), keepTime: keepTime,
	}
	if cfg.Verifier != nil {
		r.seenPings = newSeen(maxSeen, 2*cfg.Verifier.Tolerance()+time.Second) // one from the future is fresh for so long
	}
	r.watch()
	return r, nil
}

// String says nothing of what it knows.
func (r *Receiver) String() string { return "receiver of webhooks" }

// Format writes String for every verb.
func (r *Receiver) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r *Receiver) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Receives says whether anything is received.
func (r *Receiver) Receives() bool {
	return r.cfg.Verifier != nil || r.cfg.ConsentRevokedSecret != ""
}

// Handler receives what comes to its paths, written exactly as they are, and leaves everything else to next.
func (r *Receiver) Handler(next http.Handler) http.Handler {
	signed, revoked := r.receive(kindPing, r.judgeSigned), r.receive(kindRevoked, r.judgeRevoked)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path := req.URL.EscapedPath()
		switch {
		case path == Path && r.cfg.Verifier != nil:
			signed.ServeHTTP(w, req)
		case strings.HasPrefix(path, ConsentRevokedPath) && r.cfg.ConsentRevokedSecret != "":
			revoked.ServeHTTP(w, req)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// Run does what the deliveries say, until ctx ends, and what is left in the queues then, for some seconds at most.
func (r *Receiver) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, q := range []*queue{r.pings, r.revocations} {
		running.Go(func() { q.run(ctx, r.fault) })
	}
	running.Wait()
	return nil
}

// fault logs what a job of ours threw, of which the value may be anything.
func (r *Receiver) fault(cause string, stack []byte) {
	r.log.Error("a webhook's effect was ended by a fault of ours", zap.String("cause", cause), zap.ByteString("stack", stack))
}

// judge says what comes of a delivery, of whose body it keeps nothing before it knows whose it is.
type judge func(req *http.Request, body io.Reader) verdict

// receive opens a body, asks judge, and answers.
func (r *Receiver) receive(kind string, judge judge) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var v verdict
		body, out := openBody(w, req, maxBody)
		if out == "" {
			v = judge(req, body)
		} else {
			v.outcome = out
		}
		r.metrics.count(kind, v.outcome)
		r.say(kind, v)
		answer(w, v)
	})
}
