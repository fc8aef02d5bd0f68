package forwardauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestParseHeaders(t *testing.T) {
	t.Parallel()
	auth, sub := headerSpec{Name: "X-Vipps-Auth"}, headerSpec{Name: "X-Vipps-Sub", Claim: "sub"}
	names := []headerSpec{
		{Name: "X-Vipps-Name", Claim: "name"},
		{Name: "X-Vipps-Given-Name", Claim: "given_name"},
		{Name: "X-Vipps-Family-Name", Claim: "family_name"},
	}
	email := []headerSpec{{Name: "X-Vipps-Email", Claim: "email"}, {Name: "X-Vipps-Email-Verified", Claim: "email_verified"}}
	phone := []headerSpec{{Name: "X-Vipps-Phone-Number", Claim: "phone_number"}}
	all := func(parts ...[]headerSpec) []headerSpec {
		specs := []headerSpec{auth, sub}
		for _, part := range parts {
			specs = append(specs, part...)
		}
		return specs
	}
	for _, test := range []struct {
		name     string
		list     []string
		encoding string
		scopes   []string
		want     []headerSpec
	}{
		{"nothing set", nil, "", nil, all()},
		{"openid alone", nil, "utf-8", []string{"openid"}, all()},
		{"every scope", nil, "", []string{"openid", "name", "email", "phoneNumber", "birthDate", "address", "nin"}, all(names, email, phone)},
		{"standard scopes", []string{"default"}, "", []string{"openid", "phone", "profile"}, all(names, phone)},
		{
			"without default",
			[]string{"X-Vipps-Birthdate=birthdate"},
			"",
			[]string{"name"},
			all([]headerSpec{{Name: "X-Vipps-Birthdate", Claim: "birthdate"}}),
		},
		{
			"beside default",
			[]string{" remote-user = sub ", "default"},
			"",
			[]string{"phoneNumber"},
			all(phone, []headerSpec{{Name: "Remote-User", Claim: "sub"}}),
		},
		{
			"one encoding for one",
			[]string{"default", "X-Vipps-Name=name;percent", "X-Vipps-Address=address; base64url"},
			"",
			[]string{"name"},
			all(
				[]headerSpec{{Name: "X-Vipps-Name", Claim: "name", Encoding: encodingPercent}}, names[1:],
				[]headerSpec{{Name: "X-Vipps-Address", Claim: "address", Encoding: encodingBase64URL}},
			),
		},
		{
			"one encoding for all",
			[]string{"X-Forwarded-User=name", "X-Vipps-Email=email;ascii"},
			"latin1",
			nil,
			[]headerSpec{
				auth,
				{Name: "X-Vipps-Sub", Claim: "sub", Encoding: encodingLatin1},
				{Name: "X-Forwarded-User", Claim: "name", Encoding: encodingLatin1},
				{Name: "X-Vipps-Email", Claim: "email", Encoding: encodingASCII},
			},
		},
		{"a long name", []string{"X" + strings.Repeat("x", 63) + "=sub"}, "", nil, all([]headerSpec{{Name: "X" + strings.Repeat("x", 63), Claim: "sub"}})},
		{"sub is said again", []string{"X-Vipps-Sub=sub"}, "", nil, all()},
	} {
		got, problems := parseHeaders(test.list, test.encoding, test.scopes)
		if len(problems) > 0 {
			t.Errorf("%s: %v", test.name, problems)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestParseHeadersRefuses(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{
		{""},
		{"X-Vipps-Name"},
		{"=name"},
		{"X-Vipps-Name="},
		{"X-Vipps-Name=;percent"},
		{"X-Vipps-Name=na me"},
		{"X-Vipps-Name=name;rot13"},
		{"X-Vipps-Name=name;"},
		{"X-Vipps-Name=name;percent;ascii"},
		{"X_Vipps_Name=name"},
		{"X.Name=name"},
		{"X Name=name"},
		{"1X=name"},
		{"-X=name"},
		{"X-Å=name"},
		{strings.Repeat("X", 65) + "=name"},
		{"X-Name=name", "x-name=given_name"},
		{"Remote-User=sub", "default", "REMOTE-USER=sub"},
		{"X-Vipps-Sub=phone_number"},
		{"X-Vipps-Auth=name"},
		{"X-Vipps-Assertion=name"},
		{"x-vipps-login-url=name"},
		{"Connection=sub"},
		{"keep-alive=sub"},
		{"TE=sub"},
		{"Trailer=sub"},
		{"Upgrade=sub"},
		{"Transfer-Encoding=sub"},
		{"Proxy-Authorization=sub"},
		{"Host=sub"},
		{"Cookie=sub"},
		{"Set-Cookie=sub"},
		{"Set-Cookie2=sub"},
		{"Content-Length=sub"},
		{"content-type=sub"},
		{"Authorization=sub"},
		{"Location=sub"},
		{"X-Forwarded-For=sub"},
		{"X-Forwarded-Host=sub"},
		{"X-Original-URL=sub"},
		{"Sec-Fetch-Mode=sub"},
		{"X-Accel-Redirect=sub"},
	} {
		_, problems := parseHeaders(list, "", nil)
		if len(problems) != 1 {
			t.Errorf("%q: %v, want one problem", list, problems)
			continue
		}
		var config *vipps.ConfigError
		if !errors.As(problems[0], &config) || config.Setting != "headers" || !strings.HasPrefix(config.Reason, "entry ") {
			t.Errorf("%q: %#v", list, problems[0])
		}
	}
	_, problems := parseHeaders([]string{"a", "Host=sub"}, "utf8", nil)
	if len(problems) != 3 {
		t.Errorf("problems are %v, want all three", problems)
	}
}

func TestSec_C013_EncodeValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, utf8, percent, latin1, ascii string
	}{
		{"", "", "", "", ""},
		{"Kari Nordmann", "Kari Nordmann", "Kari%20Nordmann", "Kari Nordmann", "Kari Nordmann"},
		{"a-b._~%", "a-b._~%", "a-b._~%25", "a-b._~%", "a-b._~%"},
		{"Åse Ødegård", "Åse Ødegård", "%C3%85se%20%C3%98deg%C3%A5rd", "\xc5se \xd8deg\xe5rd", "Aase Oedegaard"},
		{"A\u030ase", "A\u030ase", "A%CC%8Ase", "\xc5se", "Aase"}, // a decomposed Å
		{"Sæther Äijälä Öberg", "Sæther Äijälä Öberg", "S%C3%A6ther%20%C3%84ij%C3%A4l%C3%A4%20%C3%96berg", "S\xe6ther \xc4ij\xe4l\xe4 \xd6berg", "Saether Aeijaelae Oeberg"},
		{"Müller ß", "Müller ß", "M%C3%BCller%20%C3%9F", "M\xfcller \xdf", "Mueller ss"},
		{"Łukasz Čapek", "Łukasz Čapek", "%C5%81ukasz%20%C4%8Capek", "Lukasz Capek", "Lukasz Capek"},
		{"Áŋŋá Đeatnu", "Áŋŋá Đeatnu", "%C3%81%C5%8B%C5%8B%C3%A1%20%C4%90eatnu", "\xc1nn\xe1 Deatnu", "Anna Deatnu"},
		{"山田😀", "山田😀", "%E5%B1%B1%E7%94%B0%F0%9F%98%80", "???", "???"},
		{"O’Hara – “x”…", "O’Hara – “x”…", "O%E2%80%99Hara%20%E2%80%93%20%E2%80%9Cx%E2%80%9D%E2%80%A6", `O'Hara - "x"...`, `O'Hara - "x"...`},
		{" \t a\u00a0b \n", "a\u00a0b", "a%C2%A0b", "a\xa0b", "a b"},
		{"Ola\r\nX-Vipps-Nin: 1", "Ola  X-Vipps-Nin: 1", "Ola%20%20X-Vipps-Nin%3A%201", "Ola  X-Vipps-Nin: 1", "Ola  X-Vipps-Nin: 1"},
		{"one blank ", "one blank", "one%20blank", "one blank", "one blank"},
		{" one blank", "one blank", "one%20blank", "one blank", "one blank"},
		{"a\u0080b\u009fc\u202ad\u2069", "abcd", "abcd", "abcd", "abcd"},
		{"a\x00b\x7fc\u0085d\u2028e\u2029f\u009bg", "abcdefg", "abcdefg", "abcdefg", "abcdefg"},
		{"a\u202eb\u2066c\u200fd\u061ce\ufefff", "abcdef", "abcdef", "abcdef", "abcdef"},
		{"a\xffb", "a\ufffdb", "a%EF%BF%BDb", "a?b", "a?b"},
		{"\ufffdx\u0301", "\ufffdx\u0301", "%EF%BF%BDx%CC%81", "?x", "?x"},
	} {
		for enc, want := range map[encoding]string{
			encodingUTF8: test.utf8, encodingPercent: test.percent, encodingLatin1: test.latin1, encodingASCII: test.ascii,
			encodingBase64URL: base64.RawURLEncoding.EncodeToString([]byte(test.utf8)),
		} {
			if got := encodeValue(enc, test.in); got != want {
				t.Errorf("encodeValue(%d, %q) = %q, want %q", enc, test.in, got, want)
			}
		}
	}
}

func TestSec_C013_EncodeValueIsBounded(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "å", "山", "😀", "a ", "\u0301", "\n"} {
		long := strings.Repeat(unit, 10000)
		for enc := encodingUTF8; enc <= encodingASCII; enc++ {
			got := encodeValue(enc, long)
			checkEncoded(t, enc, long, got)
			if unit != "\n" && unit != "\u0301" && len(got) < maxHeaderValue-12 {
				t.Errorf("encodeValue(%d, %q…) has only %d bytes", enc, unit, len(got))
			}
		}
	}
}

// checkEncoded holds what is promised of every value.
func checkEncoded(t *testing.T, enc encoding, in, got string) {
	t.Helper()
	if len(got) > maxHeaderValue {
		t.Fatalf("encodeValue(%d, %.40q) has %d bytes", enc, in, len(got))
	}
	for i := range len(got) {
		if got[i] < ' ' || got[i] == 0x7f || enc != encodingUTF8 && enc != encodingLatin1 && got[i] >= 0x80 {
			t.Fatalf("encodeValue(%d, %.40q) = %.80q: byte %#x", enc, in, got, got[i])
		}
		if enc == encodingLatin1 && got[i] >= 0x80 && got[i] < 0xa0 {
			t.Fatalf("encodeValue(latin1, %.40q) = %.80q: a C1 control", in, got)
		}
	}
	text := got
	switch enc {
	case encodingPercent:
		back, err := url.PathUnescape(got)
		if err != nil {
			t.Fatalf("encodeValue(percent, %.40q) = %.80q: %v", in, got, err)
		}
		text = back
	case encodingBase64URL:
		back, err := base64.RawURLEncoding.DecodeString(got)
		if err != nil {
			t.Fatalf("encodeValue(base64url, %.40q) = %.80q: %v", in, got, err)
		}
		text = string(back)
	}
	if enc != encodingLatin1 && !utf8.ValidString(text) {
		t.Fatalf("encodeValue(%d, %.40q) = %.80q: cut inside a character", enc, in, got)
	}
	if enc != encodingLatin1 {
		for _, r := range text {
			if r < ' ' || r >= 0x7f && r <= 0x9f || strings.ContainsRune("\u2028\u2029\u202e\u2066\u200e", r) {
				t.Fatalf("encodeValue(%d, %.40q) holds %U", enc, in, r)
			}
		}
	}
	if text != strings.Trim(text, " ") {
		t.Fatalf("encodeValue(%d, %.40q) = %.80q: outer blanks", enc, in, got)
	}
}

func FuzzEncodeValue(f *testing.F) {
	for _, seed := range []string{"", "Kari Nordmann", "Åse Ødegård", "a\r\nX-Vipps-Nin: 1", "\u202e\xff\u2028", "=?utf-8?q?x?=", `{"a":"b"}`, ","} {
		f.Add(seed, uint8(0))
		f.Add(seed, uint8(4))
	}
	f.Fuzz(func(t *testing.T, value string, enc uint8) {
		e := encoding(enc % 5)
		checkEncoded(t, e, value, encodeValue(e, value))
	})
}

func FuzzParseHeaders(f *testing.F) {
	f.Add("default", "X-Vipps-Name=name;percent", "utf-8", "name")
	f.Add("Remote-User=sub", "x_vipps_sub=sub", "", "phoneNumber")
	f.Add("Connection=sub", "=;", "latin1", "openid")
	f.Fuzz(func(t *testing.T, first, second, enc, scope string) {
		specs, problems := parseHeaders([]string{first, second}, enc, []string{scope})
		if len(problems) > 0 {
			return
		}
		seen := map[string]bool{}
		s := newStripper(specs)
		for _, spec := range specs {
			if http.CanonicalHeaderKey(spec.Name) != spec.Name || seen[fold(spec.Name)] || !s.ours(spec.Name) {
				t.Fatalf("%q, %q: header %q", first, second, spec.Name)
			}
			seen[fold(spec.Name)] = true
			if (spec.Claim == "") != (spec.Name == "X-Vipps-Auth") {
				t.Fatalf("%q, %q: %+v", first, second, spec)
			}
		}
		if !seen["x-vipps-auth"] || !seen["x-vipps-sub"] {
			t.Fatalf("%q, %q: %+v", first, second, specs)
		}
	})
}
