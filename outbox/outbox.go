package outbox

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// maxEvents is how many events may wait. More is a receiver that has been away for very long.
	maxEvents = 100_000
	// maxEvent bounds one event, in bytes of JSON.
	maxEvent = 1 << 20

	callTimeout = 15 * time.Second
)

// ErrFull is the answer of Put when no more events can wait.
var ErrFull = errors.New("outbox: too many events wait for their receiver")

// Config says where events are kept and who is told of them. URL, Dir, Secret and Keys are required.
type Config struct {
	// URL is where events are posted: https, or http to a host of one's own network (loopback, a private address, or a name
	// without a dot or below .internal or .local).
	URL string
	// Dir is the directory that keeps them. It is made, with mode 0700, when it is missing. Several processes may share one: an
	// event may then arrive more than once.
	Dir string
	// Secret signs what is sent: "whsec_" and base64 of 24 to 64 bytes, as [NewSecret] makes it.
	Secret vipps.Secret
	// Keys seal events on the disk: the first seals, all of them open.
	Keys session.Keys
	// HTTPClient carries the calls. No redirect is followed. Default: one with a timeout of 15 seconds.
	HTTPClient *http.Client
	// Logger takes what operators need to know. Default: nothing is logged.
	Logger *zap.Logger
	// Metrics takes the counters. Default: none are registered.
	Metrics prometheus.Registerer
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Outbox keeps events until their receiver has taken them. Make it with New; it is safe for concurrent use.
type Outbox struct {
	cfg     Config
	key     []byte
	box     *session.Box
	http    *http.Client
	log     *zap.Logger
	metrics *metrics

	fresh   chan struct{} // something was put
	refused int           // one after another, so far; of Run alone

	mu   sync.Mutex
	wait map[string]*waiting // by the name of its file
	line queue               // of the same
}

// NewSecret returns a fresh secret for Config.Secret: 256 random bits.
func NewSecret() vipps.Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the program would end
	return vipps.Secret(secretPrefix + base64.StdEncoding.EncodeToString(b[:]))
}

// New returns an outbox, or an error that joins a *vipps.ConfigError for each faulty setting. It makes the directory,
// looks at what is in it and whether it can be written to, and does no other I/O: Run sends.
func New(cfg Config) (*Outbox, error) {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	key, err := parseSecret(cfg.Secret)
	if err != nil {
		return nil, err
	}
	box, err := session.NewBox(cfg.Keys, session.Binding{Purpose: "event", Issuer: "outbox", ClientID: "outbox", Site: "outbox"})
	if err != nil {
		return nil, err
	}
	o := &Outbox{cfg: cfg, key: key, box: box, http: httpClient(cfg.HTTPClient), log: cfg.Logger, fresh: make(chan struct{}, 1), wait: map[string]*waiting{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, &vipps.ConfigError{Setting: "consent_dir", Reason: "can't be made: " + withoutPath(err)}
	}
	if err := o.look(); err != nil {
		return nil, &vipps.ConfigError{Setting: "consent_dir", Reason: "can't be read: " + withoutPath(err)}
	}
	if err := o.tryOut(); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, &vipps.ConfigError{Setting: "consent_dir", Reason: "can't be written to: " + withoutPath(err)}
	} else if err != nil { // it may pass, and nobody's login fails because of it
		o.log.Error("events can't be kept now", zap.Error(err), zap.String("mend", "see that the disk of consent_dir is not full"))
	}
	o.metrics = newMetrics(cfg.Metrics, o)
	return o, nil
}

// Check returns what is wrong with the settings, as New does, without touching the disk.
func (c Config) Check() error {
	var errs []error
	if reason := urlFault(c.URL); reason != "" {
		errs = append(errs, &vipps.ConfigError{Setting: "consent_url", Reason: reason})
	}
	if c.Dir == "" {
		errs = append(errs, &vipps.ConfigError{Setting: "consent_dir", Reason: "is required: a directory that keeps events until they have been delivered"})
	}
	if _, err := parseSecret(c.Secret); err != nil {
		errs = append(errs, &vipps.ConfigError{Setting: "consent_secret", Reason: err.Error()})
	}
	return errors.Join(errs...)
}

// String names the receiver's host only.
func (o *Outbox) String() string {
	u, err := url.Parse(o.cfg.URL)
	if err != nil {
		return "outbox"
	}
	return "outbox to " + u.Host
}

// Format writes String for every verb.
func (o *Outbox) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// LogValue is String.
func (o *Outbox) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String names the receiver's host only.
func (c Config) String() string { return (&Outbox{cfg: c}).String() }

// Format writes String for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// withoutPath is an error of the file system without the path, which the operator has given.
func withoutPath(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func urlFault(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "is required: where events are posted"
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return "must be an absolute URL without user and fragment"
	case u.Scheme == "https" || u.Scheme == "http" && ownNetwork(u.Hostname()):
		return ""
	default:
		return "must be https, or http to a host of your own network"
	}
}

// ownNetwork reports whether a name says by itself that it is reached without crossing the Internet.
func ownNetwork(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	host = strings.ToLower(host)
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".localhost")
}

// envelope is what is sent.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Put keeps an event, whose data must be fit for encoding/json. When it returns nil, the event is on the disk and will be delivered;
// otherwise it is not kept. Kind is what happened, such as "consents.given".
func (o *Outbox) Put(ctx context.Context, kind string, data any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(envelope{Type: kind, Timestamp: o.cfg.Now().UTC().Truncate(time.Second), Data: data})
	if err != nil {
		return fmt.Errorf("outbox: writing an event: %w", err)
	}
	if len(body) > maxEvent {
		return errors.New("outbox: the event is above 1 MiB")
	}
	o.mu.Lock()
	full := len(o.wait) >= maxEvents
	o.mu.Unlock()
	if full {
		return ErrFull
	}
	name, err := o.save(body)
	if err != nil {
		return fmt.Errorf("outbox: keeping an event: %w", err)
	}
	o.mu.Lock()
	o.enter(name)
	o.mu.Unlock()
	select {
	case o.fresh <- struct{}{}:
	default:
	}
	return nil
}

// Waiting returns how many events wait to be delivered.
func (o *Outbox) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.wait)
}

// newName is the name of an event's file, which sorts by time, and holds its id.
func (o *Outbox) newName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program would end
	return fmt.Sprintf("%020d-%s%s", o.cfg.Now().UnixNano(), base64.RawURLEncoding.EncodeToString(b[:]), suffix)
}

// idOf is the id of an event, which its receiver sees.
func idOf(name string) string {
	_, id, _ := strings.Cut(strings.TrimSuffix(name, suffix), "-")
	return "evt_" + id
}

func (o *Outbox) path(name string) string { return filepath.Join(o.cfg.Dir, name) }
