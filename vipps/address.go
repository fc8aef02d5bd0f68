package vipps

import (
	"encoding/json"
	"strings"
)

// Address is a postal address. Any field may be empty.
type Address struct {
	// Type is home, work or other.
	Type string `json:"address_type,omitempty"`
	// Formatted is the whole address, its lines separated by "\n".
	Formatted string `json:"formatted,omitempty"`
	// StreetAddress may have a second line, after "\n", for a unit or a floor.
	StreetAddress string `json:"street_address,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	// Region is the town, in Vipps' addresses; other providers use Locality for it.
	Region   string `json:"region,omitempty"`
	Locality string `json:"locality,omitempty"`
	// Country is a code of ISO 3166-1 with two letters, at Vipps.
	Country string `json:"country,omitempty"`
}

// addresses reads an address or an array of them: the first version of the
// API had an array under "address", with a mark at the default. That one
// comes first. Empty addresses, which stand for none, are left out.
func addresses(raw json.RawMessage) []Address {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		items = []json.RawMessage{raw}
	}
	var out []Address
	for _, item := range items {
		var o object
		if err := json.Unmarshal(item, &o); err != nil {
			continue
		}
		a := Address{
			Type:          lines(o.string("address_type")),
			Formatted:     lines(o.string("formatted")),
			StreetAddress: lines(o.string("street_address")),
			PostalCode:    lines(o.string("postal_code")),
			Region:        lines(o.string("region")),
			Locality:      lines(o.string("locality")),
			Country:       lines(o.string("country")),
		}
		if a == (Address{Type: a.Type}) {
			continue
		}
		if isDefault, _ := o.truth("default"); isDefault {
			out = append([]Address{a}, out...)
		} else {
			out = append(out, a)
		}
	}
	return out
}

// lines makes every kind of line break a "\n", also the backslash and the n
// that some of Vipps' samples have in its place, and trims the ends.
func lines(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n", `\r\n`, "\n", `\n`, "\n").Replace(s))
}

func accounts(raw json.RawMessage) []Account {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil
	}
	var out []Account
	for _, item := range items {
		var o object
		if err := json.Unmarshal(item, &o); err != nil {
			continue
		}
		a := Account{
			Name:   o.string("account_name"),
			Number: o.digits("account_number"),
			Bank:   o.string("bank_name"),
		}
		if a != (Account{}) {
			out = append(out, a)
		}
	}
	return out
}

// string returns a text member, "" when it is absent or of another type.
func (o object) string(name string) string {
	s, _ := o.text(name)
	return s
}

// digits returns a text member, or one that is a whole number as its digits.
// A number of less than eleven digits may have lost zeros at its front, and is dropped.
func (o object) digits(name string) string {
	if s, ok := o.text(name); ok {
		return s
	}
	raw := string(o[name])
	if len(raw) < 11 || strings.Trim(raw, "0123456789") != "" {
		return ""
	}
	return raw
}

// truth returns a member that is true or false, or the string "true". ok is
// false when it is absent; anything else than these counts as false.
func (o object) truth(name string) (value, ok bool) {
	if !o.has(name) {
		return false, false
	}
	return string(o[name]) == "true" || o.string(name) == "true", true
}
