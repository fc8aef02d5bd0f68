package merchant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxBody = 16 << 10

	// maxWait is how long a caller may ask to wait, in seconds, and longestPoll how long it does: what stands in between gives up on an
	// answer after 60 seconds (nginx, Envoy), or 30 (HAProxy, many load balancers), and the caller would get that one's error.
	maxWait     = 60
	longestPoll = 25 * time.Second

	maxShownName = 40 // of a member that nobody knows
)

// members are those of a JSON object that was sent, undecoded. Their names are exact.
type members map[string]json.RawMessage

// readMembers reads the body of a request: one JSON object with no other members than known, none of them twice.
func readMembers(w http.ResponseWriter, r *http.Request, known ...string) (members, error) {
	if !isJSON(r.Header) {
		return nil, errMediaType
	}
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, errTooLarge
		}
		return nil, badField("", "the body did not come whole")
	}
	return parseMembers(body, known...)
}

// isJSON reports whether a body is JSON as it stands: in UTF-8 and not compressed.
func isJSON(h http.Header) bool {
	if types := h["Content-Type"]; len(types) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

var errNotObject = badField("", "the body must be one JSON object in UTF-8, and nothing behind it")

// parseMembers reads one JSON object.
func parseMembers(body []byte, known ...string) (members, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errNotObject
	}
	out := members{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		var value json.RawMessage
		if err != nil || !ok || dec.Decode(&value) != nil {
			return nil, errNotObject
		}
		if !slices.Contains(known, name) {
			return nil, badField(shownName(name), "is not known here; the members are "+strings.Join(known, ", "))
		}
		if _, twice := out[name]; twice {
			return nil, badField(name, "is given twice; give it once")
		}
		out[name] = value
	}
	return out, nil
}

// shownName is a name that nobody knows, as it may be repeated to whoever sent it.
func shownName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, name)
	if utf8.RuneCountInString(name) > maxShownName {
		name = string([]rune(name)[:maxShownName]) + "…"
	}
	return name
}

// text returns a member that must be a string which holds something, and "" when it isn't there.
func (m members) text(name string) (string, error) {
	raw, ok := m[name]
	if !ok {
		return "", nil
	}
	var s string
	switch {
	case raw[0] != '"' || json.Unmarshal(raw, &s) != nil:
		return "", badField(name, "must be a string, in double quotes")
	case strings.TrimSpace(s) == "":
		return "", badField(name, "is empty; give it a value or leave it out")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", badField(name, "holds a line break or another control character; take it out")
	}
	return s, nil
}

// whole returns a member that must be a whole number between bounds, and 0 when it isn't there.
func (m members) whole(name, unit string, least, most int64) (int64, error) {
	raw, ok := m[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil || n < least || n > most {
		return 0, badField(name, fmt.Sprintf("must be a whole number of %s from %d to %d, without quotes", unit, least, most))
	}
	return n, nil
}

const ruleOneHint = "exactly one of phone and customer_token is needed"

// readStart reads the request that starts a login.
func readStart(w http.ResponseWriter, r *http.Request) (Request, error) {
	m, err := readMembers(w, r, "phone", "customer_token", "scopes", "expires_in", "return_to")
	if err != nil {
		return Request{}, err
	}
	var out Request
	var scopes string
	for _, member := range []struct {
		name string
		to   *string
	}{{"phone", &out.Phone}, {"customer_token", &out.CustomerToken}, {"scopes", &scopes}, {"return_to", &out.ReturnTo}} {
		if *member.to, err = m.text(member.name); err != nil {
			return Request{}, err
		}
	}
	expiry, err := m.whole("expires_in", "seconds", int64(minExpiry/time.Second), int64(maxExpiry/time.Second))
	switch {
	case err != nil:
		return Request{}, err
	case out.Phone == "" && out.CustomerToken == "":
		return Request{}, badField("phone", ruleOneHint)
	case out.Phone != "" && out.CustomerToken != "":
		return Request{}, badField("customer_token", ruleOneHint)
	}
	out.Scopes, out.Expiry = strings.Fields(scopes), time.Duration(expiry)*time.Second
	return out, nil
}

// readQuery reads the parameters of a request, of which there may be no others than known, and none twice.
func readQuery(u *url.URL, known ...string) (map[string]string, error) {
	if u.RawQuery == "" && !u.ForceQuery {
		return map[string]string{}, nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, badField("", "the query can't be read")
	}
	out := map[string]string{}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, badField(shownName(name), "is not known here; there are no parameters")
		case !slices.Contains(known, name):
			return nil, badField(shownName(name), "is not known here; the parameters are "+strings.Join(known, ", "))
		case len(all) > 1:
			return nil, badField(name, "is given twice; give it once")
		}
		out[name] = all[0]
	}
	return out, nil
}

// readWait reads how long a request waits for an answer.
func readWait(u *url.URL) (time.Duration, error) {
	query, err := readQuery(u, "wait")
	text, given := query["wait"]
	if err != nil || !given {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > maxWait {
		return 0, badField("wait", fmt.Sprintf("must be a whole number of seconds from 0 to %d", maxWait))
	}
	return min(time.Duration(n)*time.Second, longestPoll), nil
}
