package emulator

import (
	"errors"
	"regexp"
)

var msnFormat = regexp.MustCompile(`^[0-9]{4,7}$`)

// clientByMSN is the one sales unit that has a merchant serial number; partners aren't sales units.
func (e *Emulator) clientByMSN(msn string) (Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found *Client
	for _, c := range e.state.clients {
		if c.Partner || c.MSN != msn {
			continue
		}
		if found != nil {
			return Client{}, errors.New("several clients of the emulator have that merchant serial number")
		}
		found = c
	}
	if found == nil {
		return Client{}, errors.New("the client or its related sales unit or merchant does not exist or is not active")
	}
	return *found, nil
}
