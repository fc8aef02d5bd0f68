package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// What only HTTP/2 can say, at every endpoint of the Caddy module, with a session and without, judged as the corpus is.
func TestSec_C010_C020_HTTP2Fields(t *testing.T) {
	t.Parallel()
	b := moduleBattery(t, ownTLS, func(f *front) string {
		f.overTLS()
		f.tls = moduleTLS()
		return strings.Replace(moduleSite(f, unlimited), "log\n", "log\n\ttls internal\n", 1)
	}, "name", "phone number", "e-mail address").overHTTP2()
	w := &wire2{addr: b.good.addr, tls: b.f.tls}
	t.Cleanup(w.close)
	j := b.judge
	before := b.usage(t)
	for name, change := range map[string]func(r *request2){
		"C010_a pseudo-header of ours":     func(r *request2) { r.fields = append([][2]string{{":x-vipps-sub", "evil"}}, r.fields...) },
		"C010_a pseudo-header at the end":  func(r *request2) { r.fields = append(r.fields, [2]string{":path", "/public"}) },
		"C010_upper case":                  func(r *request2) { r.fields = append(r.fields, [2]string{"X-Vipps-Sub", "evil"}) },
		"C010_a line break in a value":     func(r *request2) { r.fields = append(r.fields, [2]string{"foo", "a\r\nx-vipps-sub: evil"}) },
		"C010_a line break in a name":      func(r *request2) { r.fields = append(r.fields, [2]string{"foo: a\r\nx-vipps-sub", "evil"}) },
		"C010_an empty name":               func(r *request2) { r.fields = append(r.fields, [2]string{"", "evil"}) },
		"C010_a blank in a name":           func(r *request2) { r.fields = append(r.fields, [2]string{"x-vipps-sub ", "evil"}) },
		"C010_a zero in a name":            func(r *request2) { r.fields = append(r.fields, [2]string{"x-vipps-sub\x00", "evil"}) },
		"B078_connection":                  func(r *request2) { r.fields = append(r.fields, [2]string{"connection", "x-vipps-sub"}) },
		"C054_upgrade":                     func(r *request2) { r.fields = append(r.fields, [2]string{"upgrade", "h2c"}) },
		"C020_two paths":                   func(r *request2) { r.fields = append(r.fields, [2]string{":path", "/_vipps/logout"}) },
		"C020_two paths, one behind other": func(r *request2) { r.fields = append([][2]string{{":path", "/public"}}, r.fields...) },
		"C020_no path":                     func(r *request2) { r.fields = without(r.fields, ":path") },
		"C020_no method":                   func(r *request2) { r.fields = without(r.fields, ":method") },
		"C055_another authority":           func(r *request2) { r.fields[2][1] = "evil.example" },
		"C055_authority and another host":  func(r *request2) { r.fields = append(r.fields, [2]string{"host", "evil.example"}) },
		"C055_a host alone": func(r *request2) {
			r.fields = append(without(r.fields, ":authority"), [2]string{"host", "evil.example"})
		},
		"C055_two authorities":  func(r *request2) { r.fields = append([][2]string{{":authority", "evil.example"}}, r.fields...) },
		"C055_a scheme":         func(r *request2) { r.fields[1][1] = "javascript" },
		"C055_userinfo":         func(r *request2) { r.fields[2][1] = "evil@" + r.fields[2][1] },
		"C053_extended CONNECT": func(r *request2) { r.fields = append([][2]string{{":protocol", "websocket"}}, r.fields...) },
		"C011_trailers": func(r *request2) {
			r.body, r.trailer = "x", [][2]string{{"x-vipps-sub", "evil"}, {"x_vipps_sub", "evil"}, {"x.vipps.auth", "evil"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, session := range []bool{false, true} {
				cookie, who := j.own(session)
				for _, where := range endpoints {
					s := j.get(where, cookie, who)
					r := asHTTP2(s)[0]
					change(&r)
					var before []reply
					for i := range 2 {
						b.f.app.forget()
						answers := []reply{w.ask(t, r)}
						j.shot(t, s, answers, b.f.app.since(0))
						if i > 0 {
							j.same(t, s, before, answers)
						}
						before = answers
					}
				}
			}
			b.stillGood(t)
		})
	}
	t.Run("C070_a flood of CONTINUATION", func(t *testing.T) { floodContinuation(t, b) })
	t.Run("C070_rapid reset", func(t *testing.T) { rapidReset(t, b) })
	t.Run("C030_cookies in crumbs", func(t *testing.T) { crumbs(t, b, w) })
	w.close()
	b.good.close()
	b.settled(t, before)
}

func without(fields [][2]string, name string) (rest [][2]string) {
	for _, f := range fields {
		if f[0] != name {
			rest = append(rest, f)
		}
	}
	return rest
}

// floodContinuation: a header that never ends (CVE-2023-45288) is cut off, and takes no memory.
func floodContinuation(t *testing.T, b *battery) {
	w := &wire2{addr: b.good.addr, tls: b.f.tls}
	w.dial(t)
	defer w.close()
	block := w.headers(append(asHTTP2(b.judge.get("/", "", ""))[0].fields, [2]string{"x-vipps-sub", "evil"}))
	w.must(t, w.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true}))
	part := w.headers([][2]string{{"x-flood", strings.Repeat("x", 8<<10)}})
	const most = 4000 // 32 MB of fields
	sent := 0
	for ; sent < most; sent++ {
		if w.frames.WriteContinuation(1, false, part) != nil {
			break
		}
	}
	a, err := w.read(1)
	if sent == most || err == nil && a.status < 400 {
		t.Errorf("%d frames were taken, then %d %v", sent, a.status, err)
	}
	b.stillGood(t)
}

// rapidReset: streams that are opened and reset at once (CVE-2023-44487) pile nothing up.
func rapidReset(t *testing.T, b *battery) {
	w := &wire2{addr: b.good.addr, tls: b.f.tls}
	w.dial(t)
	defer w.close()
	r := asHTTP2(b.judge.get("/protected", "", ""))[0]
	for range 2000 {
		id := w.stream
		w.stream += 2
		if w.write(id, r) != nil || w.frames.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break // given up on, as may be
		}
	}
	b.stillGood(t)
	if b.f.app.hits() > 1 {
		t.Errorf("I2: the app was asked %d times", b.f.app.hits())
	}
}

// crumbs: a Cookie in many fields (RFC 9113, section 8.2.3) is one.
func crumbs(t *testing.T, b *battery, w *wire2) {
	j := b.judge
	aase, per := j.name+"="+j.values[phoneAase], j.name+"="+j.values[phonePer]
	for _, tt := range []struct {
		who   string
		lines []string
	}{
		{phoneAase, []string{"a=1", aase, "b=2"}},
		{phoneAase, []string{j.name + "=garbage", aase}},
		{"", []string{aase, per}},
		{"", []string{j.name + "=" + j.values[phoneAase][:40], j.values[phoneAase][40:]}},
	} {
		r := asHTTP2(j.get("/crumbs", "", ""))[0]
		for _, line := range tt.lines {
			r.fields = append(r.fields, [2]string{"cookie", line})
		}
		b.f.app.forget()
		a := w.ask(t, r)
		s := shot{where: "/crumbs", target: "/crumbs", who: tt.who, two: tt.who == "", must: tt.who != ""}
		j.shot(t, s, []reply{a}, b.f.app.since(0))
		if (a.status == http.StatusOK) != (tt.who != "") {
			t.Errorf("%q: %d", tt.lines, a.status)
		}
	}
}
