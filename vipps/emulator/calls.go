package emulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Endpoints, as Calls, FailNext and Delay name them.
const (
	EndpointDiscovery = "discovery"
	EndpointJWKS      = "jwks"
	EndpointAuthorize = "authorize"
	EndpointToken     = "token"
	EndpointUserinfo  = "userinfo"

	EndpointBackchannel = "backchannel"
	EndpointUserExists  = "user-exists"
)

func knownEndpoint(name string) bool {
	return slices.Contains([]string{
		EndpointDiscovery, EndpointJWKS, EndpointAuthorize, EndpointToken, EndpointUserinfo, EndpointBackchannel, EndpointUserExists,
		EndpointAccessToken, EndpointWebhooks,
	}, name)
}

// Call is one call to an API endpoint, as Control.Log keeps it. It holds no secrets, codes or tokens.
type Call struct {
	// Time is when it ended, by the emulator's clock.
	Time time.Time `json:"time"`
	// Endpoint is one of the Endpoint constants.
	Endpoint string `json:"endpoint"`
	Method   string `json:"method"`
	// Status is the HTTP status of the answer; zero when the connection was dropped.
	Status int `json:"status"`
	// ClientAuth says how the client authenticated at the token endpoint: one of the Seen constants, or empty.
	ClientAuth string `json:"client_auth,omitempty"`
	// Header has the request's Vipps-System-*, Merchant-Serial-Number, User-Agent, Accept and Content-Type, no others.
	Header http.Header `json:"header,omitempty"`
	// Asked are the parameters of an authorize request that hold nobody's secrets: scope, requested_flow, market, acr_values,
	// app_callback_uri and final_redirect_is_app.
	Asked map[string]string `json:"asked,omitempty"`
}

func callHeader(h http.Header) http.Header {
	out := make(http.Header)
	for _, name := range []string{
		"Vipps-System-Name", "Vipps-System-Version", "Vipps-System-Plugin-Name", "Vipps-System-Plugin-Version",
		"Merchant-Serial-Number", "User-Agent", "Accept", "Content-Type",
	} {
		if v := h.Values(name); len(v) > 0 {
			out[http.CanonicalHeaderKey(name)] = slices.Clone(v)
		}
	}
	return out
}

// recorder keeps what Call wants to know of an answer.
type recorder struct {
	http.ResponseWriter
	call    Call
	arrived time.Time
}

// arrival is when a request of the API came, before Delay held it.
func arrival(w http.ResponseWriter, e *Emulator) time.Time {
	if rec, ok := w.(*recorder); ok {
		return rec.arrived
	}
	return e.now()
}

func (rec *recorder) WriteHeader(status int) {
	if rec.call.Status == 0 {
		rec.call.Status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	if rec.call.Status == 0 {
		rec.call.Status = http.StatusOK
	}
	return rec.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// note keeps how a client authenticated.
func note(w http.ResponseWriter, seen string) {
	if rec, ok := w.(*recorder); ok {
		rec.call.ClientAuth = seen
	}
}

// noteQuery keeps what an authorize request asked for.
func noteQuery(w http.ResponseWriter, q url.Values) {
	rec, ok := w.(*recorder)
	if !ok {
		return
	}
	for _, name := range []string{"scope", "requested_flow", "market", "acr_values", "app_callback_uri", "final_redirect_is_app"} {
		if q.Has(name) {
			if rec.call.Asked == nil {
				rec.call.Asked = make(map[string]string)
			}
			rec.call.Asked[name] = q.Get(name)
		}
	}
}

// failure is what FailNext wants of an endpoint.
type failure struct {
	left   int
	status int
	body   string

	retryAfter time.Duration // zero: five seconds
	now        time.Time
	date       bool // Retry-After is a date
}

// beginCall counts a call, and says how long it waits and whether it fails.
func (e *Emulator) beginCall(endpoint string) (time.Duration, *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.calls[endpoint]++
	f := e.state.failures[endpoint]
	if f == nil {
		return e.state.delays[endpoint], nil
	}
	once := *f
	once.now, once.date = e.nowLocked(), f.limits() && e.takeLocked(BreakRetryAfterDate)
	if f.left--; f.left <= 0 {
		delete(e.state.failures, endpoint)
	}
	return e.state.delays[endpoint], &once
}

func (e *Emulator) endCall(rec *recorder) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rec.call.Time = e.nowLocked()
	e.state.log = append(e.state.log, rec.call)
	if over := len(e.state.log) - maxLog; over > 0 {
		e.state.log = slices.Delete(e.state.log, 0, over)
	}
}

// write answers with the failure. Without a body it takes one of the shapes that Vipps' gateway and engine have.
func (f *failure) write(w http.ResponseWriter, _ *http.Request) {
	if f.status == 0 {
		drop(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if f.limits() {
		w.Header().Set("Retry-After", f.retry())
	}
	switch {
	case f.body != "" && (f.body[0] == '{' || f.body[0] == '['):
		writeRawJSON(w, f.status, []byte(f.body))
	case f.body != "":
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.body))
	case f.status == http.StatusTooManyRequests:
		writeJSON(w, f.status, map[string]any{"statusCode": 429, "message": "Rate limit is exceeded. Try again in " + strconv.Itoa(f.seconds()) + " seconds."})
	case f.status == http.StatusBadGateway:
		badGateway(w)
	case f.status >= 300 && f.status < 400:
		w.Header().Set("Location", "http://redirected.localhost:1/")
		w.WriteHeader(f.status)
	default:
		writeJSON(w, f.status, map[string]any{"error": "server_error", "error_description": descServerError})
	}
}

// limits says whether the failure asks to come back later.
func (f *failure) limits() bool {
	return f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable
}

// retry is the value of Retry-After (RFC 9110 §10.2.3): seconds, rounded up, or a date.
func (f *failure) retry() string {
	if f.date {
		return f.now.Add(time.Duration(f.seconds()) * time.Second).UTC().Format(http.TimeFormat)
	}
	return strconv.Itoa(f.seconds())
}

func (f *failure) seconds() int {
	if f.retryAfter == 0 {
		return 5
	}
	return int((f.retryAfter + time.Second - 1) / time.Second)
}

func badGateway(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>\n"))
}

// drop ends the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2, or a recorder: the server ends the stream itself
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}

// Calls says how often each endpoint was called since the start or the last Reset, failed calls included.
func (c *Control) Calls() map[string]int {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return maps.Clone(c.e.state.calls)
}

// Log gives the latest calls, at most 256, the oldest first.
func (c *Control) Log() []Call {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return slices.Clone(c.e.state.log)
}
