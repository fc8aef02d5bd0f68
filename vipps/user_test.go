package vipps_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vippsauth/vippsauth/vipps"
)

func decodeUser(t testing.TB, body string) vipps.User {
	t.Helper()
	u, err := vipps.DecodeUser([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestVendorUsers(t *testing.T) {
	t.Parallel()
	yes := true
	home := vipps.Address{
		Type: "home", Formatted: "BOKS 6300, ETTERSTAD\n0603\nOSLO\nNO", StreetAddress: "BOKS 6300, ETTERSTAD",
		PostalCode: "0603", Region: "OSLO", Country: "NO",
	}
	for file, want := range map[string]vipps.User{
		"userinfo-standard.json": {
			Sub: "c06c4afe-d9e1-4c5d-939a-177d752a0944", Name: "Ada Lovelace", GivenName: "Ada", FamilyName: "Lovelace",
			Email: "user@example.com", EmailVerified: true, PhoneNumber: "4712345678", Birthdate: "1815-12-10", NIN: "10121550047",
			Address: &vipps.Address{
				Type: "home", Formatted: "Suburbia 23\n2101 OSLO\nNO", StreetAddress: "Suburbia 23",
				PostalCode: "2101", Region: "OSLO", Country: "NO",
			},
			OtherAddresses: []vipps.Address{
				{Type: "work", Formatted: "Fancy Office Street 2\n0218 OSLO\nNO", StreetAddress: "Fancy Office Street 2", PostalCode: "0218", Region: "OSLO", Country: "NO"},
				{Type: "other", Formatted: "Summer House Lane 14\n1452 OSLO\nNO", StreetAddress: "Summer House Lane 14", PostalCode: "1452", Region: "OSLO", Country: "NO"},
			},
		},
		"userinfo-consents.json":   {Sub: "f350ef33-22e2-47d0-9f47-12345667", Name: "Tor Fos Heyerdahl", GivenName: "Tor Fos", FamilyName: "Heyerdahl"},
		"userinfo-no-address.json": {Sub: "c06c4afe-d9e1-4c5d-939a-177d752a0944", Name: "Ada Lovelace"},
		"userinfo-testuser.json": {
			Sub: "126684df-c056-4625-821d-f2905febe3f9", Name: "Test User", GivenName: "Test", FamilyName: "User",
			Birthdate: "1955-05-18", PhoneNumber: "4748571123", PhoneNumberVerified: &yes, Address: &home,
			OtherAddresses: []vipps.Address{{Type: "work", Formatted: "Robert Levins gate 5\n0152\nOslo\nNO", StreetAddress: "Robert Levins gate 5", PostalCode: "0152", Region: "Oslo", Country: "NO"}},
		},
		"userinfo-v1.json": {
			Sub: "c06c4afe-d9e1-4c5d-939a-177d752a0944", Birthdate: "10.12.1815", NIN: "10121550047",
			Address:        &vipps.Address{Type: "home", StreetAddress: "Suburbia 23\nUnit B5", PostalCode: "2101", Region: "OSLO", Country: "NO"},
			OtherAddresses: []vipps.Address{{Type: "work", StreetAddress: "Fancy Office Street 2", PostalCode: "0218", Region: "OSLO", Country: "NO"}},
		},
		"userinfo-accounts.json": {
			Sub:      "c06c4afe-d9e1-4c5d-939a-177d752a0944",
			Accounts: []vipps.Account{{Name: "My savings", Number: "12064590675", Bank: "My bank"}, {Name: "Daily", Number: "12064590676", Bank: "My bank"}},
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got := decodeUser(t, string(readTestdata(t, file)))
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(vipps.User{}, "Claims"), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A claim of another type than documented is dropped; the login goes on.
func TestUserSurvivesOddTypes(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{`1`, `1e400`, `true`, `null`, `[]`, `{}`, `[[1]]`, `[{"a":[]}]`, `{"formatted":7}`, `"x"`} {
		var b strings.Builder
		b.WriteString(`{"sub":"s"`)
		for _, name := range []string{
			"name", "given_name", "family_name", "email", "email_verified", "phone_number", "phone_number_verified",
			"birthdate", "nin", "nnin", "gender", "address", "other_addresses", "accounts", "delegatedConsents", "flowResult",
		} {
			b.WriteString(`,"` + name + `":` + odd)
		}
		u := decodeUser(t, b.String()+"}")
		if u.Sub != "s" {
			t.Errorf("%s: sub is %q", odd, u.Sub)
		}
		if odd != `"x"` && (u.Name != "" || u.Email != "" || u.NIN != "" || u.Address != nil) {
			t.Errorf("%s: something was taken over", odd)
		}
	}
}

func TestEmailVerified(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{
		`true`: true, `"true"`: true, `false`: false, `"false"`: false, `"TRUE"`: false, `"yes"`: false,
		`1`: false, `"1"`: false, `null`: false, `{}`: false, `[true]`: false,
	} {
		u := decodeUser(t, `{"sub":"s","email":"a@example.com","email_verified":`+said+`}`)
		if u.EmailVerified != want {
			t.Errorf("%s: verified is %v", said, u.EmailVerified)
		}
		text, ok := u.Claim("email_verified")
		if said == "null" {
			if ok {
				t.Error("null: there is a claim")
			}
		} else if text != map[bool]string{true: "true", false: "false"}[want] {
			t.Errorf("%s: the claim is %q", said, text)
		}
	}
	if u := decodeUser(t, `{"sub":"s","email_verified":true}`); u.EmailVerified {
		t.Error("no address is verified")
	}
}

// Whoever can make userinfo and ID token differ must not get an address
// verified that only the other place vouched for.
func TestMergeKeepsValueAndFlagTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, token, userinfo string
		email                 string
		verified              bool
	}{
		{"both from userinfo", `{"sub":"s"}`, `{"email":"a@x.example","email_verified":true}`, "a@x.example", true},
		{"both from the token", `{"sub":"s","email":"a@x.example","email_verified":true}`, `{}`, "a@x.example", true},
		{"another address in the token", `{"sub":"s","email":"b@x.example","email_verified":true}`, `{"email":"a@x.example"}`, "a@x.example", false},
		{"the same address", `{"sub":"s","email":"a@x.example","email_verified":true}`, `{"email":"a@x.example"}`, "a@x.example", true},
		{"userinfo says no", `{"sub":"s","email":"a@x.example","email_verified":true}`, `{"email":"a@x.example","email_verified":false}`, "a@x.example", false},
		{"a flag without an address", `{"sub":"s","email":"a@x.example"}`, `{"email_verified":true}`, "a@x.example", false},
		{"null in userinfo", `{"sub":"s","email":"a@x.example","email_verified":true}`, `{"email":null,"email_verified":null}`, "a@x.example", true},
	} {
		u, err := vipps.MergeUser([]byte(tt.token), []byte(tt.userinfo))
		if err != nil {
			t.Fatal(err)
		}
		if u.Sub != "s" || u.Email != tt.email || u.EmailVerified != tt.verified {
			t.Errorf("%s: %q, verified %v", tt.name, u.Email, u.EmailVerified)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	u := decodeUser(t, `{"sub":"s","name":"Åse <Ø>","email":7,"phone_number":"4712345678","phone_number_verified":false,
		"address":{"formatted":"A & B\\n0001 Oslo"},"other_addresses":[],"age":42,"score":1.50,"vip":true,"nothing":null,
		"empty":"","tags":[ "a" , "b" ],"deep":{ "x" : {"y":1} },"none":{},"sid":"x","flowResult":{"a":"<b>"}}`)
	for name, want := range map[string]string{
		"sub": "s", "name": "Åse <Ø>", "email": "", "phone_number": "4712345678", "phone_number_verified": "false",
		"address": `{"formatted":"A & B\n0001 Oslo"}`, "other_addresses": "", "accounts": "", "age": "42", "score": "1.50", "vip": "true",
		"nothing": "", "empty": "", "tags": `["a","b"]`, "deep": `{"x":{"y":1}}`, "none": "", "sid": "", "absent": "", "Name": "",
		"email_verified": "", "flowResult": `{"a":"<b>"}`, "gender": "", "nin": "", "birthdate": "", "given_name": "", "family_name": "",
	} {
		got, ok := u.Claim(name)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
	if _, ok := (&vipps.User{}).Claim("sub"); ok {
		t.Error("a zero user has a sub")
	}
}

func TestClaimsAreKeptAsReceived(t *testing.T) {
	t.Parallel()
	u := decodeUser(t, string(readTestdata(t, "userinfo-consents.json")))
	var consents struct {
		Consents []struct{ ID string } `json:"consents"`
	}
	if err := json.Unmarshal(u.Claims["delegatedConsents"], &consents); err != nil || len(consents.Consents) != 4 {
		t.Errorf("consents are %+v, error %v", consents, err)
	}
	if _, ok := u.Claims["sid"]; ok {
		t.Error("sid is among the claims")
	}
}

func TestClaimsOfScope(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"openid": {"sub"}, "name": {"name", "given_name", "family_name"}, "profile": {"name", "given_name", "family_name"},
		"email": {"email", "email_verified"}, "address": {"address", "other_addresses"},
		"phoneNumber": {"phone_number", "phone_number_verified"}, "phone": {"phone_number", "phone_number_verified"},
		"paymentSourceReferences": {"payment_sources_details"}, "nnin": {"nin"},
		"birthDate": {"birthdate"}, "gender": {"gender"}, "nin": {"nin"}, "accountNumbers": {"accounts"},
		"delegatedConsents": {"delegatedConsents", "consents"}, "customFlow": {"flowResult", "consents"}, "unknown": nil,
	}
	for scope, names := range want {
		if diff := cmp.Diff(names, vipps.ClaimsOfScope(scope)); diff != "" {
			t.Errorf("%s: %s", scope, diff)
		}
	}
}
