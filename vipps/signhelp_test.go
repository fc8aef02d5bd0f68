package vipps_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
)

var randReader = rand.Reader

func rsaSign(t testing.TB, key *rsa.PrivateKey, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// bend changes one character in the middle of the signature.
func bend(raw string) string {
	i := strings.LastIndexByte(raw, '.') + 20
	c := byte('A')
	if raw[i] == c {
		c = 'B'
	}
	return raw[:i] + string(c) + raw[i+1:]
}

// leftOver sets bits of the last character that no byte comes from: 256 bytes
// of signature leave two bits over.
func leftOver(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[last|1])
}

// flattened turns a compact JWS into the flattened JSON form.
func flattened(raw string) string {
	parts := strings.Split(raw, ".")
	out, _ := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	return string(out)
}
