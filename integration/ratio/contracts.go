//go:build linux

package main

import "log"

const tenThousand = 10_000

// traefik compares a check as Traefik asks it with a bare handler that is asked the same.
func (b *bench) traefik() error {
	return b.compare("Traefik's contract", 1.35, b.requests,
		&target{name: "bare handler, 202", process: b.bare, requests: [][]byte{b.forwardAuth(b.bareAddr, b.cookie)}, status: "202"},
		&target{name: "vippsauth, warm session", process: b.service, requests: [][]byte{b.forwardAuth(b.serviceAddr, b.cookie)}, status: "200", identity: true})
}

// manyCookies is the same with so many people that their sessions aren't in the processor's own cache.
func (b *bench) manyCookies() error {
	log.Println("making", tenThousand, "sessions")
	cookies, err := b.logIn(b.serviceAddr, tenThousand)
	if err != nil {
		return err
	}
	bare := &target{name: "bare handler, 202", process: b.bare, status: "202"}
	ours := &target{name: "vippsauth, 10,000 sessions in turn", process: b.service, status: "200", identity: true}
	for _, cookie := range cookies {
		bare.requests = append(bare.requests, b.forwardAuth(b.bareAddr, cookie))
		ours.requests = append(ours.requests, b.forwardAuth(b.serviceAddr, cookie))
	}
	return b.compare("the same, 10,000 people", 1.80, b.requests, bare, ours)
}

// forwardAuth is a question as Traefik's ForwardAuth asks it: the browser's own headers, what the entry point adds
// (pkg/middlewares/forwardedheaders/forwarded_header.go) and what the middleware says (pkg/middlewares/auth/forward.go).
func (b *bench) forwardAuth(addr, cookie string) []byte {
	return []byte("GET /_vipps/authz/forward-auth HTTP/1.1\r\nHost: " + addr + "\r\nX-Ratio-Addr: " + addr +
		"\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: " + b.serviceAddr + "\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Port: 80" +
		"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Server: traefik\r\nX-Forwarded-Uri: /orders?page=2\r\nX-Real-Ip: 203.0.113.7\r\n" + browserHeaders(cookie))
}
