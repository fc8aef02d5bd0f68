package forwardauth

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: somebody calls their account, their street or a question about consent by a name with typographic quotes. Where headers
// are in ASCII or Latin-1 these become plain ones, which end the text in the middle of the JSON: what follows is a member or an
// element of the person's own making, such as somebody else's account that Vipps seems to have verified.
func TestSec_C013_QuotesDoNotLeaveJSON(t *testing.T) {
	t.Parallel()
	type account struct {
		Name   string `json:"account_name"`
		Number string `json:"account_number"`
	}
	forged := `x”},{“account_number”:”99990000001”,”account_name”:”Åse”},{“account_name”:”`
	mine := []vipps.Account{{Name: forged, Number: "12340000000"}}
	text, err := json.Marshal(mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, enc := range []encoding{encodingUTF8, encodingLatin1, encodingASCII} {
		var got []account
		header := headerValue(&sessionData{Claims: []claimValue{{Name: "accounts", Value: string(text)}}}, headerSpec{Name: "X-Accounts", Claim: "accounts", Encoding: enc})
		if enc == encodingLatin1 { // as whoever reads it in that encoding
			runes := make([]rune, len(header))
			for i := range header {
				runes[i] = rune(header[i])
			}
			header = string(runes)
		}
		if err := json.Unmarshal([]byte(header), &got); err != nil {
			t.Errorf("encoding %d: %v: %s", enc, err, header)
			continue
		}
		var numbers []string
		for _, a := range got {
			numbers = append(numbers, a.Number)
		}
		if diff := cmp.Diff([]string{"12340000000"}, numbers); diff != "" {
			t.Errorf("encoding %d: %s: %s", enc, header, diff)
		}
	}
}
