package forwardauth_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// What a token with a bad header or signature costs: no fetch of keys, or the one that a key change would need.
var (
	noKeys     = calls{1, 1, 1, 0, 0}
	twoFetches = calls{1, 1, 1, 2, 0}
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forged is a token with this header, signed by sign.
func forged(header string, payload []byte, sign func(input string) []byte) string {
	input := b64(header) + "." + b64(string(payload))
	return input + "." + b64(string(sign(input)))
}

func unsigned(header string) func([]byte) string {
	return func(payload []byte) string { return forged(header, payload, func(string) []byte { return nil }) }
}

func macced(header string, secret []byte) func([]byte) string {
	return func(payload []byte) string {
		return forged(header, payload, func(input string) []byte {
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(input))
			return m.Sum(nil)
		})
	}
}

// rsaSigned signs with RS256, whatever the header says.
func rsaSigned(header string, key *rsa.PrivateKey) func([]byte) string {
	return func(payload []byte) string {
		return forged(header, payload, func(input string) []byte {
			sum := sha256.Sum256([]byte(input))
			sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			if err != nil {
				panic(err)
			}
			return sig
		})
	}
}

// bent changes one character in the middle of the signature.
func bent(sign func([]byte) string) func([]byte) string {
	return func(payload []byte) string {
		raw := sign(payload)
		i := strings.LastIndexByte(raw, '.') + 20
		c := "A"
		if raw[i:i+1] == c {
			c = "B"
		}
		return raw[:i] + c + raw[i+1:]
	}
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
