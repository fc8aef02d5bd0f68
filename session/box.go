package session

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gorilla/securecookie"
)

const (
	// MaxSealed is the longest sealed text, in bytes, that a [Box] makes or
	// opens.
	MaxSealed = 32 << 10

	formatSealed = "1"

	// hkdfLabel sets our derivation apart from every other use of the key.
	hkdfLabel = "github.com/vippsauth/vippsauth session box v1"
)

// ErrSealed is the answer of [Box.Open] to everything that it cannot open:
// garbage, a changed or cut text, another key, purpose, issuer, client or site.
// Which of these it was is not told, nor known.
var ErrSealed = errors.New("session: the sealed text cannot be opened")

// Binding is what a [Box] is for. It goes into the derivation of its keys, so a
// text sealed under one Binding opens under no other, whatever cookie it is put
// into. All fields are required and compared byte by byte.
type Binding struct {
	// Purpose tells our own cookies apart, such as "session" and "login".
	Purpose string
	// Issuer is the issuer URL at which people log in.
	Issuer string
	// ClientID is our client id at that issuer.
	ClientID string
	// Site is the origin of the site that the cookie belongs to.
	Site string
}

// info is the HKDF info: each field with its length in front, so that moving
// bytes from one field to the next gives another key.
func (b Binding) info() string {
	var out []byte
	for _, field := range [...]string{hkdfLabel, b.Purpose, b.Issuer, b.ClientID, b.Site} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field))) //nolint:gosec // configuration text, far below 4 GiB
		out = append(out, field...)
	}
	return string(out)
}

func (b Binding) validate() error {
	var errs []error
	for _, field := range [...]struct{ name, value string }{
		{"purpose", b.Purpose}, {"issuer", b.Issuer}, {"client id", b.ClientID}, {"site", b.Site},
	} {
		if field.value == "" {
			errs = append(errs, fmt.Errorf("session: sealing: the %s is empty", field.name))
		}
	}
	return errors.Join(errs...)
}

// Box seals payloads and opens them again. It is safe for concurrent use. Make
// it with [NewBox]; the zero Box seals nothing and opens nothing.
type Box struct {
	// Functions and not the codecs themselves, whose keys package fmt would
	// print where a Box sits in an unexported field.
	seal func(name string, payload any) (string, error) // the first key's
	open []func(name, text string, payload any) error   // every key's
}

// NewBox derives the keys of a Box, and tries each of them once, so that a Box
// that is returned works. It does no I/O.
func NewBox(keys Keys, binding Binding) (*Box, error) {
	if err := binding.validate(); err != nil {
		return nil, err
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("session: sealing takes 1 to %d keys, not %d", maxKeys, len(keys))
	}
	box := new(Box)
	for i, key := range keys {
		codec, err := newCodec(key, binding)
		if err != nil {
			return nil, fmt.Errorf("session: key %d: %w", i+1, err)
		}
		if i == 0 {
			box.seal = codec.Encode
		}
		box.open = append(box.open, codec.Decode)
	}
	return box, nil
}

func newCodec(key Key, binding Binding) (*securecookie.SecureCookie, error) {
	if key.reveal == nil {
		return nil, errors.New("is empty")
	}
	derived, err := hkdf.Key(sha256.New, key.reveal()[:], nil, binding.info(), 2*keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving keys: %w", err)
	}
	// The age that securecookie checks by default, 30 days, is off: times are
	// the payload's. So is its limit of the length: Box has its own.
	codec := securecookie.New(derived[:keySize], derived[keySize:]).
		SetSerializer(securecookie.NopEncoder{}).MaxAge(0).MaxLength(0)

	// securecookie reports unusable keys at first use: use it once.
	probe := []byte("probe")
	text, err := codec.Encode(formatSealed, bytes.Clone(probe))
	if err != nil {
		return nil, fmt.Errorf("sealing a probe: %w", err)
	}
	var back []byte
	if err := codec.Decode(formatSealed, text, &back); err != nil || !bytes.Equal(back, probe) {
		return nil, errors.New("a sealed probe cannot be opened again")
	}
	return codec, nil
}

// Seal returns the payload as sealed text: letters, digits, '-' and '_' only,
// about 16/9 of its length and 150 more. Sealing the same payload twice gives
// different texts. The payload is left as it is; it must not be empty, and its
// sealed text not above [MaxSealed].
func (b *Box) Seal(payload []byte) (string, error) {
	switch {
	case b == nil || b.seal == nil:
		return "", errors.New("session: sealing: the box has no key")
	case len(payload) == 0:
		return "", errors.New("session: sealing: the payload is empty")
	case len(payload) > MaxSealed:
		return "", fmt.Errorf("session: sealing: the payload has %d bytes, above %d", len(payload), MaxSealed)
	}
	// securecookie encrypts in place: give it a copy. The format character is
	// outside the seal, and as securecookie's name it is authenticated too.
	text, err := b.seal(formatSealed, bytes.Clone(payload))
	if err != nil {
		return "", fmt.Errorf("session: sealing: %w", err)
	}
	for len(text) > 0 && text[len(text)-1] == '=' {
		text = text[:len(text)-1]
	}
	if n := len(formatSealed) + len(text); n > MaxSealed {
		return "", fmt.Errorf("session: sealing: the sealed text has %d bytes, above %d", n, MaxSealed)
	}
	return formatSealed + text, nil
}

// Open returns the payload of a sealed text, or [ErrSealed]. It tries every
// key. The payload is the caller's own copy. That it is still good, and whose
// it is, is the caller's to check: Open tells only that a Box with one of these
// keys and this Binding sealed it, at some time.
func (b *Box) Open(text string) ([]byte, error) {
	if b == nil || len(text) > MaxSealed || !isSealed(text) {
		return nil, ErrSealed
	}
	body := text[len(formatSealed):]
	switch len(body) % 4 {
	case 2:
		body += "=="
	case 3:
		body += "="
	}
	var payload []byte
	for _, open := range b.open {
		if open(formatSealed, body, &payload) == nil {
			return payload, nil
		}
	}
	return nil, ErrSealed
}

// isSealed tells whether the text has the form of a sealed one: the format
// character and base64 as an encoder writes it, so that no sealed payload has
// two spellings.
func isSealed(text string) bool {
	if len(text) < 2 || text[:1] != formatSealed || !isBase64URL(text) {
		return false
	}
	last := base64Value(text[len(text)-1])
	switch (len(text) - 1) % 4 {
	case 1:
		return false
	case 2:
		return last&0x0f == 0
	case 3:
		return last&0x03 == 0
	}
	return true
}

// isBase64URL looks at every byte of every cookie of ours, so it uses two bit
// sets: one for the characters below 64, one for those from 64 on.
func isBase64URL(text string) bool {
	const low = 1<<'-' | (1<<10-1)<<'0'
	const high = 1<<('_'-64) | (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	for i := range len(text) {
		c := text[i]
		set := uint64(low)
		if c >= 64 {
			set = high
		}
		if c >= 128 || set>>(c&63)&1 == 0 {
			return false
		}
	}
	return true
}

// base64Value is the six bits that c stands for in base64url, or -1.
func base64Value(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '-':
		return 62
	case c == '_':
		return 63
	}
	return -1
}
