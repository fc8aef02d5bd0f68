package session_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

// keyText is the base64 of a key that depends on the name alone.
func keyText(name string) string {
	sum := sha256.Sum256([]byte("session test key " + name))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func testKeys(t testing.TB, names ...string) session.Keys {
	t.Helper()
	var texts []string
	for _, name := range names {
		texts = append(texts, keyText(name))
	}
	keys, err := session.ParseKeys(texts)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	a, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if a.Equal(b) || !a.Equal(a) {
		t.Error("two fresh keys are equal, or one differs from itself")
	}
	back, err := session.ParseKey(a.Encode())
	if err != nil || !back.Equal(a) {
		t.Errorf("parsing an encoded key: %v", err)
	}
}

func TestParseKey_Spellings(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("a key with - and _ in it: 18"))
	want, err := session.ParseKey(base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"standard, not padded": base64.RawStdEncoding.EncodeToString(sum[:]),
		"url, padded":          base64.URLEncoding.EncodeToString(sum[:]),
		"url, not padded":      base64.RawURLEncoding.EncodeToString(sum[:]),
		"blanks around":        "  " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n",
	} {
		got, err := session.ParseKey(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSec_C035_B116_WeakKeysRefused(t *testing.T) {
	t.Parallel()
	encode := func(fill func(i int) byte) string {
		var b [32]byte
		for i := range b {
			b[i] = fill(i)
		}
		return base64.StdEncoding.EncodeToString(b[:])
	}
	good := sha256.Sum256([]byte("good"))
	tests := []struct{ name, text, reason string }{
		{"empty", "", "is empty"},
		{"blank", " \n", "is empty"},
		{"not base64", "this is not base64 at all, not at all, no!!", "is not base64"},
		{"mixed alphabets", "+_" + keyText("x")[2:], "is not base64"},
		{"two lines", keyText("x")[:20] + "\n" + keyText("x")[20:], "several lines"},
		{"bits left over", keyText("x")[:42] + "B=", "is not base64"},
		{"31 bytes", base64.StdEncoding.EncodeToString(good[:31]), "holds 31 bytes"},
		{"33 bytes", base64.StdEncoding.EncodeToString(append(good[:], 1)), "holds 33 bytes"},
		{"64 bytes", base64.StdEncoding.EncodeToString(append(good[:], good[:]...)), "holds 64 bytes"},
		{"hexadecimal", hex.EncodeToString(good[:]), "looks like hexadecimal"},
		{"zero", encode(func(int) byte { return 0 }), "all zero"},
		{"one byte", encode(func(int) byte { return 0xa7 }), "one byte repeated"},
		{"two bytes in turn", encode(func(i int) byte { return good[i%2] }), "pattern repeated"},
		{"seven bytes in turn", encode(func(i int) byte { return good[i%7] }), "pattern repeated"},
		{"one half twice", encode(func(i int) byte { return good[i%16] }), "pattern repeated"},
		{"counting up", encode(func(i int) byte { return byte(200 + i) }), "counting sequence"},
		{"counting down", encode(func(i int) byte { return byte(-i) }), "counting sequence"},
		{"counting in sevens", encode(func(i int) byte { return byte(7 * i) }), "counting sequence"},
		{"counting, with a slip", encode(func(i int) byte { return byte(i + i/20*40) }), "counting sequence"},
		{"passphrase", base64.StdEncoding.EncodeToString([]byte("correct horse battery staple 123")), "looks like a passphrase"},
		{"passphrase, line end", base64.StdEncoding.EncodeToString([]byte("Correct Horse Battery Staple 12\n")), "looks like a passphrase"},
		{"passphrase, Norwegian", base64.StdEncoding.EncodeToString([]byte("blåbærsyltetøy på brødskive")), "looks like a passphrase"},
		{"few bytes", encode(func(i int) byte { return good[(i*i+i/5)%15] }), "too few different bytes"},
		{"example", "ZXhhbXBsZS1rZXktZG8tbm90LXVzZS0tLS0tLS0tLS0=", "example key"},
		{"example, url form", "ZXhhbXBsZS1rZXktZG8tbm90LXVzZS0tLS0tLS0tLS0", "example key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := session.ParseKey(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("got error %v, want one with %q", err, tt.reason)
			}
			if text := strings.TrimSpace(tt.text); text != "" && strings.Contains(err.Error(), text) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

// TestFalseRefusalOdds bounds the odds that a key drawn at random is refused:
// they must stay under 1e-9, or some day keygen's key won't start a site.
func TestFalseRefusalOdds(t *testing.T) {
	t.Parallel()
	// Text: UTF-8 of 32 bytes without control characters but three. At most 98
	// one-byte, 30×64 two-byte, 16×64² three-byte and 5×64³ four-byte forms.
	text := make([]float64, 33)
	text[0] = 1
	for n := 1; n <= 32; n++ {
		for size, forms := range []float64{98, 30 * 64, 16 * 64 * 64, 5 * 64 * 64 * 64} {
			if n > size {
				text[n] += text[n-size-1] * forms / math.Pow(256, float64(size+1))
			}
		}
	}
	// Fewer than 16 distinct: distinct[k] after each draw.
	distinct := make([]float64, 34)
	distinct[0] = 1
	for range 32 {
		for k := 32; k >= 0; k-- {
			distinct[k+1] += distinct[k] * float64(256-k) / 256
			distinct[k] *= float64(k) / 256
		}
	}
	few := 0.0
	for _, p := range distinct[:16] {
		few += p
	}
	// Twelve of the 31 steps equal, and patterns of up to 16 bytes: union bounds.
	lg := func(n float64) float64 { v, _ := math.Lgamma(n + 1); return v }
	steps := 256 * math.Exp(lg(31)-lg(12)-lg(19)) * math.Pow(256, -12)
	patterns := 16 * math.Pow(256, -16)

	sum := text[32] + few + steps + patterns
	t.Logf("text %.1e, few distinct %.1e, steps %.1e, patterns %.1e: %.1e in all", text[32], few, steps, patterns, sum)
	if sum >= 1e-9 {
		t.Errorf("a random key is refused with odds %.1e", sum)
	}
	for i := range 2000 {
		if _, err := session.ParseKey(keyText(fmt.Sprint(i))); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	many := make([]string, 17)
	for i := range many {
		many[i] = keyText(fmt.Sprint(i))
	}
	if keys, err := session.ParseKeys(many[:16]); err != nil || len(keys) != 16 {
		t.Errorf("16 keys: %d, %v", len(keys), err)
	}
	tests := []struct {
		name  string
		texts []string
		want  string
	}{
		{"none", nil, "session: no cookie key"},
		{"17", many, "session: 17 cookie keys, at most 16"},
		{"same twice", []string{many[0], many[1], strings.TrimRight(many[0], "=")}, "session: key 3 is the same as key 1"},
		{
			"two wrong",
			[]string{many[0], "", many[1], "AAAA"},
			"session: key 2: is empty: a key is 32 random bytes in base64 (vippsauth keygen prints one)\n" +
				"session: key 4: holds 3 bytes, not 32: a key is 32 random bytes in base64 (vippsauth keygen prints one)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys, err := session.ParseKeys(tt.texts)
			if err == nil || keys != nil {
				t.Fatalf("got %d keys, error %v", len(keys), err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSec_E13_KeyNeverPrints: a configuration that is logged whole must not
// hold the key, wherever the Key sits and whatever prints it.
func TestSec_E13_KeyNeverPrints(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, "printed")
	key := keys[0]
	raw, err := base64.StdEncoding.DecodeString(key.Encode())
	if err != nil {
		t.Fatal(err)
	}
	box, err := session.NewBox(keys, testBinding())
	if err != nil {
		t.Fatal(err)
	}
	type config struct {
		Public  session.Key
		private session.Key
		list    session.Keys
		box     session.Box
		pointer *session.Box
	}
	cfg := config{key, key, keys, *box, box}

	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "% x", "%s", "%q", "%d", "%o", "%c", "%U", "%T", "%p", "%99v"} {
		for _, v := range []any{key, &key, keys, &keys, cfg, &cfg, box, *box} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
	}
	for _, v := range []any{key, &key, keys, cfg, map[string]session.Key{"k": key}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(b))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "keys", keys, "cfg", cfg)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key, "keys", keys, "cfg", cfg)
	printed = append(printed, log.String(), key.String(), key.GoString())

	decimal := strings.Trim(fmt.Sprint(raw[:6]), "[]")
	goSyntax := strings.TrimPrefix(fmt.Sprintf("%#v", raw[:4]), "[]byte{")
	leaks := []string{
		key.Encode()[:8], string(raw[:6]), decimal, strings.TrimSuffix(goSyntax, "}"),
		fmt.Sprintf("%x", raw[:4]), fmt.Sprintf("%X", raw[:4]), fmt.Sprintf("% x", raw[:4]),
	}
	derived := regexp.MustCompile(`\[\d+ \d+ \d+|\b[0-9a-fA-F]{32}`) // a derived key's bytes
	for _, text := range printed {
		if derived.MatchString(text) {
			t.Errorf("bytes: %q", text)
		}
		for _, leak := range leaks {
			if strings.Contains(text, leak) {
				t.Errorf("%q is in %q", leak, text)
			}
		}
	}
	if got := fmt.Sprintf("%x", key); got != "[redacted]" {
		t.Errorf("%%x prints %q", got)
	}
	if got, _ := key.MarshalText(); string(got) != "[redacted]" {
		t.Errorf("MarshalText gives %q", got)
	}
}

func TestKey_ZeroValue(t *testing.T) {
	t.Parallel()
	var zero session.Key
	if zero.Equal(session.Key{}) || zero.Encode() != "" || zero.String() != "[redacted]" {
		t.Error("the zero key is taken for a key")
	}
	if _, err := session.NewBox(session.Keys{zero}, testBinding()); err == nil {
		t.Error("a box with the zero key")
	}
}
