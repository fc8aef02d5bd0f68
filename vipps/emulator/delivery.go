package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Kinds of Delivery.
const (
	DeliverWebhook        = "webhook"         // an event, signed, to a registration
	DeliverConsentRevoked = "consent-revoked" // an unsigned JWT, to Client.ConsentRevokedURI
	DeliverQR             = "qr"              // a JWS, to QRCode.CallbackURI
)

// States of Delivery.
const (
	DeliveryWaiting   = "waiting"
	DeliveryDelivered = "delivered" // the receiver answered 2xx in time
	DeliveryGivenUp   = "given-up"  // after a week
	DeliveryDropped   = "dropped"   // its registration, or the emulator, ended before
)

// Delivery is a request from Vipps' side to a receiver: one event, however often it was tried.
type Delivery struct {
	ID string `json:"id"`
	// Kind is one of the Deliver constants, and To whom it is for: the id of a webhook, a client or a QR code.
	Kind string `json:"kind"`
	To   string `json:"to"`
	// URL is where it goes; of a consent-revoked receiver, whose path is its secret, only the origin.
	URL   string `json:"url"`
	Event string `json:"event,omitempty"`
	// State is one of the Delivery constants.
	State string `json:"state"`
	// Attempts says how often it was sent, and Status what the last answer was; zero when there was none.
	Attempts int       `json:"attempts"`
	Status   int       `json:"status"`
	Created  time.Time `json:"created"`
	// Wait is how long it waits for the next attempt, in Vipps' time.
	Wait time.Duration `json:"wait_ns,omitempty"`
}

// parcel is a Delivery with what is sent.
type parcel struct {
	Delivery

	url, secret string // no secret: not signed
	contentType string
	body        []byte
	frozen      *signed // BreakWebhookFrozen: what the first attempt was signed with
	age         time.Duration
}

// lane keeps the order of what goes to one receiver. The lock of the Emulator guards its queue.
type lane struct {
	ctx     context.Context
	end     context.CancelFunc
	wake    chan struct{} // DeliverNow
	queue   []*parcel
	running bool
	silent  time.Duration // since when the receiver hasn't answered, in Vipps' time
}

// courier carries deliveries: one goroutine for each lane that has something to carry.
type courier struct {
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	client  *http.Client
}

const (
	answerWithin = 10 * time.Second
	giveUpAfter  = 7 * 24 * time.Hour
	maxWaiting   = 20000 // in one lane
)

// retryAfter is how long Vipps waits after a number of failed attempts: 2 s four times, 60 s, 120 s, an hour each up to attempt 29,
// then a day.
func retryAfter(attempts int) time.Duration {
	switch {
	case attempts <= 4:
		return 2 * time.Second
	case attempts == 5:
		return time.Minute
	case attempts == 6:
		return 2 * time.Minute
	case attempts < 29:
		return time.Hour
	}
	return 24 * time.Hour
}

// scaled is a duration of Vipps' schedule as long as it takes here.
func (e *Emulator) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / e.cfg.RetryScale)
}

func newCourier(cfg *Config) *courier {
	c := &courier{}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dialLoopback, MaxIdleConnsPerHost: 1, IdleConnTimeout: 2 * time.Second, TLSHandshakeTimeout: answerWithin, MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig: tlsConfig(cfg.RootCAs), DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// dialLoopback connects to this machine and nothing else: names are not looked up, so that none can lead away.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !loopbackName(host) {
		return nil, errors.New("emulator: deliveries go to loopback only")
	}
	d := net.Dialer{Timeout: answerWithin}
	if net.ParseIP(host) != nil {
		return d.DialContext(ctx, network, address)
	}
	conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err == nil {
		return conn, nil
	}
	six, err6 := d.DialContext(ctx, network, net.JoinHostPort("::1", port))
	if err6 != nil {
		return nil, errors.Join(err, err6)
	}
	return six, nil
}

func laneKey(kind, to string) string { return kind + "\x00" + to }

// enqueueLocked sends a parcel on its way, behind those that go to the same receiver.
func (e *Emulator) enqueueLocked(p *parcel) {
	if e.courier.ctx.Err() != nil {
		return
	}
	p.ID, p.State, p.Created = newUUID(), DeliveryWaiting, e.nowLocked()
	key := laneKey(p.Kind, p.To)
	l := e.state.lanes[key]
	if l == nil {
		l = &lane{wake: make(chan struct{}, 1)}
		l.ctx, l.end = context.WithCancel(e.courier.ctx)
		e.state.lanes[key] = l
	}
	e.state.deliveries = append(e.state.deliveries, p)
	if over := len(e.state.deliveries) - maxEntries; over > 0 {
		e.state.deliveries = slices.Delete(e.state.deliveries, 0, over)
	}
	if len(l.queue) >= maxWaiting {
		p.State = DeliveryDropped
		return
	}
	l.queue = append(l.queue, p)
	if !l.running {
		l.running = true
		e.courier.running.Go(func() { e.carry(l) })
	}
}

// carry delivers what is in a lane, one after the other, and ends when nothing is left.
func (e *Emulator) carry(l *lane) {
	for {
		e.mu.Lock()
		if l.ctx.Err() != nil || len(l.queue) == 0 {
			l.running = false
			e.mu.Unlock()
			return
		}
		p := l.queue[0]
		e.mu.Unlock()
		wait := e.settle(l, p, e.post(l.ctx, p))
		if wait == 0 {
			continue
		}
		t := time.NewTimer(e.scaled(wait))
		select {
		case <-t.C:
		case <-l.wake:
		case <-l.ctx.Done():
		}
		t.Stop()
	}
}

// post makes one attempt and gives the status of the answer, zero when there was none in time.
func (e *Emulator) post(ctx context.Context, p *parcel) int {
	// A receiver isn't slow because the schedule is fast.
	ctx, cancel := context.WithTimeout(ctx, max(e.scaled(answerWithin), time.Second))
	defer cancel()
	header, body, twice := e.dress(p)
	status := e.send(ctx, p.url, header, body)
	if twice {
		status = e.send(ctx, p.url, header, body)
	}
	return status
}

func (e *Emulator) send(ctx context.Context, url string, header http.Header, body []byte) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Host, req.Header = authority(req.URL), header
	resp, err := e.courier.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode
}

// settle notes how an attempt ended, and says how long to wait before the next one; zero: this parcel is done.
func (e *Emulator) settle(l *lane, p *parcel, status int) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.ctx.Err() != nil {
		return 0
	}
	p.Attempts++
	p.Status, p.Wait = status, 0
	if status >= 200 && status < 300 {
		p.State, l.silent, l.queue = DeliveryDelivered, 0, l.queue[1:]
		return 0
	}
	wait := retryAfter(p.Attempts)
	p.age += wait
	l.silent += wait
	if tooSilent(p.Kind, l.silent) {
		e.dropWebhookLocked(p.To)
		return 0
	}
	if p.age > giveUpAfter {
		p.State, l.queue = DeliveryGivenUp, l.queue[1:]
		return 0
	}
	p.Wait = wait
	select {
	case <-l.wake: // of an earlier wait that had just ended
	default:
	}
	return wait
}

// dropLaneLocked ends what goes to a receiver.
func (e *Emulator) dropLaneLocked(key string) {
	l := e.state.lanes[key]
	if l == nil {
		return
	}
	l.end()
	for _, p := range l.queue {
		p.State, p.Wait = DeliveryDropped, 0
	}
	l.queue = nil
	delete(e.state.lanes, key)
}

func (e *Emulator) dropLanesLocked() {
	for _, key := range slices.Collect(maps.Keys(e.state.lanes)) {
		e.dropLaneLocked(key)
	}
}

// Close ends deliveries under way and waits until nothing of the emulator runs. Later events go nowhere; the API answers on. Server
// closes its Emulator itself; one made with New needs it only when something was delivered.
func (e *Emulator) Close() {
	e.mu.Lock()
	e.dropLanesLocked()
	e.courier.end()
	e.mu.Unlock()
	e.courier.running.Wait()
	e.courier.client.CloseIdleConnections()
}

// Deliveries lists what was sent, or waits to be sent, to receivers: the latest 1000, the oldest first.
func (c *Control) Deliveries() []Delivery {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.e.state.listDeliveries()
}

// latest are the last ten deliveries, the newest first.
func latest(all []Delivery) []Delivery {
	out := slices.Clone(all[max(0, len(all)-10):])
	slices.Reverse(out)
	return out
}

func (s *state) listDeliveries() []Delivery {
	out := make([]Delivery, 0, len(s.deliveries))
	for _, p := range s.deliveries {
		out = append(out, p.Delivery)
	}
	return out
}

// DeliverNow makes the next attempt of every delivery that waits, at once.
func (c *Control) DeliverNow() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for _, l := range c.e.state.lanes {
		if len(l.queue) == 0 || l.queue[0].Wait == 0 {
			continue
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// deliveryVerbs are those of Control that are about deliveries.
func (c *Control) deliveryVerbs() []verb {
	return []verb{
		{"ping", `{"client_id","auth_req_id"}`, takes(func(a struct {
			ClientID  string `json:"client_id"`
			AuthReqID string `json:"auth_req_id"`
		},
		) error {
			return c.Ping(a.ClientID, a.AuthReqID)
		})},
		{"deliver-now", `{}`, takes(func(struct{}) error { c.DeliverNow(); return nil })},
		{"revoke-api-tokens", `{}`, takes(func(struct{}) error { c.RevokeAPITokens(); return nil })},
	}
}
