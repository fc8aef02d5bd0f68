package vipps

import (
	"strings"
	"unicode"
)

// callingCodes are those of the countries where the service has users, with the
// length of a national number in them (ITU-T E.164). Their numbers may be
// written without a plus sign.
var callingCodes = [...]struct {
	code     string
	market   string
	min, max int
	trunk    bool // national numbers start with a 0 that is not part of the number
}{
	{"47", "NO", 8, 8, false},
	{"45", "DK", 8, 8, false},
	{"46", "SE", 7, 9, true},
	{"358", "FI", 6, 11, true},
	{"298", "", 6, 6, false}, // Faroe Islands
	{"299", "", 6, 6, false}, // Greenland
}

// NormalizePhone returns a phone number as the provider writes it: digits only,
// country code first, such as 4712345678; ok is false where s is no phone number. It accepts the usual spellings:
// +47…, 0047…, 47…, and national ones of the market (NO, DK, SE or FI), which may be empty. It
// checks lengths, not whether the number is in use.
func NormalizePhone(s, market string) (msisdn string, ok bool) {
	if msisdn, ok = normalize(s, market); !ok {
		return "", false
	}
	return msisdn, true
}

func normalize(s, market string) (string, bool) {
	digits, plus, ok := phoneDigits(s)
	if !ok {
		return "", false
	}
	if !plus {
		if rest, found := strings.CutPrefix(digits, "00"); found {
			digits, plus = rest, true
		}
	}
	if !plus {
		if national, ok := nationalPhone(digits, market); ok {
			return national, true
		}
	}
	for _, c := range callingCodes {
		if national, found := strings.CutPrefix(digits, c.code); found {
			if c.trunk {
				national = strings.TrimPrefix(national, "0")
			}
			return c.code + national, c.min <= len(national) && len(national) <= c.max && national[0] != '0'
		}
	}
	return digits, plus && len(digits) >= 8 && len(digits) <= 15 && digits[0] != '0'
}

// nationalPhone adds the market's country code to a number without one.
func nationalPhone(digits, market string) (string, bool) {
	for _, c := range callingCodes {
		if market == "" || c.market != market {
			continue
		}
		national := digits
		if c.trunk {
			var found bool
			if national, found = strings.CutPrefix(digits, "0"); !found {
				return "", false
			}
		}
		return c.code + national, c.min <= len(national) && len(national) <= c.max && national[0] != '0'
	}
	return "", false
}

// merchantCodes are the country codes that Vipps MobilePay's own refusal of a login_hint names. Its documents speak of Norwegian
// numbers only.
var merchantCodes = [...]string{"46", "45", "47", "358", "299"}

// merchantPhone reads the number of a merchant-initiated login: in international form, since there is no market to guess
// from, of a country where Vipps MobilePay has users, and without control characters, which no number has.
func merchantPhone(s string) (string, error) {
	msisdn, ok := NormalizePhone(s, "")
	if !ok || strings.ContainsFunc(s, unicode.IsControl) {
		return "", &ConfigError{Setting: "phone", Reason: "must be a phone number with its country code, such as 4712345678"}
	}
	for _, code := range merchantCodes {
		if strings.HasPrefix(msisdn, code) {
			return msisdn, nil
		}
	}
	return "", &ConfigError{Setting: "phone", Reason: "must begin with a country code of Vipps MobilePay: 45, 46, 47, 299 or 358"}
}

// phoneDigits takes the separators out of a written phone number. ok is false
// when there is anything else in it.
func phoneDigits(s string) (digits string, plus, ok bool) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "(+") {
		s = s[1:] // (+47) …, as letterheads have it
	}
	if rest, found := strings.CutPrefix(s, "+"); found {
		s, plus = rest, true
	} else if rest, found := strings.CutPrefix(s, "\uff0b"); found {
		s, plus = rest, true
	}
	s = strings.Replace(s, "(0)", "", 1) // the trunk zero of +46 (0)70 …
	var b strings.Builder
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9':
			b.WriteRune(r)
		case '０' <= r && r <= '９': // full width
			b.WriteRune(r - '０' + '0')
		case strings.ContainsRune(" \u00a0\u2009\u202f-‐‑–.()/", r):
		default:
			return "", false, false
		}
	}
	return b.String(), plus, b.Len() > 0 && b.Len() <= 20
}
