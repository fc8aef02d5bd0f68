package vipps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// maxDepth is how deeply objects and arrays may be nested in what we decode.
const maxDepth = 32

// object is a JSON object with its members undecoded. Its keys are exact:
// encoding/json would take "Sub" for "sub" when it fills a struct.
type object map[string]json.RawMessage

// decodeObject decodes one JSON object and nothing behind it. It refuses a
// name that stands twice in one object, at any depth, and nesting beyond
// maxDepth. Bytes that are not UTF-8 become U+FFFD.
func decodeObject(data []byte) (object, error) {
	data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	if err := checkNames(data); err != nil {
		return nil, err
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		// The decoder's own message may quote the input.
		return nil, errors.New("not a JSON object")
	}
	if o == nil {
		return nil, errors.New("not a JSON object")
	}
	return o, nil
}

// checkNames walks all tokens and looks for doubled names.
func checkNames(data []byte) error {
	type level struct {
		names   map[string]bool // nil in an array
		atValue bool            // in an object: the next token is a value
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			return errors.New("not valid JSON")
		}
		top := len(stack) - 1
		if name, ok := tok.(string); ok && top >= 0 && stack[top].names != nil && !stack[top].atValue {
			if stack[top].names[name] {
				return errors.New("a name stands twice in one JSON object")
			}
			stack[top].names[name] = true
			stack[top].atValue = true
			continue
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return errors.New("JSON is nested too deeply")
			}
			l := level{}
			if tok == json.Delim('{') {
				l.names = make(map[string]bool)
			}
			stack = append(stack, l)
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
		}
		if len(stack) == 0 {
			return nil // json.Unmarshal refuses what may follow
		}
		stack[len(stack)-1].atValue = false
	}
}

// has says whether a member is there and not null.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// text returns a member that is a string; ok is false when it is absent, null
// or of another type.
func (o object) text(name string) (value string, ok bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", false
	}
	return value, true
}

// optionalText is text, but an error for a member of another type.
func (o object) optionalText(name string) (string, error) {
	if !o.has(name) {
		return "", nil
	}
	s, ok := o.text(name)
	if !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// instant returns a NumericDate (RFC 7519 §2), ok false when it is absent or
// null, and an error for anything that is no sensible time.
func (o object) instant(name string) (t time.Time, ok bool, err error) {
	if !o.has(name) {
		return time.Time{}, false, nil
	}
	f, err := strconv.ParseFloat(string(o[name]), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 253402300799 { // the end of the year 9999
		return time.Time{}, false, fmt.Errorf("%s is not a time", name)
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)), true, nil
}

// texts returns a member that is a string or an array of strings.
func (o object) texts(name string) ([]string, error) {
	if s, ok := o.text(name); ok {
		return []string{s}, nil
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(o[name], &raws); err != nil {
		return nil, fmt.Errorf("%s is neither a string nor an array", name)
	}
	out := make([]string, 0, len(raws))
	for _, raw := range raws {
		s, ok := object{name: raw}.text(name)
		if !ok {
			return nil, fmt.Errorf("%s holds something that is not a string", name)
		}
		out = append(out, s)
	}
	return out, nil
}

// duration returns a member that is a number of seconds, at most top, 0 when it is absent or null, and an error for
// anything else, such as a number in quotes. What is smaller than minus top is minus top.
func (o object) duration(name string, top time.Duration) (time.Duration, error) {
	if !o.has(name) {
		return 0, nil
	}
	var n json.Number
	if raw := o[name]; raw[0] == '"' || json.Unmarshal(raw, &n) != nil {
		return 0, fmt.Errorf("%s is not a number", name)
	}
	f, err := n.Float64() // 1e999 is +Inf, with an error
	if err != nil && !math.IsInf(f, 0) {
		return 0, fmt.Errorf("%s is not a number", name)
	}
	limit := top.Seconds()
	return time.Duration(max(-limit, min(f, limit)) * float64(time.Second)), nil
}
