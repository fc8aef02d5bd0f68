package emulator

import (
	"net/http"
	"net/url"
	"regexp"
)

var msnFormat = regexp.MustCompile(`^[0-9]{4,7}$`)

// Kinds for Control.Break that are about the merchant serial number in an ID token.
const (
	BreakWrongMSN   = "wrong-msn"
	BreakMissingMSN = "missing-msn"
)

// clientByMSN is the one sales unit that has a merchant serial number, or says why there is none; partners aren't sales units.
func (e *Emulator) clientByMSN(msn string) (unit Client, why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found *Client
	for _, c := range e.state.clients {
		if c.Partner || c.MSN != msn {
			continue
		}
		if found != nil {
			return Client{}, "Several clients of the emulator have that merchant serial number."
		}
		found = c
	}
	if found == nil {
		return Client{}, "The client or its related sales unit or merchant does not exist or is not active."
	}
	return *found, ""
}

// authenticatePartner says which client a partner acts for: the one of the Merchant-Serial-Number, which has to be one that uses
// client_secret_basic.
func (e *Emulator) authenticatePartner(w http.ResponseWriter, r *http.Request, form url.Values) (Client, *tokenError) {
	if form.Has("client_secret") {
		return Client{}, badToken("More than one client authentication method was used.")
	}
	partner, ok := e.apiClient(r)
	if !ok || !partner.Partner {
		return Client{}, invalidClient(" The bearer token is not a partner's, or it has expired.")
	}
	note(w, SeenPartner)
	header := r.Header.Values("Merchant-Serial-Number")
	if len(header) != 1 {
		return Client{}, invalidClient(" The header Merchant-Serial-Number is missing.")
	}
	client, why := e.clientByMSN(header[0])
	switch {
	case why != "":
		return Client{}, invalidClient(" The Merchant-Serial-Number is of no client.")
	case client.AuthMethod != AuthBasic:
		return Client{}, invalidClient(" Partner keys work for clients that have " + AuthBasic + " only.")
	case form.Has("client_id") && form.Get("client_id") != client.ID:
		return Client{}, badToken("The client_id of the body is not that of the Merchant-Serial-Number.")
	}
	return client, nil
}
