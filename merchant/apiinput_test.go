package merchant_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vippsauth/vippsauth/merchant"
)

// What is wrong with a request is said with the name of the field and the rule, and nothing is started by it.
func TestAPIBadInput(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	if err := lab.emu.Control().MerchantLimit(100); err != nil {
		t.Fatal(err)
	}
	id := lab.start(tillToken, aase)
	before := lab.emu.Control().Calls()
	type row struct {
		method, path, body, field, rule string
		status                          int
		header                          []string
	}
	start := func(body, field, rule string, header ...string) row {
		return row{"POST", "logins", body, field, rule, http.StatusBadRequest, header}
	}
	rows := map[string]row{
		"no body":                        {"POST", "logins", "", "", "application/json", http.StatusUnsupportedMediaType, nil},
		"nothing in it":                  start(`{}`, "phone", "exactly one of phone and customer_token"),
		"both hints":                     start(`{"phone":"4790000001","customer_token":"abc"}`, "customer_token", "exactly one of"),
		"a number":                       start(`{"phone":4790000001}`, "phone", "must be a string"),
		"null":                           start(`{"phone":null}`, "phone", "must be a string"),
		"a list":                         start(`{"phone":["4790000001"]}`, "phone", "must be a string"),
		"an object":                      start(`{"phone":{"number":"4790000001"}}`, "phone", "must be a string"),
		"empty":                          start(`{"phone":""}`, "phone", "is empty"),
		"blank":                          start(`{"phone":"  "}`, "phone", "is empty"),
		"too short":                      start(`{"phone":"479000"}`, "phone", "country code"),
		"too long":                       start(`{"phone":"`+strings.Repeat("47", 50)+`"}`, "phone", "country code"),
		"no country":                     start(`{"phone":"90000001"}`, "phone", "country code"),
		"another country":                start(`{"phone":"+12025550123"}`, "phone", "country code"),
		"letters":                        start(`{"phone":"+47 9000 OOOO"}`, "phone", "country code"),
		"another form field behind it":   start(`{"phone":"4790000001&scope=nin"}`, "phone", "country code"),
		"a hint of its own":              start(`{"phone":"urn:mobilenumber:12345678&scope=nin"}`, "phone", "country code"),
		"a line break":                   start(`{"phone":"4790000001\r\nX: y"}`, "phone", "control character"),
		"NUL":                            start(`{"phone":"4790000001\u0000"}`, "phone", "control character"),
		"half a character":               start(`{"phone":"\ud800"}`, "phone", "country code"),
		"scopes that aren't offered":     start(`{"phone":"4790000001","scopes":"openid nin"}`, "scopes", "merchant_scopes"),
		"scopes in a list":               start(`{"phone":"4790000001","scopes":["openid"]}`, "scopes", "must be a string"),
		"no scopes":                      start(`{"phone":"4790000001","scopes":" "}`, "scopes", "is empty"),
		"scopes in other letters":        start(`{"phone":"4790000001","scopes":"Name"}`, "scopes", "merchant_scopes"),
		"too soon":                       start(`{"phone":"4790000001","expires_in":59}`, "expires_in", "from 60 to 900"),
		"too late":                       start(`{"phone":"4790000001","expires_in":901}`, "expires_in", "from 60 to 900"),
		"never":                          start(`{"phone":"4790000001","expires_in":0}`, "expires_in", "from 60 to 900"),
		"in the past":                    start(`{"phone":"4790000001","expires_in":-600}`, "expires_in", "from 60 to 900"),
		"a text":                         start(`{"phone":"4790000001","expires_in":"600"}`, "expires_in", "without quotes"),
		"a fraction":                     start(`{"phone":"4790000001","expires_in":600.5}`, "expires_in", "whole number"),
		"a power":                        start(`{"phone":"4790000001","expires_in":6e2}`, "expires_in", "whole number"),
		"beyond every number":            start(`{"phone":"4790000001","expires_in":99999999999999999999}`, "expires_in", "from 60 to 900"),
		"another site":                   start(`{"phone":"4790000001","return_to":"https://evil.example/"}`, "return_to", "must be a page"),
		"a path":                         start(`{"phone":"4790000001","return_to":"/x"}`, "return_to", "must be a page"),
		"a script":                       start(`{"phone":"4790000001","return_to":"javascript:alert(1)"}`, "return_to", "must be a page"),
		"a site that begins alike":       start(`{"phone":"4790000001","return_to":"`+lab.origin+`.evil.example/"}`, "return_to", "must be a page"),
		"a page that is too long":        start(`{"phone":"4790000001","return_to":"`+lab.origin+"/"+strings.Repeat("x", 3000)+`"}`, "return_to", "too long"),
		"unknown":                        start(`{"phone":"4790000001","nonce":"x"}`, "nonce", "not known here; the members are phone,"),
		"what only we may say":           start(`{"phone":"4790000001","binding_message":"ABC-123"}`, "binding_message", "not known"),
		"in other letters":               start(`{"Phone":"4790000001"}`, "Phone", "not known"),
		"unknown and odd":                start(`{"`+strings.Repeat("é", 200)+`\u0007":1}`, strings.Repeat("é", 40)+"…", "not known"),
		"twice":                          start(`{"phone":"4790000001","phone":"4790000002"}`, "phone", "given twice"),
		"twice, once escaped":            start(`{"phone":"4790000001","\u0070hone":"4790000002"}`, "phone", "given twice"),
		"something behind it":            start(`{"phone":"4790000001"}{}`, "", "nothing behind it"),
		"a text behind it":               start(`{"phone":"4790000001"} x`, "", "one JSON object"),
		"a list of it":                   start(`[{"phone":"4790000001"}]`, "", "one JSON object"),
		"no JSON":                        start(`phone=4790000001`, "", "one JSON object"),
		"cut off":                        start(`{"phone":"47900`, "", "one JSON object"),
		"a comma too many":               start(`{"phone":"4790000001",}`, "", "one JSON object"),
		"a comment":                      start(`{/**/"phone":"4790000001"}`, "", "one JSON object"),
		"not UTF-8":                      start("{\"phone\":\"4790000001\xff\"}", "", "UTF-8"),
		"a mark in front":                start("\ufeff"+`{"phone":"4790000001"}`, "", "one JSON object"),
		"deep":                           start(`{"phone":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`, "phone", "must be a string"),
		"null alone":                     start(`null`, "", "one JSON object"),
		"too large":                      {"POST", "logins", `{"phone":"` + strings.Repeat("4", 17_000) + `"}`, "", "16 KiB", http.StatusRequestEntityTooLarge, nil},
		"a form":                         {"POST", "logins", `{"phone":"4790000001"}`, "", "application/json", http.StatusUnsupportedMediaType, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"plain text":                     {"POST", "logins", `{"phone":"4790000001"}`, "", "application/json", http.StatusUnsupportedMediaType, []string{"Content-Type", "text/plain"}},
		"no type":                        {"POST", "logins", `{"phone":"4790000001"}`, "", "application/json", http.StatusUnsupportedMediaType, []string{"Content-Type", ""}},
		"another charset":                {"POST", "logins", `{"phone":"4790000001"}`, "", "UTF-8", http.StatusUnsupportedMediaType, []string{"Content-Type", "application/json; charset=utf-16"}},
		"compressed":                     {"POST", "logins", `{"phone":"4790000001"}`, "", "not compressed", http.StatusUnsupportedMediaType, []string{"Content-Encoding", "gzip"}},
		"a query":                        {"POST", "logins?phone=4790000001", `{"phone":"4790000001"}`, "phone", "no parameters", http.StatusBadRequest, nil},
		"a question without a number":    {"POST", "user-exists", `{}`, "phone", "is missing", http.StatusBadRequest, nil},
		"a question with a bad number":   {"POST", "user-exists", `{"phone":"12"}`, "phone", "country code", http.StatusBadRequest, nil},
		"a question about more":          {"POST", "user-exists", `{"phone":"4790000001","scopes":"name"}`, "scopes", "not known", http.StatusBadRequest, nil},
		"a wait for ever":                {"GET", "logins/" + id + "?wait=61", "", "wait", "from 0 to 60", http.StatusBadRequest, nil},
		"a wait backwards":               {"GET", "logins/" + id + "?wait=-1", "", "wait", "from 0 to 60", http.StatusBadRequest, nil},
		"a wait of words":                {"GET", "logins/" + id + "?wait=a", "", "wait", "from 0 to 60", http.StatusBadRequest, nil},
		"a wait of nothing":              {"GET", "logins/" + id + "?wait=", "", "wait", "from 0 to 60", http.StatusBadRequest, nil},
		"two waits":                      {"GET", "logins/" + id + "?wait=1&wait=2", "", "wait", "given twice", http.StatusBadRequest, nil},
		"another parameter":              {"GET", "logins/" + id + "?timeout=1", "", "timeout", "the parameters are wait", http.StatusBadRequest, nil},
		"a query that is none":           {"GET", "logins/" + id + "?wait=%zz", "", "", "query", http.StatusBadRequest, nil},
		"a body where none belongs":      {"GET", "logins/" + id, "{}", "", "no body", http.StatusBadRequest, nil},
		"a body where a login is ended":  {"DELETE", "logins/" + id, "{}", "", "no body", http.StatusBadRequest, nil},
		"a body where events are wanted": {"GET", "logins/" + id + "/events", "{}", "", "no body", http.StatusBadRequest, nil},
		"another method":                 {"PUT", "logins/" + id, "{}", "", "use GET or DELETE", http.StatusMethodNotAllowed, nil},
		"one that reads nothing":         {"GET", "logins", "", "", "use POST", http.StatusMethodNotAllowed, nil},
		"a path that isn't":              {"GET", "logins/" + id + "/result", "", "", "openapi.json", http.StatusNotFound, nil},
		"a path with a slash more":       {"GET", "logins/" + id + "/", "", "", "openapi.json", http.StatusNotFound, nil},
		"a path with two":                {"POST", "/logins", `{"phone":"4790000001"}`, "", "openapi.json", http.StatusNotFound, nil},
		"a path in other letters":        {"POST", "Logins", `{"phone":"4790000001"}`, "", "openapi.json", http.StatusNotFound, nil},
		"a path that is escaped":         {"POST", "%6cogins", `{"phone":"4790000001"}`, "", "openapi.json", http.StatusNotFound, nil},
	}
	for name, row := range rows {
		got := lab.call(row.method, row.path, tillToken, row.body, row.header...)
		if got.Status != row.status {
			t.Errorf("%s: %d %s, want %d", name, got.Status, got.Body, row.status)
			continue
		}
		var answer struct {
			Code        string `json:"error"`
			Field       string `json:"field"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Code == "" || answer.Field != row.field || !strings.Contains(answer.Description, row.rule) {
			t.Errorf("%s: %s, want the field %q and %q", name, got.Body, row.field, row.rule)
		}
		if strings.Contains(got.Body, "4790000001") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v %s", name, got.Header, got.Body)
		}
		if allow := got.Header.Get("Allow"); (row.status == http.StatusMethodNotAllowed) != (allow != "") {
			t.Errorf("%s: Allow %q", name, allow)
		}
	}
	for endpoint, n := range lab.emu.Control().Calls() {
		if n != before[endpoint] {
			t.Errorf("%s was called %d times", endpoint, n-before[endpoint])
		}
	}
	for _, fine := range []string{
		`{"phone":"4790000001"}`, ` {"phone" : "+47 900 00 001" , "scopes":"  openid   name "} ` + "\n", `{"phone":"004790000001","expires_in":60}`, `{"\u0070hone":"+47-90-00-00-01","expires_in":900}`,
		`{"phone":"4790000001","return_to":"` + lab.origin + `/welcome?a=b"}`,
	} {
		if got := lab.call("POST", "logins", tillToken, fine, "Content-Type", "application/json; charset=UTF-8"); got.Status != http.StatusCreated {
			t.Errorf("%s: %d %s", fine, got.Status, got.Body)
		}
	}
}

// Whatever is sent as a body is either read whole, each member once, or refused; the strict reader takes nothing that the
// standard library's doesn't.
func FuzzParseMembers(f *testing.F) {
	for _, seed := range []string{
		`{"phone":"4790000001"}`, `{}`, ``, `null`, `[]`, `{"phone":"a","phone":"b"}`, `{"phone":"a"}x`, `{"phone":{"a":[1,2,{"b":null}]},"scopes":1e9}`, `{"\u0070hone":"\ud83d\ude00"}`,
		"\xef\xbb\xbf{}", `{"phone":"` + "\xff" + `"}`, `{"phone":`, strings.Repeat("[", 100), `{"phone":"a",}`, `{"a":1}`, `{"phone" "a"}`, `{"phone":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := merchant.ParseMembers(body, "phone", "scopes")
		var want map[string]json.RawMessage
		lenient := json.Unmarshal(body, &want) == nil && want != nil
		if err != nil {
			return
		}
		if !lenient || !utf8.Valid(body) || len(got) != len(want) || len(got) > 2 {
			t.Fatalf("%q gives %v", body, got)
		}
		for name, value := range got {
			var compact any
			if (name != "phone" && name != "scopes") || string(want[name]) != value || json.Unmarshal([]byte(value), &compact) != nil {
				t.Fatalf("%q gives %v", body, got)
			}
		}
	})
}
