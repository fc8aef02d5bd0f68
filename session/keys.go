package session

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	keySize = 32
	maxKeys = 16

	// A random key falls below these with odds that TestFalseRefusalOdds
	// computes: all the reasons together stay under one in a thousand million.
	minDistinctBytes = 16
	maxEqualSteps    = 12
	maxPatternLength = keySize / 2

	redacted = "[redacted]"
)

// Key is one cookie key: 32 random bytes. Its zero value is no key, and
// [NewBox] refuses it. Every way of printing, logging or marshalling a Key
// yields "[redacted]"; only [Key.Encode] gives the bytes. Compare Keys with
// [Key.Equal].
type Key struct {
	// A function, so that package fmt shows an address and not the bytes when
	// the Key sits in an unexported field, where fmt cannot call our Format.
	// (A pointer would not do: for a verb like %s fmt follows it.)
	reveal func() *[keySize]byte
}

func newKey(b *[keySize]byte) Key {
	return Key{reveal: func() *[keySize]byte { return b }}
}

// Keys is a list of keys for rotation: the first seals, all open.
type Keys []Key

// NewKey returns a fresh random key.
func NewKey() (Key, error) {
	var b [keySize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Key{}, fmt.Errorf("session: reading random bytes: %w", err)
	}
	if reason := weakness(&b); reason != "" {
		return Key{}, errors.New("session: the system's randomness is broken: a fresh key " + reason)
	}
	return newKey(&b), nil
}

// ParseKey reads a key from its base64 form: the standard or the URL alphabet,
// padded or not, blanks around it ignored. It must be exactly 32 bytes.
//
// Keys that nobody can have drawn at random are refused: repeated bytes or
// patterns, counting sequences, text that looks like a passphrase, few distinct
// bytes, and the example key of this project's documentation. That a key which
// passes was drawn at random is not, and cannot be, checked. An error tells
// what is wrong and never holds any of the text.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Key{}, errors.New("is empty: a key is 32 random bytes in base64 (vippsauth keygen prints one)")
	}
	raw, err := decodeBase64(text)
	if err != nil {
		return Key{}, err
	}
	if len(raw) != keySize {
		hint := ""
		if len(text) == 2*keySize && isHex(text) {
			hint = "; it looks like hexadecimal"
		}
		return Key{}, fmt.Errorf("holds %d bytes, not 32: a key is 32 random bytes in base64%s (vippsauth keygen prints one)", len(raw), hint)
	}
	b := (*[keySize]byte)(raw)
	if reason := weakness(b); reason != "" {
		return Key{}, errors.New(reason + " (vippsauth keygen prints a fresh key)")
	}
	return newKey(b), nil
}

// ParseKeys reads a list of 1 to 16 different keys, in the order of use: the
// first seals, all open. Its error names the positions, counted from 1, of all
// keys that are wrong.
func ParseKeys(texts []string) (Keys, error) {
	labels := make([]string, len(texts))
	for i := range texts {
		labels[i] = fmt.Sprintf("key %d", i+1)
	}
	return parseLabelled(texts, labels)
}

// parseLabelled is ParseKeys with the caller's words for each position.
func parseLabelled(texts, labels []string) (Keys, error) {
	switch {
	case len(texts) == 0:
		return nil, errors.New("session: no cookie key")
	case len(texts) > maxKeys:
		return nil, fmt.Errorf("session: %d cookie keys, at most %d", len(texts), maxKeys)
	}
	keys := make(Keys, 0, len(texts))
	var errs []error
	for i, text := range texts {
		k, err := ParseKey(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("session: %s: %w", labels[i], err))
		}
		for j, other := range keys {
			if err == nil && k.Equal(other) {
				errs = append(errs, fmt.Errorf("session: %s is the same as %s", labels[i], labels[j]))
				break
			}
		}
		keys = append(keys, k)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}

// Encode returns the key in standard base64, as ParseKey reads it. It is meant
// for printing a fresh key once, and for nothing else. The zero Key gives "".
func (k Key) Encode() string {
	if k.reveal == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(k.reveal()[:])
}

// Equal tells whether both are the same key, in constant time. A zero Key
// equals none, not even another zero Key.
func (k Key) Equal(other Key) bool {
	if k.reveal == nil || other.reveal == nil {
		return false
	}
	return subtle.ConstantTimeCompare(k.reveal()[:], other.reveal()[:]) == 1
}

// String returns "[redacted]".
func (Key) String() string { return redacted }

// GoString returns "[redacted]".
func (Key) GoString() string { return redacted }

// Format writes "[redacted]" for every verb and flag.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON returns the JSON string "[redacted]".
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]", for log/slog.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// exampleKeys are the keys that stand in this project's documentation, so that
// nobody runs a site with one of them.
func exampleKeys() []string {
	return []string{
		"ZXhhbXBsZS1rZXktZG8tbm90LXVzZS0tLS0tLS0tLS0=",
	}
}

// decodeBase64 reads either alphabet, with or without padding, and nothing that
// a base64 encoder would not have written.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("spans several lines: one key is one line of base64")
	}
	body := text
	if len(text)%4 == 0 {
		body = strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
	}
	enc := base64.RawStdEncoding
	if strings.ContainsAny(body, "-_") {
		enc = base64.RawURLEncoding
	}
	raw, err := enc.Strict().DecodeString(body)
	if err != nil {
		return nil, errors.New("is not base64: a key is 32 random bytes in base64 (vippsauth keygen prints one)")
	}
	return raw, nil
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// weakness says why the bytes cannot be a random key, or "".
func weakness(b *[keySize]byte) string {
	encoded := base64.StdEncoding.EncodeToString(b[:])
	for _, example := range exampleKeys() {
		if encoded == example {
			return "is the example key of the documentation, which everybody knows"
		}
	}
	if period := shortestPeriod(b); period == 1 {
		if b[0] == 0 {
			return "is all zero bytes"
		}
		return "is one byte repeated"
	} else if period <= maxPatternLength {
		return "is a short pattern repeated"
	}
	if mostFrequentStep(b) >= maxEqualSteps {
		return "is a counting sequence"
	}
	if looksLikeText(b[:]) {
		return "looks like a passphrase, not like random bytes"
	}
	if distinctBytes(b) < minDistinctBytes {
		return "has too few different bytes to be random"
	}
	return ""
}

// shortestPeriod is the smallest p with b[i] == b[i-p] throughout, 32 if none.
func shortestPeriod(b *[keySize]byte) int {
	for p := 1; p < keySize; p++ {
		i := p
		for i < keySize && b[i] == b[i-p] {
			i++
		}
		if i == keySize {
			return p
		}
	}
	return keySize
}

// mostFrequentStep counts the commonest difference between neighbours.
func mostFrequentStep(b *[keySize]byte) int {
	var steps [256]int
	most := 0
	for i := 1; i < keySize; i++ {
		d := b[i] - b[i-1]
		steps[d]++
		most = max(most, steps[d])
	}
	return most
}

func distinctBytes(b *[keySize]byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// looksLikeText accepts UTF-8 without control characters, but for the blanks
// and line ends that a shell may have added.
func looksLikeText(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
		b = b[size:]
	}
	return true
}
