package vipps

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
)

// User is who logged in. Every field but Sub may be empty: people and sales
// units differ in what they release. A claim of an unexpected type is
// dropped, never an error.
//
// fmt and log/slog don't show what is in it; encoding/json does.
type User struct {
	// Sub identifies the person, for this sales unit only. It stays when name,
	// phone number or e-mail address change, and is the only key to store.
	Sub string

	// Name is the full name, GivenName (there may be several) and FamilyName its parts.
	Name, GivenName, FamilyName string

	// Email is an address, and EmailVerified says whether the provider has
	// verified it; false also when it doesn't say.
	Email         string
	EmailVerified bool

	// PhoneNumber is, at Vipps, country code and number in digits, like
	// 4712345678. Numbers change hands, so it is no key.
	PhoneNumber string
	// PhoneNumberVerified is nil when the provider doesn't say.
	PhoneNumberVerified *bool

	// Birthdate is YYYY-MM-DD as a rule, and whatever the provider sent otherwise.
	Birthdate string
	// NIN is a national identity number, as the provider writes it: of which country, and in which form, it doesn't say.
	NIN string
	// Gender has no documented list of values.
	Gender string

	// Address is the default address, nil if there is none; OtherAddresses are the rest.
	Address        *Address
	OtherAddresses []Address

	// Accounts are bank accounts.
	Accounts []Account

	// Claims holds every member of userinfo as it was received, and those of
	// the ID token that userinfo lacks, except members of the protocol (iss, aud, nonce…).
	Claims map[string]json.RawMessage
}

// String hides everything.
func (u User) String() string { return "user " + redacted }

// GoString is String.
func (u User) GoString() string { return u.String() }

// LogValue is String.
func (u User) LogValue() slog.Value { return slog.StringValue(u.String()) }

// Account is a bank account. Vipps MobilePay gives it to old agreements only.
type Account struct {
	// Name is what its owner calls it.
	Name string `json:"account_name,omitempty"`
	// Number is the account number in digits, eleven of them in Norway. A number that the provider sends as a JSON number
	// with fewer than eleven digits is left out: it may have lost zeros.
	Number string `json:"account_number,omitempty"`
	// Bank is the name of the bank.
	Bank string `json:"bank_name,omitempty"`
}

// protocolClaims are the members of an ID token that say nothing about the person.
func protocolClaims() []string {
	return []string{
		"iss", "aud", "exp", "iat", "nbf", "jti", "azp", "nonce", "at_hash", "c_hash", "s_hash",
		"auth_time", "rat", "acr", "amr", "sid", "session_state", "typ", "msn", "auth_req_id", "authReqId",
		"urn:openid:params:jwt:claim:auth_req_id", "urn:openid:params:jwt:claim:rt_hash",
		// Only a QR login has these, and only its ID token says so: finishQR adds them.
		"qr_id", "qr_description",
	}
}

// mergeClaims returns the claims of userinfo, and of the ID token those that
// userinfo lacks. A value and the word that it is verified always come from
// the same place, unless both places agree on the value.
func mergeClaims(token, userinfo object) object {
	out := make(object, len(token)+len(userinfo))
	for _, claims := range []object{token, userinfo} {
		for name, raw := range claims {
			lacking := out.has(name) && !claims.has(name)
			if !lacking && !slices.Contains(protocolClaims(), name) {
				out[name] = raw
			}
		}
	}
	for value, flag := range map[string]string{"email": "email_verified", "phone_number": "phone_number_verified"} {
		from, other := token, userinfo
		if userinfo.has(value) {
			from, other = userinfo, token
		}
		switch {
		case from.has(flag):
			out[flag] = from[flag]
		case !other.has(flag) || !sameText(token, userinfo, value):
			delete(out, flag)
		}
	}
	return out
}

func sameText(a, b object, name string) bool {
	x, ok1 := a.text(name)
	y, ok2 := b.text(name)
	return ok1 && ok2 && x == y
}

// newUser reads the claims. Nothing in them can make it fail.
func newUser(sub string, o object) User {
	u := User{
		Sub:            sub,
		Name:           o.string("name"),
		GivenName:      o.string("given_name"),
		FamilyName:     o.string("family_name"),
		Email:          o.string("email"),
		PhoneNumber:    o.string("phone_number"),
		Birthdate:      o.string("birthdate"),
		Gender:         o.string("gender"),
		NIN:            o.digits("nin"),
		OtherAddresses: addresses(o["other_addresses"]),
		Accounts:       accounts(o["accounts"]),
		Claims:         o,
	}
	if u.NIN == "" {
		u.NIN = o.digits("nnin") // its name in the first version of the API
	}
	verified, _ := o.truth("email_verified")
	u.EmailVerified = verified && u.Email != ""
	if verified, ok := o.truth("phone_number_verified"); ok && u.PhoneNumber != "" {
		u.PhoneNumberVerified = &verified
	}
	if all := addresses(o["address"]); len(all) > 0 {
		u.Address = &all[0]
		u.OtherAddresses = append(all[1:len(all):len(all)], u.OtherAddresses...)
	}
	return u
}

// Claim returns a claim as text for a header, and false when it is absent,
// null or empty. Where User has a field for it, the field is what counts:
// strings are as they are, email_verified and phone_number_verified "true" or
// "false", address, other_addresses and accounts compact JSON with the names of the
// standard, and consents the answers of [User.Consents] with their time, without
// the texts. Of other claims, strings are as they are, and everything else is compact JSON.
//
// The text may hold any characters, line breaks included.
func (u *User) Claim(name string) (value string, ok bool) {
	switch name {
	case "sub":
		value = u.Sub
	case "name":
		value = u.Name
	case "given_name":
		value = u.GivenName
	case "family_name":
		value = u.FamilyName
	case "email":
		value = u.Email
	case "phone_number":
		value = u.PhoneNumber
	case "birthdate":
		value = u.Birthdate
	case "gender":
		value = u.Gender
	case "nin":
		value = u.NIN
	case "email_verified":
		if _, said := object(u.Claims).truth(name); said && u.Email != "" {
			value = truthText(u.EmailVerified)
		}
	case "phone_number_verified":
		if u.PhoneNumberVerified != nil {
			value = truthText(*u.PhoneNumberVerified)
		}
	case "address":
		if u.Address != nil {
			value = compactJSON(u.Address)
		}
	case "other_addresses":
		if len(u.OtherAddresses) > 0 {
			value = compactJSON(u.OtherAddresses)
		}
	case "accounts":
		if len(u.Accounts) > 0 {
			value = compactJSON(u.Accounts)
		}
	case "consents":
		if c, ok := u.Consents(); ok {
			value = c.header()
		}
	default:
		value = object(u.Claims).header(name)
	}
	return value, value != ""
}

// header returns any claim as text, "" when there is nothing to show.
func (o object) header(name string) string {
	if !o.has(name) {
		return ""
	}
	if s, ok := o.text(name); ok {
		return s
	}
	var b bytes.Buffer
	if err := json.Compact(&b, o[name]); err != nil {
		return ""
	}
	if s := b.String(); s != "{}" && s != "[]" {
		return s
	}
	return ""
}

func truthText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// compactJSON leaves <, > and & as they are.
func compactJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
