package merchant

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// FuzzJournalLine: no line makes the reader fail, what it takes is what was written, and nothing opens that we didn't seal.
func FuzzJournalLine(f *testing.F) {
	key, err := session.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	box, err := session.NewBox(session.Keys{key}, session.Binding{Purpose: "merchant login journal", Issuer: "i", ClientID: "c", Site: "merchant"})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0).UTC()
	written := record{
		key: newKey(), until: now.Unix() + 60, caller: "till", code: "4MZ-QR3", created: now, expires: now.Add(time.Minute), decline: now.Add(time.Second),
		pending: &vipps.PendingMerchantLogin{Issuer: "i", ClientID: "c", AuthReqID: "abc", Started: now, Expires: now.Add(time.Minute), Interval: 5 * time.Second},
	}
	whole, err := written.appendTo(nil, box)
	if err != nil {
		f.Fatal(err)
	}
	end, err := record{key: written.key, until: written.until, over: true}.appendTo(nil, box)
	if err != nil {
		f.Fatal(err)
	}
	t, over, ok := parseLine(whole)
	if got, err := t.open(box); !ok || over || err != nil || !cmp.Equal(got, written, cmp.AllowUnexported(record{})) {
		f.Fatalf("%v %v\n%s", ok, err, cmp.Diff(got, written, cmp.AllowUnexported(record{})))
	}
	if t, over, ok := parseLine(end); !ok || !over || t.key != written.key {
		f.Fatal("the end isn't read")
	}
	other := bytes.Replace(whole, []byte("v1"), []byte("v2"), 1)
	for _, seed := range [][]byte{whole, end, other, whole[:len(whole)-1], whole[:40], {}, []byte("\n"), []byte(journalHeader), []byte("v1 - + - -"), []byte("v1 99 + AAAAAAAAAAAAAAAAAAAAAA 1AAAA 00000000")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, over, ok := parseLine(text)
		if !ok || over {
			return
		}
		if l.until < 0 || !bytes.HasSuffix(l.text, []byte("\n")) || bytes.Count(l.text, []byte("\n")) != 1 {
			t.Errorf("%q gives %q", text, l.text)
		}
		if again, _, ok := parseLine(l.text); !ok || again.key != l.key || again.sealed != l.sealed || again.until != l.until {
			t.Errorf("%q isn't itself again", text)
		}
		if _, err := l.open(box); err == nil && !bytes.Contains(whole, []byte(l.sealed)) {
			t.Errorf("%q opens", text)
		}
	})
}
