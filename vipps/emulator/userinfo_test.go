package emulator_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each oddity of the people, written by hand after the documents.
func TestUserinfoOfPeople(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const noAddress = `{"country":"","street_address":"","address_type":"","formatted":"","postal_code":"","region":""}`
	for name, tc := range map[string]struct{ phone, scope, want string }{
		"openid alone":        {aase, "openid", `{}`},
		"name":                {aase, "openid name", `{"name":"Åse Ødegård","given_name":"Åse","family_name":"Ødegård"}`},
		"phone":               {aase, "openid phoneNumber", `{"phone_number":"4790000001","phone_number_verified":true}`},
		"accounts":            {aase, "openid accountNumbers", `{"accounts":[{"account_name":"Brukskonto","account_number":"99990000001","bank_name":"Eksempelbanken"}]}`},
		"no accounts":         {"4790000002", "openid accountNumbers", `{"accounts":[]}`},
		"no address":          {"4790000002", "openid address", `{"address":` + noAddress + `,"other_addresses":[]}`},
		"e-mail not verified": {"4790000003", "openid email", `{"email":"ida@example.com","email_verified":false}`},
		"no e-mail":           {"4790000004", "openid email", `{}`},
		"street of two lines": {"4790000008", "openid address", `{"address":{"country":"NO","street_address":"Eksempelgata 23\nLeilighet B5","address_type":"home","formatted":"Eksempelgata 23\nLeilighet B5\n6008\nÅLESUND\nNO","postal_code":"6008","region":"ÅLESUND"},"other_addresses":[]}`},
		"three addresses": {"4790000009", "openid address", `{
			"address":{"country":"NO","street_address":"Eksempelveien 9","address_type":"home","formatted":"Eksempelveien 9\n8009\nBODØ\nNO","postal_code":"8009","region":"BODØ"},
			"other_addresses":[
				{"country":"NO","street_address":"Eksempelkaia 1","address_type":"work","formatted":"Eksempelkaia 1\n8010\nBODØ\nNO","postal_code":"8010","region":"BODØ"},
				{"country":"NO","street_address":"Eksempelhytta","address_type":"other","formatted":"Eksempelhytta\n2611\nLILLEHAMMER\nNO","postal_code":"2611","region":"LILLEHAMMER"}]}`},
		"a Dane":  {"4590000010", "openid nin gender birthDate", `{"gender":"male","birthdate":"1988-01-15"}`},
		"a Finn":  {"358900000011", "openid phoneNumber", `{"phone_number":"358900000011","phone_number_verified":true}`},
		"a Swede": {"4690000012", "openid name", `{"name":"Åsa Exempelström","given_name":"Åsa","family_name":"Exempelström"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Control().AutoApprove(tc.phone); err != nil {
				t.Fatal(err)
			}
			p := newBrowser(t, s).get(authorizeURL(s, "scope", tc.scope))
			tok := token(t, s, p.back.Query().Get("code")).json(t)
			got := userinfo(t, s, tok["access_token"].(string)).json(t)
			if sub, _ := got["sub"].(string); !strings.HasPrefix(sub, "emulator-") || sub != claims(t, tok["id_token"].(string))["sub"] {
				t.Errorf("sub = %v", got["sub"])
			}
			delete(got, "sub")
			delete(got, "sid")
			if d := cmp.Diff(answer{body: tc.want}.json(t), got); d != "" {
				t.Errorf("userinfo (-want +got):\n%s", d)
			}
		})
	}
}
