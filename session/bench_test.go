package session_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/session"
)

// The payloads below have 700 bytes, some more than a session with the claims
// of the scopes name, email, phoneNumber and address.

func BenchmarkBox_Seal(b *testing.B) {
	box, payload := newBox(b, "a"), noise(700, "bench")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := box.Seal(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBox_Open(b *testing.B) {
	text := seal(b, newBox(b, "a"), string(noise(700, "bench")))
	for name, box := range map[string]*session.Box{"first key": newBox(b, "a"), "third key": newBox(b, "c", "b", "a")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := box.Open(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJar_Get(b *testing.B) {
	j := secureJar()
	others := "theme=dark; _ga=GA1.1.1234567890.1234567890; PHPSESSID=" + strings.Repeat("s", 32)
	one := "__Host-vippsauth=" + seal(b, newBox(b, "a"), string(noise(700, "bench")))
	for _, bb := range []struct {
		name   string
		header http.Header
		found  session.Found
	}{
		{"none", http.Header{"Cookie": {others}}, session.None},
		{"one", http.Header{"Cookie": {others + "; " + one}}, session.One},
		{"one in two lines", http.Header{"Cookie": {others, one}}, session.One},
		{"three chunks", send(set(b, j, nil, sealedForm(9000, ""))...), session.One},
		{"5000 cookies", http.Header{"Cookie": {strings.Repeat("a=b; ", 5000) + one}}, session.One},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, found := j.Get(bb.header); found != bb.found {
					b.Fatal(found)
				}
			}
		})
	}
}

func BenchmarkStripCookies(b *testing.B) {
	line := []string{"theme=dark; __Host-vippsauth=" + sealedForm(1400, "") + "; PHPSESSID=" + strings.Repeat("s", 32)}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		h["Cookie"] = line
		session.StripCookies(h, ownVippsauth)
	}
}

func BenchmarkReader(b *testing.B) {
	payload := session.AppendVersion(nil, 1)
	for range 12 {
		payload = session.AppendText(payload, "a claim of some length, like an address")
	}
	b.ReportAllocs()
	for b.Loop() {
		r := session.NewReader(payload)
		r.Version()
		for range 12 {
			r.Text()
		}
		if err := r.Done(); err != nil {
			b.Fatal(err)
		}
	}
}
