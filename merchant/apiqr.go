package merchant

import (
	"context"
	"net/http"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// qrAnswer is a login that began with the scan of a QR code.
type qrAnswer struct {
	QRID        string        `json:"qr_id"`
	Description string        `json:"qr_description,omitempty"`
	Result      *resultAnswer `json:"result"`
}

// String hides who it is.
func (*qrAnswer) String() string { return "QR login [redacted]" }

// qrLogin gives a caller the next login of the QR codes that are theirs, at once or when there is one; 204 is none. It is gone from
// here when it has been given.
func (a *API) qrLogin(w http.ResponseWriter, r *http.Request, caller, _ string) error {
	if a.qr == nil {
		return errNoPath
	}
	wait, err := readWait(r.URL)
	if err != nil {
		return err
	}
	if err := noBody(r); err != nil {
		return err
	}
	login, err := a.nextQR(w, r, caller, wait)
	if err != nil {
		return err
	}
	if login == nil {
		neverCache(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	out := &qrAnswer{Result: resultOf(login)}
	out.QRID, _ = login.User.Claim("qr_id")
	out.Description, _ = login.User.Claim("qr_description")
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

// nextQR returns nil where there is none in time.
func (a *API) nextQR(w http.ResponseWriter, r *http.Request, caller string, wait time.Duration) (*vipps.Login, error) {
	if r.Context().Err() == nil {
		if login, _ := a.qr.take(caller); login != nil || wait == 0 {
			return login, nil
		}
	}
	ctx, end, ok := a.streams.begin(r.Context(), caller, maxStreams)
	defer end()
	if !ok {
		return nil, errStreams
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait + slack)) // always there on a connection of net/http
	login, err := a.qr.NextQR(ctx, caller)
	if err != nil {
		return nil, nil //nolint:nilnil // none came in time, or the service stops: both are an answer
	}
	return login, nil
}
