package session_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// forge seals a payload by the description in doc.go alone, at any time and
// with halves of the key that a test may exchange: what somebody could do who
// has the key, and a second opinion on the format.
func forge(t testing.TB, key, label string, binding session.Binding, sealed time.Time, payload []byte) string {
	t.Helper()
	hash, block := halves(t, key, label, binding)
	c, err := aes.NewCipher(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := noise(aes.BlockSize, "iv")
	box := bytes.Clone(payload)
	cipher.NewCTR(c, iv).XORKeyStream(box, box)
	inner := fmt.Appendf(nil, "1|%d|%s|", sealed.Unix(), base64.URLEncoding.EncodeToString(append(iv, box...)))
	mac := hmac.New(sha256.New, hash)
	mac.Write(inner[:len(inner)-1])
	return "1" + base64.RawURLEncoding.EncodeToString(mac.Sum(inner)[len("1|"):])
}

const hkdfLabel = "github.com/vippsauth/vippsauth session box v1"

func halves(t testing.TB, key, label string, b session.Binding) (hash, block []byte) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(keyText(key))
	if err != nil {
		t.Fatal(err)
	}
	var info []byte
	for _, field := range []string{label, b.Purpose, b.Issuer, b.ClientID, b.Site} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(field)))
		info = append(info, field...)
	}
	derived, err := hkdf.Key(sha256.New, raw, nil, string(info), 64)
	if err != nil {
		t.Fatal(err)
	}
	return derived[:32], derived[32:]
}

// TestSec_B130_Securecookie: the ten traps of gorilla/securecookie, one by one.
// Points 3 (what a browser counts) and 8 (rotation) are those of
// TestSec_B112_C033_ChunkSizes and TestSec_D18_BoxRotation; 5 and 10 (a clock
// that is ahead, no revocation) are forwardauth's.
func TestSec_B130_Securecookie(t *testing.T) {
	t.Parallel()
	box := newBox(t, "a")
	now := time.Now()

	t.Run("B130_C035 1 it is encrypted, with halves that differ", func(t *testing.T) {
		// The forgery, which encrypts with AES-256 under a second key, opens: so that is what Seal does.
		text := forge(t, "a", hkdfLabel, testBinding(), now, []byte("payload"))
		if payload, err := box.Open(text); err != nil || string(payload) != "payload" {
			t.Fatalf("the format is another than doc.go says: %q, %v", payload, err)
		}
		if hash, block := halves(t, "a", hkdfLabel, testBinding()); bytes.Equal(hash, block) || len(hash) != 32 || len(block) != 32 {
			t.Error("one key for both")
		}
	})
	t.Run("B130 2 unusable keys show at the start", func(t *testing.T) {
		for _, keys := range []session.Keys{nil, {}, {session.Key{}}, {testKeys(t, "a")[0], session.Key{}}, make(session.Keys, 17)} {
			if b, err := session.NewBox(keys, testBinding()); err == nil || b != nil {
				t.Errorf("a box of %d keys", len(keys))
			}
		}
	})
	t.Run("B130 4 no age of its own", func(t *testing.T) {
		// securecookie gives up after 30 days by itself, whatever the payload says, and has no idea of the future.
		for _, at := range []time.Time{now.AddDate(0, 0, -31), now.AddDate(-5, 0, 0), now.Add(10 * time.Minute), now.AddDate(50, 0, 0)} {
			if _, err := box.Open(forge(t, "a", hkdfLabel, testBinding(), at, []byte("payload"))); err != nil {
				t.Errorf("sealed %s from now: %v", at.Sub(now), err)
			}
		}
	})
	t.Run("B130 6 bound to more than a name", func(t *testing.T) {
		for what, change := range map[string]func(*session.Binding){
			"purpose": func(b *session.Binding) { b.Purpose = "login" },
			"issuer":  func(b *session.Binding) { b.Issuer = "https://staging.example/access/" },
			"client":  func(b *session.Binding) { b.ClientID = "client-2" },
			"site":    func(b *session.Binding) { b.Site = "https://other.example" },
		} {
			binding := testBinding()
			change(&binding)
			if _, err := box.Open(forge(t, "a", hkdfLabel, binding, now, []byte("payload"))); !errors.Is(err, session.ErrSealed) {
				t.Errorf("another %s: %v", what, err)
			}
		}
		if _, err := box.Open(forge(t, "a", "another use of the key", testBinding(), now, []byte("payload"))); !errors.Is(err, session.ErrSealed) {
			t.Errorf("another use of the key: %v", err)
		}
	})
	t.Run("B130 9 what opens is not decoded by reflection", func(t *testing.T) {
		// A leaked key must not turn into more than forged payloads: a gob that claims lengths is bytes here.
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(map[string][]string{"sub": {"x"}}); err != nil {
			t.Fatal(err)
		}
		payload, err := box.Open(forge(t, "a", hkdfLabel, testBinding(), now, b.Bytes()))
		if err != nil || !bytes.Equal(payload, b.Bytes()) {
			t.Fatalf("%q, %v", payload, err)
		}
		r := session.NewReader(payload)
		r.Version()
		for range 3 {
			r.Text()
		}
		if r.Done() == nil {
			t.Error("a gob is read as fields")
		}
	})
}

// TestSec_A120_D28_D53_NoRandomness: with a reader of randomness that fails nothing
// is sealed with an IV of zeros, and no key is made: the seal is refused, or
// the program ends. It runs in a process of its own, since the reader is everybody's.
func TestSec_A120_D28_D53_NoRandomness(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"seal", "key", "box"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutRandomness$", "-test.v")
		cmd.Env = append(os.Environ(), withoutRandomness+"="+what)
		out, err := cmd.CombinedOutput()
		if text := string(out); strings.Contains(text, "made:") || !strings.Contains(text, "refused:") && (err == nil || !strings.Contains(text, "crypto/rand: failed to read random data")) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}

// withoutRandomness is set in the process of TestSec_A120_D28_D53_NoRandomness.
const withoutRandomness = "SESSION_TEST_WITHOUT_RANDOMNESS"

// TestWithoutRandomness is what that process does. In any other it does nothing.
func TestWithoutRandomness(t *testing.T) {
	what := os.Getenv(withoutRandomness)
	if what == "" {
		return
	}
	box := newBox(t, "a")
	rand.Reader = brokenReader{}
	if what == "key" {
		if _, err := session.NewKey(); err != nil {
			t.Log("refused:", err)
			return
		}
		t.Log("made: a key")
		return
	}
	if what == "box" {
		if _, err := session.NewBox(testKeys(t, "a"), testBinding()); err != nil {
			t.Log("refused:", err)
			return
		}
		t.Log("made: a box")
		return
	}
	if text, err := box.Seal([]byte("payload")); err != nil {
		t.Log("refused:", err)
	} else {
		t.Log("made:", text)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }
