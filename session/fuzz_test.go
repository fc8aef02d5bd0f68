package session_test

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/session"
)

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"", "=", "====", keyText("a"), strings.TrimRight(keyText("a"), "="), " " + keyText("a") + "\r\n",
		"ZXhhbXBsZS1rZXktZG8tbm90LXVzZS0tLS0tLS0tLS0=", strings.Repeat("A", 43) + "=", strings.Repeat("ab", 32), "+_" + keyText("a")[2:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := session.ParseKey(text)
		if err != nil {
			if key.Encode() != "" {
				t.Error("a key beside an error")
			}
			if trimmed := strings.TrimSpace(text); len(trimmed) > 12 && strings.Contains(err.Error(), trimmed) {
				t.Errorf("the error holds the text: %v", err)
			}
			return
		}
		back, err := session.ParseKey(key.Encode())
		if err != nil || !back.Equal(key) {
			t.Errorf("encoded and parsed again: %v", err)
		}
		if n := len(strings.TrimSpace(text)); n != 43 && n != 44 {
			t.Errorf("a key of %d characters", n)
		}
	})
}

func FuzzSec_C034_Box_Open(f *testing.F) {
	box := newBox(f, "golden", "other")
	const golden = "1MTc5NTI5NjI2Nnxvb0FIX1Q2NDA0dmpUdVlkcGJvS0hpbHA5d3h4S1hPQlFqbGhVTU1iUVNwSV8ycGxKbU09fEG_2orLQZTtWUlkiHfccPbLqYOfwm-llyUcgqD-WxB8"
	for _, seed := range []string{
		"", "1", "1A", "1AA", "1AAA", "1AAAA", golden, golden + "=", golden[:len(golden)-1], golden[1:], "2" + golden[1:],
		golden[:60] + "A" + golden[61:], "1fHw", "1fHx8fA", strings.Repeat("1", 5000), golden[:30] + "\n" + golden[30:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		payload, err := box.Open(text)
		if text == golden {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if err != session.ErrSealed || payload != nil { //nolint:errorlint // the bare error
			t.Errorf("%q opened: %q, %v", text, payload, err)
		}
	})
}

func FuzzSec_C034_Jar_Get(f *testing.F) {
	box := newBox(f, "a")
	j := secureJar()
	long := send(set(f, j, nil, sealedForm(6000, ""))...)["Cookie"][0]
	const name = "__Host-vippsauth"
	for _, seed := range []string{
		"", ";", "; ;", "=", name, name + "=", name + "=" + seal(f, box, "x"), name + "=1AAAA; " + name + "=1BBBA", long,
		long + "\n" + long, long + "; " + name + ".1=AAAA", name + "=25A; " + name + ".1=A; " + name + ".2=A; " + name + ".3=A; " + name + ".4=A",
		name + "=22A;" + name + ".1=AAAA;" + name + ".1=BBBA;" + name + "=22B", "\xff\x00" + name + "=1AAAA", name + `="1AAAA"`, "$Version=1; " + name + "=1AAAA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		h := http.Header{"Cookie": strings.Split(lines, "\n")}
		value, found := j.Get(h)
		values := j.Values(h)
		if (value != "") != (found == session.One) {
			t.Errorf("%v with %q", found, value)
		}
		switch n := len(values); found {
		case session.None, session.Broken:
			if n != 0 {
				t.Errorf("%v with %d values", found, n)
			}
		case session.One:
			if n != 1 || values[0] != value {
				t.Errorf("one %q, values %q", value, values)
			}
		case session.Conflict:
			if n < 2 || n > 4 {
				t.Errorf("a conflict of %d", n)
			}
		}
		if found == session.None && strings.Contains("; "+strings.ReplaceAll(lines, "\n", "; "), "; "+name+"=") {
			t.Error("a cookie of the name was overlooked")
		}
		w := headerOnly{}
		for _, v := range values {
			if !strings.HasPrefix(v, "1") || len(v) > session.MaxSealed {
				t.Errorf("%q is no candidate for a sealed text", v)
			}
			if _, err := box.Open(v); strings.Trim(v, base64Characters) != "" && !errors.Is(err, session.ErrSealed) {
				t.Errorf("%q opens: %v", v, err)
			}
			if j.Set(w, &http.Request{Header: h}, v, -1) == nil {
				if again, f := j.Get(send(http.Header(w)["Set-Cookie"]...)); again != v || f != session.One {
					t.Errorf("set and read again: %v", f)
				}
			}
		}
		j.Clear(w, &http.Request{Header: h})
		for _, line := range http.Header(w)["Set-Cookie"] {
			if !strings.HasSuffix(line, "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax") {
				t.Errorf("clearing with %q", line)
			}
		}
	})
}

const base64Characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// headerOnly is a ResponseWriter of which only the header matters.
type headerOnly http.Header

func (h headerOnly) Header() http.Header       { return http.Header(h) }
func (headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (headerOnly) WriteHeader(int)             {}

// FuzzJar_Chunks puts a value into cookies and sends them back in another
// order, with one left out or changed.
func FuzzJar_Chunks(f *testing.F) {
	f.Add(uint16(4), byte(0), byte(0), byte(9), "vippsauth", true)
	f.Add(uint16(4018), byte(5), byte(1), byte(0), "vippsauth", true)
	f.Add(uint16(8036), byte(2), byte(2), byte(1), "vippsauth", true)
	f.Add(uint16(8037), byte(2), byte(0), byte(9), "a", false)
	f.Add(uint16(20090), byte(5), byte(3), byte(4), "vippsauth", true)
	f.Add(uint16(33000), byte(5), byte(0), byte(9), "!", false)
	f.Fuzz(func(t *testing.T, n uint16, most, turn, without byte, name string, secure bool) {
		j := &session.Jar{Name: name, Secure: secure, MaxChunks: int(most)}
		value := sealedForm(max(int(n), 4), "")
		w := headerOnly{}
		if err := j.Set(w, nil, value, 1000); err != nil {
			if len(w) != 0 {
				t.Error("refused, but set")
			}
			return
		}
		lines := http.Header(w)["Set-Cookie"]
		if len(lines) > session.MaxChunks {
			t.Fatalf("%d cookies", len(lines))
		}
		for _, line := range lines {
			if len(line) > session.MaxCookieBytes {
				t.Errorf("a cookie of %d bytes", len(line))
			}
		}
		k := int(turn) % len(lines)
		turned := append(slices.Clone(lines[k:]), lines[:k]...)
		if got, found := j.Get(send(turned...)); got != value || found != session.One {
			t.Errorf("found %v, %d bytes of %d in %d cookies", found, len(got), len(value), len(lines))
		}
		if int(without) < len(lines) {
			left := slices.Delete(slices.Clone(lines), int(without), int(without)+1)
			if got, found := j.Get(send(left...)); got != "" || found == session.One {
				t.Errorf("without cookie %d: found %v", without, found)
			}
		}
	})
}

func FuzzStripCookies(f *testing.F) {
	for _, seed := range []string{
		"", ";", "; ;", "=", "a", "a=;b", "own=1", "own=1; a=2", "a=2; own=1", "own;a;own.1=x;;", `a="1; own=2"`, " own =1;\tb", "a\nown=1\n;\nb; own=",
	} {
		f.Add(seed)
	}
	own := func(name string) bool { return name == "own" || name == "own.1" }
	isOwn := func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return own(strings.Trim(name, " \t"))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		given := strings.Split(lines, "\n")
		h := http.Header{"Cookie": slices.Clone(given)}
		session.StripCookies(h, own)
		var want, got []string
		for _, line := range given {
			pairs := strings.Split(line, ";")
			rest := slices.DeleteFunc(slices.Clone(pairs), isOwn)
			if len(rest) == len(pairs) {
				want = append(want, line)
			} else if joined := strings.Join(rest, ";"); strings.Trim(joined, "; \t") != "" {
				if isOwn(pairs[0]) {
					joined = strings.TrimLeft(rest[0], " \t") + strings.TrimPrefix(joined, rest[0])
				}
				want = append(want, joined)
			}
		}
		got = h["Cookie"]
		if !slices.Equal(got, want) {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	})
}

func FuzzSec_C034_Reader(f *testing.F) {
	f.Add([]byte{}, []byte("vtibnc"))
	b := session.AppendText(session.AppendVersion(nil, 1), "text")
	f.Add(session.AppendBool(session.AppendInt(b, -5), true), []byte("vtib"))
	f.Add(session.AppendCount(session.AppendText(nil, ""), 3), []byte("tc"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte("i"))
	f.Add([]byte{0x80, 0}, []byte("t"))
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f}, []byte("n"))
	f.Fuzz(func(t *testing.T, payload, fields []byte) {
		r := session.NewReader(payload)
		var again []byte
		for _, field := range fields {
			switch field {
			case 'v':
				again = session.AppendVersion(again, r.Version())
			case 't':
				again = session.AppendText(again, r.Text())
			case 'i':
				again = session.AppendInt(again, r.Int())
			case 'b':
				again = session.AppendBool(again, r.Bool())
			case 'n':
				again = session.AppendTime(again, r.Time())
			case 'c':
				again = session.AppendCount(again, r.Count(1000))
			}
			if r.Err() != nil {
				return
			}
		}
		if r.Done() == nil && !bytes.Equal(again, payload) {
			t.Errorf("%x reads like %x", payload, again)
		}
	})
}
