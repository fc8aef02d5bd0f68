package merchant

import (
	"context"
	"net/http"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// start begins a login.
func (a *API) start(w http.ResponseWriter, r *http.Request, caller, _ string) error {
	if _, err := readQuery(r.URL); err != nil {
		return err
	}
	request, err := readStart(w, r)
	if err != nil {
		return err
	}
	st, err := a.logins.Start(r.Context(), caller, request)
	if err != nil {
		return err
	}
	w.Header().Set("Location", PathPrefix+"logins/"+st.ID)
	writeJSON(w, r, http.StatusCreated, answerOf(st, nil))
	return nil
}

// login says how a login stands, at once or when that has changed.
func (a *API) login(w http.ResponseWriter, r *http.Request, caller, id string) error {
	wait, err := readWait(r.URL)
	if err != nil {
		return err
	}
	if err := noBody(r); err != nil {
		return err
	}
	st, err := a.status(r.Context(), caller, id)
	if err != nil {
		return err
	}
	if wait > 0 && st.State == Pending {
		ctx, end, ok := a.streams.begin(r.Context(), caller, maxStreams)
		defer end()
		if !ok {
			return errStreams
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait + slack)) // always there on a connection of net/http
		if st, err = a.logins.Wait(ctx, caller, id, Pending); err != nil {
			return err
		}
	}
	writeJSON(w, r, http.StatusOK, a.answer(r.Context(), caller, st))
	return nil
}

var errStreams = tooMany("too many answers are waiting for this caller already; close some", 5*time.Second)

// noBody refuses a body where none belongs, which would be read as the next request by somebody.
func noBody(r *http.Request) error {
	if r.ContentLength != 0 {
		return badField("", "the request must have no body")
	}
	return nil
}

// status says how a login of a caller stands.
func (a *API) status(ctx context.Context, caller, id string) (Status, error) {
	return a.logins.Wait(ctx, caller, id, "")
}

// taken takes the result of a login that is approved, for an answer that is written next. It leaves it where it is when the
// client has gone, and when another answer was faster it says so.
func (a *API) taken(ctx context.Context, caller string, st Status) (Status, *vipps.Login) {
	if st.State != Approved || ctx.Err() != nil {
		return st, nil
	}
	login, err := a.logins.Take(caller, st.ID)
	if err == nil {
		return st, login
	}
	if now, err := a.status(ctx, caller, st.ID); err == nil && now.State != Approved {
		return now, nil
	}
	st.State = Delivered
	return st, nil
}

// cancel ends a login that its caller no longer wants.
func (a *API) cancel(w http.ResponseWriter, r *http.Request, caller, id string) error {
	if _, err := readQuery(r.URL); err != nil {
		return err
	}
	if err := noBody(r); err != nil {
		return err
	}
	if err := a.logins.Cancel(r.Context(), caller, id); err != nil {
		return err
	}
	neverCache(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// userExists says whether somebody can log in with a phone number.
func (a *API) userExists(w http.ResponseWriter, r *http.Request, caller, _ string) error {
	if _, err := readQuery(r.URL); err != nil {
		return err
	}
	m, err := readMembers(w, r, "phone")
	if err != nil {
		return err
	}
	phone, err := m.text("phone")
	if err != nil {
		return err
	}
	if phone == "" {
		return badField("phone", "is missing; write the number with its country code, as 4712345678")
	}
	exists, err := a.logins.UserExists(r.Context(), caller, phone)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, struct {
		Exists bool `json:"exists"`
	}{exists})
	return nil
}

// answer is a status as callers see it, with the result when there is one, which is taken by that.
func (a *API) answer(ctx context.Context, caller string, st Status) *loginAnswer {
	return answerOf(a.taken(ctx, caller, st))
}
