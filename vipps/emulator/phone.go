package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// Texts of a start that is refused, as a copy of a real answer has them.
const (
	descLoginHint = "login_hint.value : Invalid login_hint. login_hint must be in format: 'urn:msisdn:46|45|47|358|299{phonenumber}'."
	descNoAccount = "To log in with Vipps you need to have an active Vipps app on your phone and be at least 15 years old."
)

var (
	msisdnHint   = regexp.MustCompile(`^urn:msisdn:((?:46|45|47|358|299)[0-9]{5,12})$`)
	mobileHint   = regexp.MustCompile(`^urn:mobilenumber:([0-9]{8})$`)
	customerHint = regexp.MustCompile(`^urn:customer-token:([A-Za-z0-9._~-]{1,200})$`)
)

// hint says whom a login_hint means. An empty answer without an error is nobody that the emulator knows.
func (e *Emulator) hint(loginHint string) (personID string, bad *tokenError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var p *Person
	if m := msisdnHint.FindStringSubmatch(loginHint); m != nil && validPhone(m[1]) {
		p = e.state.personByPhone(m[1])
	} else if m := mobileHint.FindStringSubmatch(loginHint); m != nil && e.cfg.LegacyLoginHint {
		p = e.state.personByPhone("47" + m[1])
	} else if m := customerHint.FindStringSubmatch(loginHint); m != nil {
		p = e.state.personByToken(m[1])
	} else {
		return "", &tokenError{status: 400, code: "invalid_request", description: descLoginHint}
	}
	if p == nil || !p.oldEnough(e.nowLocked()) {
		return "", nil
	}
	return p.ID, nil
}

// customerToken is what a check-in by QR would give a merchant for a person.
func customerToken(personID string) string {
	h := sha256.Sum256([]byte("vippsauth emulator customer token\x00" + personID))
	return "emulator-" + hex.EncodeToString(h[:12])
}

func (s *state) personByToken(token string) *Person { return s.known.byToken[token] }

// peopleIndex finds people, however many there are.
type peopleIndex struct {
	byID             map[string]int // in state.people
	byPhone, byToken map[string]*Person
}

// setPerson adds a person, or replaces the one of the same ID. Nobody else has the phone number.
func (s *state) setPerson(p *Person) {
	i, ok := s.known.byID[p.ID]
	if ok {
		delete(s.known.byPhone, s.people[i].Phone)
		s.people[i] = p
	} else {
		s.known.byID[p.ID] = len(s.people)
		s.people = append(s.people, p)
	}
	s.known.byPhone[p.Phone], s.known.byToken[customerToken(p.ID)] = p, p
}

// CustomerToken is the customer token of the person with a phone number, for a login_hint urn:customer-token:. It stays the same.
func (c *Control) CustomerToken(phone string) (string, error) {
	p, err := c.person(phone)
	if err != nil {
		return "", err
	}
	return customerToken(p.ID), nil
}
