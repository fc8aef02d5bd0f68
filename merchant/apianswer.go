package merchant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// A refusal is an answer that isn't what was asked for.
type refusal struct {
	Code        string `json:"error"`
	Field       string `json:"field,omitempty"`
	Description string `json:"error_description"`

	status     int
	retryAfter time.Duration
	allow      string // of 405
}

func (e *refusal) Error() string { return e.Code }

// badField refuses one member of a request, or one parameter: rule says what is wanted.
func badField(field, rule string) *refusal {
	return &refusal{status: http.StatusBadRequest, Code: "invalid_request", Field: field, Description: rule}
}

func tooMany(description string, retryAfter time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, Code: "too_many_requests", Description: description, retryAfter: retryAfter}
}

var (
	errUnauthorized = &refusal{status: http.StatusUnauthorized, Code: "unauthorized", Description: "send the token of a caller of merchant_callers in one header: Authorization: Bearer <token>"}
	errUnknownLogin = &refusal{status: http.StatusNotFound, Code: "unknown_login", Description: "no login of yours has this id"}
	errNoPath       = &refusal{status: http.StatusNotFound, Code: "not_found", Description: "there is nothing at this address; /_vipps/merchant/openapi.json says what there is"}
	errCrossOrigin  = &refusal{status: http.StatusForbidden, Code: "cross_origin", Description: "a page of another site has sent this; call from a server"}
	errMisdirected  = &refusal{status: http.StatusMisdirectedRequest, Code: "unknown_host", Description: "use the host of a public_url"}
	errTooLarge     = &refusal{status: http.StatusRequestEntityTooLarge, Code: "too_large", Description: "a request holds at most 16 KiB"}
	errMediaType    = &refusal{status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Description: "send Content-Type: application/json, in UTF-8 and not compressed"}
)

// refusalOf says how an error is answered. internal is what the log has to be told.
func refusalOf(err error) (r *refusal, internal error) {
	var config *vipps.ConfigError
	var limit *LimitError
	var provider *vipps.Error
	switch {
	case errors.As(err, &r):
		return r, nil
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrLost):
		return errUnknownLogin, nil
	case errors.As(err, &limit):
		return tooMany("too many logins were started, for this number or by this caller", limit.RetryAfter), nil
	case errors.As(err, &config):
		return badField(fieldOf(config.Setting), config.Reason), nil
	case errors.Is(err, vipps.ErrUnavailable):
		r = &refusal{status: http.StatusServiceUnavailable, Code: "provider_unavailable", Description: "Vipps can't be reached or asks to wait; try again later", retryAfter: 10 * time.Second}
		if errors.As(err, &provider) && provider.RetryAfter > 0 {
			r.retryAfter = provider.RetryAfter
		}
		return r, nil // that it is away is said elsewhere
	case errors.As(err, &provider):
		return &refusal{status: http.StatusBadGateway, Code: "provider_error", Description: "Vipps has refused the request; the log of vippsauth says why"}, err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &refusal{status: http.StatusServiceUnavailable, Code: "stopping", Description: "the service is stopping; try again", retryAfter: time.Second}, nil
	}
	return &refusal{status: http.StatusInternalServerError, Code: "internal", Description: "something went wrong here; the log of vippsauth says what"}, err
}

// fieldOf is the member of a request that a setting of package vipps was made of.
func fieldOf(setting string) string {
	switch setting {
	case "expiry", "requested_expiry":
		return "expires_in"
	case "login_hint", "":
		return "phone"
	}
	return setting
}

// failed logs a fault that isn't the caller's.
func (a *API) failed(what string, status int, err error) {
	fields := []zap.Field{zap.Int("status", status), zap.Error(err)}
	var e *vipps.Error
	if errors.As(err, &e) && len(e.Causes()) > 0 {
		fields = append(fields, zap.Strings("likely_causes", e.Causes()))
	}
	a.log.Error(what, fields...)
}

// refuse answers with an error.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	answer, internal := refusalOf(err)
	if internal != nil {
		a.failed("a request of the merchant API failed", answer.status, internal)
	}
	h := w.Header()
	switch answer.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="vippsauth merchant"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", answer.allow)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of it isn't read
	}
	if answer.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds(answer.retryAfter)))
	}
	writeJSON(w, r, answer.status, answer)
}

// leaveBody has the body of somebody who isn't known left alone: the answer would wait for it, and then the connection.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // always there on a connection of net/http
	}
}

// seconds rounds up, so that nobody comes back too early.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// neverCache marks an answer as one caller's alone.
func neverCache(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Authorization, Cookie, Origin, Sec-Fetch-Site")
	h.Set("X-Content-Type-Options", "nosniff")
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, body any) {
	h := w.Header()
	neverCache(h)
	h.Set("Content-Type", "application/json")
	text, err := marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal","error_description":"the answer could not be written"}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // the client went away: nobody is left to tell
	}
}

// marshal is json.Marshal that leaves <, > and & as they are: names hold them, and nobody reads this as HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// loginAnswer is a login as callers see it.
type loginAnswer struct {
	ID        string        `json:"id"`
	State     State         `json:"state"`
	Code      string        `json:"code,omitempty"`
	Flow      string        `json:"flow,omitempty"`
	CreatedAt *time.Time    `json:"created_at,omitempty"`
	ExpiresAt *time.Time    `json:"expires_at,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	Result    *resultAnswer `json:"result,omitempty"`
}

// resultAnswer is who logged in. It is given once.
type resultAnswer struct {
	Sub      string                     `json:"sub"`
	Claims   map[string]json.RawMessage `json:"claims"`
	AuthTime *time.Time                 `json:"auth_time,omitempty"`
}

// String hides who it is.
func (*resultAnswer) String() string { return "result [redacted]" }

// answerOf is a status as callers see it, with the result when it has been taken for this answer.
func answerOf(st Status, login *vipps.Login) *loginAnswer {
	out := &loginAnswer{ID: st.ID, State: st.State, Code: st.Code, Flow: st.Flow, Reason: st.Reason, CreatedAt: instant(st.Created), ExpiresAt: instant(st.Expires)}
	if login != nil {
		out.Result = resultOf(login)
	}
	return out
}

func resultOf(login *vipps.Login) *resultAnswer {
	out := &resultAnswer{Sub: login.User.Sub, Claims: login.User.Claims, AuthTime: instant(login.AuthTime)}
	if out.Claims == nil {
		out.Claims = map[string]json.RawMessage{}
	}
	return out
}

// instant is a time in whole seconds of UTC, and nil for none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
