package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MinimumAge is the age in years from which a person can use Vipps Login.
const MinimumAge = 15

// Person is somebody who has the emulated app. All of it is made up, and has to be: the emulator shows it on its pages.
type Person struct {
	// ID is what stays the same whatever else changes; a client's sub for the person is derived from it. Required.
	ID string
	// Phone is the mobile number, digits with country code. Required, and of no other person.
	Phone string
	// Name, GivenName and FamilyName are the claims of the scope name.
	Name, GivenName, FamilyName string
	// Birthdate is YYYY-MM-DD. Who is under MinimumAge is refused. Empty: no claim, and old enough.
	Birthdate string
	// Email is the address; empty: neither email nor email_verified is there.
	Email string
	// EmailVerified is said of Email, as a JSON boolean.
	EmailVerified bool
	// Address is the default address. Nil: the claim is there with all its members empty, as Vipps sends it.
	Address *Address
	// OtherAddresses may hold two more. Empty: [].
	OtherAddresses []Address
	// NIN is the national identity number. Empty: no claim. Use synthetic numbers (in Norway: month plus 80).
	NIN string
	// Gender is passed on as it is. Empty: no claim.
	Gender string
	// Accounts are the bank accounts of the old scope accountNumbers.
	Accounts []Account
	// Note says on the landing page what is special, in English and Norwegian.
	Note, NoteNO string
}

// Address is a postal address with the member names of the userinfo answer.
type Address struct {
	AddressType   string // home, work, other
	Country       string // ISO 3166-1 alpha-2
	PostalCode    string
	Region        string
	StreetAddress string // lines are separated by \n
}

// Account is a bank account.
type Account struct{ Name, Number, Bank string }

func (p *Person) validate() error {
	if p.ID == "" || len(p.ID) > 200 {
		return errors.New("person: ID: must have 1 to 200 bytes")
	}
	if !validPhone(p.Phone) {
		return fmt.Errorf("person %s: Phone: must be 8 to 15 digits with country code", p.ID)
	}
	if p.Birthdate != "" {
		if _, err := time.Parse(time.DateOnly, p.Birthdate); err != nil {
			return fmt.Errorf("person %s: Birthdate: must be YYYY-MM-DD", p.ID)
		}
	}
	return nil
}

func validPhone(s string) bool {
	return len(s) >= 8 && len(s) <= 15 && strings.Trim(s, "0123456789") == ""
}

// oldEnough says whether the person has reached MinimumAge at now.
func (p *Person) oldEnough(now time.Time) bool {
	born, err := time.Parse(time.DateOnly, p.Birthdate)
	return err != nil || !born.AddDate(MinimumAge, 0, 0).After(now)
}

// normalPhone makes the number of what a person types: spaces and punctuation go, + and 00 too, and eight digits are Norwegian.
func normalPhone(typed string) string {
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -().\u00a0\t", r) {
			return -1
		}
		return r
	}, typed)
	s = strings.TrimPrefix(strings.TrimPrefix(s, "+"), "00")
	if len(s) == 8 {
		s = "47" + s
	}
	if !validPhone(s) {
		return ""
	}
	return s
}

// subject is the pairwise sub: a UUID that depends on client and person and on nothing else, behind "emulator-".
func subject(clientID, personID string) string {
	h := sha256.Sum256([]byte("vippsauth emulator sub\x00" + clientID + "\x00" + personID))
	h[6] = h[6]&0x0f | 0x80 // RFC 9562 §5.8: a UUID of one's own making
	h[8] = h[8]&0x3f | 0x80
	return "emulator-" + formatUUID([16]byte(h[:16]))
}

// Subject is the sub under which a client knows the person with a phone number.
func (c *Control) Subject(clientID, phone string) (string, error) {
	p, err := c.person(phone)
	if err != nil {
		return "", err
	}
	if _, ok := c.e.client([]string{clientID}); !ok {
		return "", errors.New("emulator: there is no such client")
	}
	return subject(clientID, p.ID), nil
}

func formatUUID(b [16]byte) string {
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func (a *Address) claim() map[string]any {
	if a == nil {
		a = &Address{}
	}
	var lines []string
	if a.StreetAddress != "" {
		lines = append(lines, a.StreetAddress)
	}
	for _, s := range []string{a.PostalCode, a.Region, a.Country} {
		if s != "" {
			lines = append(lines, s)
		}
	}
	return map[string]any{
		"address_type":   a.AddressType,
		"country":        a.Country,
		"formatted":      strings.Join(lines, "\n"),
		"postal_code":    a.PostalCode,
		"region":         a.Region,
		"street_address": a.StreetAddress,
	}
}

// knownScopes are the scopes that the emulator has claims for.
var knownScopes = [...]string{
	"openid", "name", "phoneNumber", "email", "address", "birthDate", "gender", "nin", "accountNumbers", scopeDelegatedConsents, scopeCustomFlow,
}

// addClaims puts the claims of one scope into c.
func (p *Person) addClaims(c map[string]any, scope string) {
	set := func(name, value string) {
		if value != "" {
			c[name] = value
		}
	}
	switch scope {
	case "name":
		set("name", p.Name)
		set("given_name", p.GivenName)
		set("family_name", p.FamilyName)
	case "phoneNumber":
		c["phone_number"], c["phone_number_verified"] = p.Phone, true
	case "email":
		if p.Email != "" {
			c["email"], c["email_verified"] = p.Email, p.EmailVerified
		}
	case "address":
		others := make([]any, 0, len(p.OtherAddresses))
		for i := range p.OtherAddresses {
			others = append(others, p.OtherAddresses[i].claim())
		}
		c["address"], c["other_addresses"] = p.Address.claim(), others
	case "birthDate":
		set("birthdate", p.Birthdate)
	case "gender":
		set("gender", p.Gender)
	case "nin":
		set("nin", p.NIN)
	case "accountNumbers":
		accounts := make([]any, 0, len(p.Accounts))
		for _, a := range p.Accounts {
			accounts = append(accounts, map[string]any{"account_name": a.Name, "account_number": a.Number, "bank_name": a.Bank})
		}
		c["accounts"] = accounts
	}
}
