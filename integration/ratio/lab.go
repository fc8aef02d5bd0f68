//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const manyCookies = 10_000

// lab is everything that a measurement needs, started for real.
type lab struct {
	vipps       *emulator.Server
	bare        *process
	bareGRPC    *process
	service     *process
	caddy       *process
	bareAddr    string
	bareRPCAddr string
	rpcAddr     string
	serviceAddr string
	plainAddr   string
	moduleAddr  string
	cookies     []string
	caddyCookie string
	binary      string
	ready       time.Duration
	idleRSS     string
}

type process struct {
	name string
	cmd  *exec.Cmd
}

func newLab(dir, scopes string, withCaddy bool) (*lab, error) {
	l := &lab{binary: filepath.Join(dir, "vippsauth")}
	if err := build("./cmd/vippsauth", l.binary); err != nil {
		return nil, err
	}
	client := emulator.Client{ID: "ratio", Secret: "ratio-secret", Name: "Ratio", Scopes: nil}
	l.serviceAddr, l.plainAddr, l.moduleAddr, l.bareAddr, l.bareRPCAddr, l.rpcAddr = free(), free(), free(), free(), free(), free()
	for _, addr := range []string{l.serviceAddr, l.moduleAddr} {
		client.RedirectURIs = append(client.RedirectURIs, "http://"+addr+"/_vipps/callback")
	}
	var err error
	if l.vipps, err = emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Clients: []emulator.Client{client}}); err != nil {
		return nil, err
	}
	if err := l.start(dir, scopes, withCaddy); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) start(dir, scopes string, withCaddy bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if l.bare, err = run1("bare handler", exec.Command(self, "-serve", l.bareAddr), l.bareAddr); err != nil {
		return err
	}
	if l.bareGRPC, err = run1("bare gRPC service", exec.Command(self, "-serve-grpc", l.bareRPCAddr), l.bareRPCAddr); err != nil {
		return err
	}
	key, err := session.NewKey()
	if err != nil {
		return err
	}
	cmd := exec.Command(l.binary, "serve")
	cmd.Env = append(os.Environ(), "VIPPSAUTH_ISSUER="+l.vipps.Issuer, "VIPPSAUTH_CLIENT_ID=ratio", "VIPPSAUTH_CLIENT_SECRET=ratio-secret",
		"VIPPSAUTH_PUBLIC_URL=http://"+l.serviceAddr, "VIPPSAUTH_LISTEN="+l.serviceAddr, "VIPPSAUTH_OPS_LISTEN="+free(),
		"VIPPSAUTH_TRUSTED_PROXIES=loopback", "VIPPSAUTH_GRPC_LISTEN="+l.rpcAddr, "VIPPSAUTH_COOKIE_KEYS="+key.Encode(), "VIPPSAUTH_SESSION_IDLE=8h", "VIPPSAUTH_ALLOW=anyone",
		"VIPPSAUTH_SCOPES="+scopes, "VIPPSAUTH_LOG_LEVEL=error")
	begun := time.Now()
	if l.service, err = run1("vippsauth", cmd, l.serviceAddr); err != nil {
		return err
	}
	l.ready = time.Since(begun)
	time.Sleep(2 * time.Second)
	if l.idleRSS, err = l.service.rss(); err != nil {
		return err
	}
	log.Println("making", manyCookies, "sessions")
	if l.cookies, err = l.logIn(l.serviceAddr, manyCookies); err != nil {
		return err
	}
	if withCaddy {
		return l.startCaddy(dir, scopes)
	}
	return nil
}

func (l *lab) startCaddy(dir, scopes string) error {
	binary := filepath.Join(dir, "caddy")
	log.Println("building Caddy")
	if err := build("./cmd/caddy", binary); err != nil {
		return err
	}
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage file_system %[1]s/storage
	log {
		level ERROR
	}
}
http://%[2]s {
	reverse_proxy %[4]s
}
http://%[3]s {
	vipps_auth {
		issuer %[5]s
		client_id ratio
		client_secret ratio-secret
		public_url http://%[3]s
		scopes %[6]s
		session_idle 8h
		allow anyone
	}
	reverse_proxy %[4]s
}
`, dir, l.plainAddr, l.moduleAddr, l.bareAddr, l.vipps.Issuer, scopes)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var err error
	if l.caddy, err = run1("Caddy", cmd, l.moduleAddr); err != nil {
		return err
	}
	cookies, err := l.logIn(l.moduleAddr, 1)
	if err != nil {
		return err
	}
	l.caddyCookie = cookies[0]
	return nil
}

// logIn logs in once, as a browser would, and has the session sealed anew until there are n different cookies.
func (l *lab) logIn(addr string, n int) ([]string, error) {
	l.vipps.Control().AutoApprove("4790000001")
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	login := "http://" + addr + "/_vipps/login?rd=/page-"
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	answer, err := browser.Get(login + "0")
	if err != nil {
		return nil, err
	}
	_ = answer.Body.Close()
	site := &url.URL{Scheme: "http", Host: addr, Path: "/"}
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var cookies []string
	seen := map[string]bool{}
	for len(cookies) < n {
		cookie := sessionCookie(jar.Cookies(site))
		if cookie == "" || seen[cookie] {
			return nil, fmt.Errorf("no fresh session cookie after %d of them", len(cookies))
		}
		seen[cookie] = true
		cookies = append(cookies, cookie)
		answer, err := browser.Get(login + strconv.Itoa(len(cookies))) // another page each time: the same one thrice is a loop
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	return cookies, nil
}

func sessionCookie(cookies []*http.Cookie) string {
	for _, c := range cookies {
		if c.Name == "vippsauth" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// check is the question of a proxy for this cookie.
func (l *lab) check(addr, cookie string) []byte {
	return []byte("GET /_vipps/authz/forward-auth HTTP/1.1\r\nHost: " + addr + "\r\nX-Ratio-Addr: " + addr +
		"\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " + l.serviceAddr + "\r\nX-Forwarded-Uri: /orders?page=2\r\n" + browserHeaders(cookie))
}

// page is a browser's own request.
func (l *lab) page(addr, cookie string) []byte {
	return []byte("GET /orders?page=2 HTTP/1.1\r\nHost: " + addr + "\r\nX-Ratio-Addr: " + addr + "\r\n" + browserHeaders(cookie))
}

// browserHeaders are those of a navigation as Chromium sends them.
func browserHeaders(cookie string) string {
	return "Cache-Control: max-age=0\r\n" +
		"Sec-Ch-Ua: \"Chromium\";v=\"156\", \"Not)A;Brand\";v=\"8\"\r\nSec-Ch-Ua-Mobile: ?0\r\nSec-Ch-Ua-Platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n" +
		"Referer: http://localhost/\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: nb-NO,nb;q=0.9,en;q=0.8\r\nCookie: " + cookie + "\r\n\r\n"
}

// idle prints what the service needs when nobody asks.
func (l *lab) idle() error {
	info, err := os.Stat(l.binary)
	if err != nil {
		return err
	}
	after, err := l.service.rss()
	if err != nil {
		return err
	}
	fmt.Printf("memory: %s idle after its start, %s with %d sessions opened\n", l.idleRSS, after, manyCookies)
	fmt.Printf("binary: %.1f MB; ready %d ms after its start\n", float64(info.Size())/1e6, l.ready.Milliseconds())
	return nil
}

// rss is the memory that the process holds, as the kernel says it.
func (p *process) rss() (string, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest), nil
		}
	}
	return "", errors.New("no VmRSS in /proc")
}

func (l *lab) close() {
	for _, p := range []*process{l.bare, l.bareGRPC, l.service, l.caddy} {
		if p != nil {
			_ = p.cmd.Process.Signal(os.Interrupt)
			_ = p.cmd.Wait()
		}
	}
	if l.vipps != nil {
		_ = l.vipps.Close()
	}
}

// run1 starts a process with one core for Go and waits until it listens.
func run1(name string, cmd *exec.Cmd, addr string) (*process, error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing is left, however this process ends
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return &process{name: name, cmd: cmd}, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return nil, fmt.Errorf("%s did not listen on %s", name, addr)
}

func build(pkg, out string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveBare answers 202 and the names of the identity headers that arrived, so that the same handler serves as
// the bare measure, which gets none, and as the app behind Caddy.
func serveBare(addr string) {
	runtime.GOMAXPROCS(1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			echo(w, r)
			return
		}
		if r.URL.Path == "/orders" {
			w.WriteHeader(http.StatusOK)
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Vipps-") {
					_, _ = io.WriteString(w, name+"\n")
				}
			}
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		log.Fatal(err)
	}
}
