package merchant_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vippsauth/vippsauth/merchant"
)

const documentURL = "mem:///openapi.json"

// A contract is the OpenAPI document, to hold requests and answers against.
type contract struct {
	t        *testing.T
	doc      map[string]any
	compiler *jsonschema.Compiler
	seen     map[string]map[string]bool // operation → status
	schemas  int                        // compiled
}

func newContract(t *testing.T, text string) *contract {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{t: t, doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), seen: map[string]map[string]bool{}}
	c.compiler.AssertFormat()
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := c.compiler.AddResource(documentURL, doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// at walks the document, through references. It returns nil where there is nothing.
func (c *contract) at(from any, path ...string) any {
	for _, name := range path {
		m, _ := from.(map[string]any)
		from = m[name]
		for {
			m, _ := from.(map[string]any)
			ref, ok := m["$ref"].(string)
			if !ok {
				break
			}
			from = c.at(c.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return from
}

// object is at where there has to be an object.
func (c *contract) object(from any, path ...string) map[string]any {
	m, _ := c.at(from, path...).(map[string]any)
	return m
}

// valid holds a value against a schema of the document, which stands behind path.
func (c *contract) valid(what string, schema, value any) {
	c.t.Helper()
	if schema == nil {
		c.t.Errorf("%s: the document has no schema", what)
		return
	}
	c.schemas++
	// Wrapped, so that references in it are looked up in the document.
	url := fmt.Sprintf("mem:///schema-%d.json", c.schemas)
	if err := c.compiler.AddResource(url, absolute(schema)); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	compiled, err := c.compiler.Compile(url)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	if err := compiled.Validate(value); err != nil {
		c.t.Errorf("%s: %v", what, err)
	}
}

// absolute is a schema whose references name the document.
func absolute(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			if ref, ok := value.(string); ok && name == "$ref" {
				out[name] = documentURL + ref
				continue
			}
			out[name] = absolute(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = absolute(v[i])
		}
		return out
	}
	return v
}

// operations are those of the document.
func (c *contract) operations() map[string][]string {
	all := map[string][]string{}
	for path, item := range c.object(c.doc, "paths") {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				all[path] = append(all[path], strings.ToUpper(method))
			}
		}
		slices.Sort(all[path])
	}
	return all
}

// answered holds one exchange against the operation. path is the template; id and query fill it.
func (c *contract) answered(method, path, body string, got *reply) {
	c.t.Helper()
	what := fmt.Sprintf("%s %s → %d", method, path, got.Status)
	operation := c.object(c.doc, "paths", path, strings.ToLower(method))
	response := c.object(operation, "responses", strconv.Itoa(got.Status))
	if operation == nil || response == nil {
		c.t.Errorf("%s: not in the document: %s", what, got.Body)
		return
	}
	name, _ := operation["operationId"].(string)
	if c.seen[name] == nil {
		c.seen[name] = map[string]bool{}
	}
	c.seen[name][strconv.Itoa(got.Status)] = true
	if got.Status < 300 && operation["requestBody"] != nil {
		c.valid(what+": the request", c.at(operation, "requestBody", "content", "application/json", "schema"), decoded(c.t, body))
	}
	for header := range c.object(response, "headers") {
		values := got.Header.Values(header)
		required, _ := c.at(response, "headers", header, "required").(bool)
		if len(values) > 1 || required && len(values) == 0 {
			c.t.Errorf("%s: %s is %q", what, header, values)
			continue
		}
		c.valid(what+": "+header, c.at(response, "headers", header, "schema"), got.Header.Get(header))
	}
	for _, header := range []string{"Location", "Retry-After", "Www-Authenticate", "Allow"} {
		if documented := slices.ContainsFunc(slices.Collect(maps.Keys(c.object(response, "headers"))), func(h string) bool { return strings.EqualFold(h, header) }); got.Header.Get(header) != "" && !documented {
			c.t.Errorf("%s: %s isn't in the document", what, header)
		}
	}
	content := c.object(response, "content")
	if content == nil {
		if got.Body != "" || got.Header.Get("Content-Type") != "" {
			c.t.Errorf("%s: %q, and the document has no body", what, got.Body)
		}
		return
	}
	kind := got.Header.Get("Content-Type")
	if content[kind] == nil {
		c.t.Errorf("%s: %s isn't in the document", what, kind)
		return
	}
	var value any = got.Body
	if kind == "application/json" {
		value = decoded(c.t, got.Body)
	} else {
		for event := range strings.SplitSeq(got.Body, "\n\n") {
			if data, ok := strings.CutPrefix(event, "event: state\ndata: "); ok {
				c.valid(what+": an event", c.at(c.doc, "components", "schemas", "Login"), decoded(c.t, data))
			}
		}
	}
	c.valid(what, c.at(content, kind, "schema"), value)
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return v
}

// The document and the handlers name the same operations, and every answer of each is as the document says.
func TestAPIIsAsItsDocumentSays(t *testing.T) {
	t.Parallel()
	codes, err := merchant.NewQRLogins([]string{"oKAz7q1O=till"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) { api.QR = codes })
	document := lab.call("GET", "openapi.json", "", "")
	c := newContract(t, document.Body)
	served := merchant.Operations()
	for path := range served {
		slices.Sort(served[path])
	}
	if diff := cmp.Diff(served, c.operations()); diff != "" {
		t.Fatalf("served and described (-, +):\n%s", diff)
	}

	path := func(template, id string) string {
		return strings.TrimPrefix(strings.Replace(template, "{id}", id, 1), "/")
	}
	drive := func(method, template, id, query, token, body string, want int, header ...string) *reply {
		t.Helper()
		got := lab.call(method, path(template, id)+query, token, body, header...)
		if got.Status != want {
			t.Errorf("%s %s: %d %s, want %d", method, template, got.Status, got.Body, want)
		}
		c.answered(method, template, body, got)
		return got
	}

	// What every operation answers that isn't for everybody.
	pending := lab.start(tillToken, aase)
	c.valid("an id", c.at(c.doc, "components", "parameters", "Id", "schema"), pending)
	body := map[string]string{"POST": `{"phone":"` + per + `"}`}
	for template, methods := range c.operations() {
		for _, method := range methods {
			public := c.at(c.object(c.doc, "paths", template, strings.ToLower(method)), "security") != nil
			if public {
				drive(method, template, "", "", "", "", http.StatusOK)
			} else {
				drive(method, template, pending, "", "", body[method], http.StatusUnauthorized)
			}
			drive(method, template, pending, "", tillToken, body[method], http.StatusForbidden, "Origin", "https://evil.example")
			drive(method, template, pending, "?x=y", tillToken, body[method], http.StatusBadRequest)
			r := lab.request(method, path(template, pending), tillToken, body[method])
			r.Host = "evil.example"
			c.answered(method, template, body[method], lab.do(r))
			if strings.Contains(template, "{id}") {
				drive(method, template, "unknown", "", tillToken, "", http.StatusNotFound)
			}
			if method != "POST" {
				continue
			}
			drive(method, template, "", "", tillToken, `{"phone":"`+strings.Repeat("1", 20_000)+`"}`, http.StatusRequestEntityTooLarge)
			drive(method, template, "", "", tillToken, body[method], http.StatusUnsupportedMediaType, "Content-Type", "text/plain")
			endpoint := map[string]string{"/logins": "backchannel", "/user-exists": "user-exists"}[template]
			for status, answer := range map[int]string{http.StatusBadGateway: `{"error":"invalid_client"}`, http.StatusServiceUnavailable: "", http.StatusTooManyRequests: "{}"} {
				from := map[int]int{http.StatusBadGateway: http.StatusUnauthorized}[status]
				if from == 0 {
					from = status
				}
				if err := lab.emu.Control().FailNext(endpoint, 1, from, answer); err != nil {
					t.Fatal(err)
				}
				drive(method, template, "", "", tillToken, body[method], status)
			}
		}
	}

	// The states of a login, and who it was.
	for _, body := range []string{
		`{"phone":"+47 90 00 00 01"}`, `{"phone":"4790000001","scopes":"openid name","expires_in":60}`, `{"phone":"4790000002","return_to":"` + lab.origin + `/x"}`,
	} {
		id := drive("POST", "/logins", "", "", tillToken, body, http.StatusCreated).text(t, "id")
		drive("GET", "/logins/{id}", id, "", tillToken, "", http.StatusOK)
		drive("DELETE", "/logins/{id}", id, "", tillToken, "", http.StatusNoContent)
		drive("GET", "/logins/{id}", id, "?wait=60", tillToken, "", http.StatusOK)
	}
	id := lab.start(tillToken, aase)
	lab.approve(aase)
	for want := range slices.Values([]string{"approved", "delivered"}) {
		if got := drive("GET", "/logins/{id}", id, "?wait=20", tillToken, "", http.StatusOK); got.text(t, "state") != want {
			t.Errorf("%s, want %s", got.Body, want)
		}
	}
	id = lab.start(tillToken, aase)
	lab.approve(aase)
	lab.approved("till", id)
	if got := drive("GET", "/logins/{id}/events", id, "", tillToken, "", http.StatusOK); !strings.Contains(got.Body, `"result"`) {
		t.Errorf("events: %s", got.Body)
	}
	id = lab.start(tillToken, aase)
	lab.deny(aase)
	drive("GET", "/logins/{id}", id, "?wait=20", tillToken, "", http.StatusOK)
	drive("POST", "/user-exists", "", "", tillToken, `{"phone":"`+aase+`"}`, http.StatusOK)

	drive("GET", "/qr-logins", "", "?wait=0", tillToken, "", http.StatusNoContent)
	if err := codes.OfferQR(scanned("oKAz7q1O", "somebody")); err != nil {
		t.Fatal(err)
	}
	drive("GET", "/qr-logins", "", "?wait=20", tillToken, "", http.StatusOK)

	c.tooMany(t, "/logins/{id}", "/logins/{id}/events", "/qr-logins")
	for template, methods := range c.operations() {
		for _, method := range methods {
			operation := c.object(c.doc, "paths", template, strings.ToLower(method))
			name, _ := operation["operationId"].(string)
			for status := range c.object(operation, "responses") {
				if status != "500" && !c.seen[name][status] { // a fault of ours is hard to have
					t.Errorf("%s: %s is described, and nothing here got it", name, status)
				}
			}
		}
	}
}

// tooMany gets what somebody gets who tries tokens, and who asks for what is off.
func (c *contract) tooMany(t *testing.T, templates ...string) {
	t.Helper()
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) { api.Callers = nil })
	c.answered("GET", "/qr-logins", "", newAPILab(t).call("GET", "qr-logins", tillToken, "")) // off
	for range merchant.StrikesAtOnce {
		lab.call("GET", "logins/x", "", "")
	}
	for _, template := range templates {
		for _, method := range c.operations()[template] {
			c.answered(method, template, "", lab.call(method, strings.TrimPrefix(strings.Replace(template, "{id}", "x", 1), "/"), "", ""))
		}
	}
}

// The examples of the document are what its schemas say.
func TestAPIDocumentsExamples(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	c := newContract(t, lab.call("GET", "openapi.json", "", "").Body)
	examples := 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if all, ok := m["examples"].(map[string]any); ok && m["schema"] != nil {
			for name := range all {
				examples++
				value := c.at(all, name, "value")
				c.valid(at+": "+name, m["schema"], value)
				if text, ok := value.(string); ok {
					for event := range strings.SplitSeq(text, "\n\n") {
						if data, ok := strings.CutPrefix(event, "event: state\ndata: "); ok {
							c.valid(at+": an event", c.at(c.doc, "components", "schemas", "Login"), decoded(t, data))
						}
					}
				}
			}
		}
		for name, child := range m {
			walk(at+"/"+name, child)
		}
	}
	walk("", c.doc)
	if examples < 20 {
		t.Errorf("%d examples", examples)
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
	}
	if err := json.Unmarshal([]byte(lab.call("GET", "openapi.json", "", "").Body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Errorf("%v %v", doc, err)
	}
}
