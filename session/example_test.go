package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// A payload goes out in a cookie and comes back.
func Example() {
	key, err := session.NewKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := session.NewBox(session.Keys{key}, session.Binding{
		Purpose: "session", Issuer: "https://issuer.example/", ClientID: "client-1", Site: "https://app.example",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	jar := &session.Jar{Name: "vippsauth", Secure: true}

	// The answer that logs somebody in.
	payload := session.AppendVersion(nil, 1)
	payload = session.AppendText(payload, "5fa3dd52")
	payload = session.AppendTime(payload, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	sealed, err := box.Seal(payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	if err := jar.Set(answer, nil, sealed, 8*time.Hour); err != nil {
		fmt.Println(err)
		return
	}

	// A request later on.
	request := httptest.NewRequest(http.MethodGet, "https://app.example/", http.NoBody)
	request.AddCookie(answer.Result().Cookies()[0])
	sealed, found := jar.Get(request.Header)
	payload, err = box.Open(sealed)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := session.NewReader(payload)
	version, sub, end := r.Version(), r.Text(), r.Time()
	fmt.Println(found, version, sub, end.Year(), r.Done())
	// Output: one 1 5fa3dd52 2030 <nil>
}

// A key never shows, whatever prints it.
func ExampleKey() {
	key, err := session.NewKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	config := struct{ CookieKey session.Key }{key}
	fmt.Printf("%v %+v %x %d characters\n", key, config, key, len(key.Encode()))
	// Output: [redacted] {CookieKey:[redacted]} [redacted] 44 characters
}

// Errors name the position of a bad key, not the key.
func ExampleParseKeys() {
	fresh, err := session.NewKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = session.ParseKeys([]string{
		fresh.Encode(),
		"ZXhhbXBsZS1rZXktZG8tbm90LXVzZS0tLS0tLS0tLS0=",
	})
	fmt.Println(err)
	// Output: session: key 2: is the example key of the documentation, which everybody knows (vippsauth keygen prints a fresh key)
}

// A value that is too long for one cookie goes on in others.
func ExampleJar_Set() {
	jar := &session.Jar{Name: "vippsauth"}
	answer := httptest.NewRecorder()
	if err := jar.Set(answer, nil, "1"+strings.Repeat("A", 5000), time.Hour); err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range answer.Header()["Set-Cookie"] {
		fmt.Printf("%.20s… %d bytes\n", line, len(line))
	}
	// Output:
	// vippsauth=221AAAAAAA… 4091 bytes
	// vippsauth.1=AAAAAAAA… 1026 bytes
}

// The application behind us doesn't get our cookies.
func ExampleStripCookies() {
	jar := &session.Jar{Name: "vippsauth", Secure: true}
	header := http.Header{"Cookie": {`theme=dark; __Host-vippsauth=1AAAA; PHPSESSID="x"`}}
	session.StripCookies(header, jar.Owns)
	fmt.Println(header["Cookie"][0])
	// Output: theme=dark; PHPSESSID="x"
}
