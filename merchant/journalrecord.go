package merchant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// How logins under way are written: text, a line each, of which the last for a key counts.
//
//	v1 <until> + <key> <sealed> <sum>      it is under way
//	v1 <until> - <key> <sum>               it is over
//
// Until is a time in Unix seconds after which the line says nothing any more, key is what is random in the id, and the sum is the
// CRC-32 of what stands before it: a line that was torn by a crash is none. Blank lines and lines that begin with #
// are nothing. What is sealed only our keys open; a line of another key is kept until it is over.
const (
	journalHeader = "# Merchant logins under way in vippsauth, sealed. Losing this file loses them, and how often which phone rang.\n"

	lineVersion   = "v1"
	recordVersion = 1
	maxLine       = 16 << 10
)

var errLine = errors.New("not a line of ours")

// record is a login under way, or the end of one.
type record struct {
	key              idKey
	until            int64
	over             bool
	counted          bool // it is no login, but the count of a phone number
	caller           string
	code, returnTo   string
	created, expires time.Time
	decline          time.Time
	pending          *vipps.PendingMerchantLogin
}

// untilOf is when a login's lines say nothing any more.
func untilOf(expires time.Time) int64 { return expires.Add(time.Minute).Unix() }

func recordOf(e *entry) record {
	r := record{
		key: e.key, until: untilOf(e.expires), caller: e.caller, code: e.code, returnTo: e.returnTo,
		created: e.created, expires: e.expires, decline: e.decline,
	}
	if e.pending != nil {
		p := *e.pending
		r.pending = &p
	}
	return r
}

func (r record) entry() *entry {
	return &entry{
		key: r.key, caller: r.caller, code: r.code, returnTo: r.returnTo, created: r.created, expires: r.expires,
		decline: r.decline, pending: r.pending,
	}
}

// appendTo appends the line of a record.
func (r record) appendTo(b []byte, box *session.Box) ([]byte, error) {
	start := len(b)
	kind := byte('+')
	if r.over {
		kind = '-'
	}
	b = append(b, lineVersion+" "...)
	b = strconv.AppendInt(b, r.until, 10)
	b = append(b, ' ', kind, ' ')
	b = base64.RawURLEncoding.AppendEncode(b, r.key[:])
	if !r.over {
		payload, err := r.payload()
		if err != nil {
			return b[:start], err
		}
		sealed, err := box.Seal(payload)
		if err != nil {
			return b[:start], err
		}
		b = append(append(b, ' '), sealed...)
	}
	sum := sumOf(b[start:])
	return append(append(append(b, ' '), sum...), '\n'), nil
}

func sumOf(text []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)) }

func (r record) payload() ([]byte, error) {
	var pending []byte
	if r.pending != nil {
		var err error
		if pending, err = json.Marshal(r.pending); err != nil {
			return nil, err
		}
	}
	b := session.AppendVersion(nil, recordVersion)
	b = session.AppendText(b, string(r.key[:]))
	b = session.AppendText(b, r.caller)
	b = session.AppendText(b, r.code)
	b = session.AppendText(b, r.returnTo)
	b = session.AppendTime(b, r.created)
	b = session.AppendTime(b, r.expires)
	b = session.AppendTime(b, r.decline)
	return session.AppendText(b, string(pending)), nil
}

// line is a line of a journal that says that a login is under way.
type line struct {
	key    idKey
	until  int64
	sealed string
	text   []byte // as it stands there
}

// open reads what is sealed in a line.
func (t line) open(box *session.Box) (record, error) {
	payload, err := box.Open(t.sealed)
	if err != nil {
		return record{}, err
	}
	r := record{until: t.until}
	rd := session.NewReader(payload)
	version, key := rd.Version(), rd.Text()
	r.caller, r.code, r.returnTo = rd.Text(), rd.Text(), rd.Text()
	r.created, r.expires, r.decline = rd.Time(), rd.Time(), rd.Time()
	pending := rd.Text()
	if rd.Done() != nil || version != recordVersion || key != string(t.key[:]) || r.caller == "" {
		return record{}, errLine
	}
	r.key = t.key
	if pending != "" {
		r.pending = new(vipps.PendingMerchantLogin)
		if err := json.Unmarshal([]byte(pending), r.pending); err != nil || r.pending.AuthReqID == "" {
			return record{}, errLine
		}
	}
	return r, nil
}

// parseLine reads a line. over says that it ends a login.
func parseLine(text []byte) (t line, over, ok bool) {
	body := bytes.TrimSuffix(text, []byte("\n"))
	last := bytes.LastIndexByte(body, ' ')
	if len(body) > maxLine || last < 0 || sumOf(body[:last]) != string(body[last+1:]) {
		return t, false, false
	}
	fields := bytes.Split(body[:last], []byte(" "))
	if len(fields) < 4 || string(fields[0]) != lineVersion {
		return t, false, false
	}
	until, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil || until < 0 {
		return t, false, false
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(string(fields[3]))
	if err != nil || len(key) != len(t.key) {
		return t, false, false
	}
	copy(t.key[:], key)
	t.until = until
	switch {
	case string(fields[2]) == "-" && len(fields) == 4:
		return t, true, true
	case string(fields[2]) == "+" && len(fields) == 5:
		t.sealed = string(fields[4])
		t.text = append(bytes.Clone(body), '\n')
		return t, false, true
	}
	return t, false, false
}
