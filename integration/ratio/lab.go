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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// lab is everything that a measurement needs, started for real.
type lab struct {
	dir     string
	scopes  string
	binary  string
	vipps   *emulator.Server
	started []*process

	bare        *process // answers 202
	bareAddr    string
	app         *process // what the proxies pass requests on to
	appAddr     string
	service     *process
	serviceAddr string
	rpcAddr     string
	fcgiAddr    string
	cookie      string

	moduleAddr  string // a site of Caddy with vipps_auth
	sidecarAddr string
}

type process struct {
	name string
	cmd  *exec.Cmd
}

func newLab(dir, scopes string) (*lab, error) {
	l := &lab{
		dir: dir, scopes: scopes, binary: filepath.Join(dir, "vippsauth"),
		bareAddr: free(), appAddr: free(), serviceAddr: free(), rpcAddr: free(), fcgiAddr: free(),
		moduleAddr: free(), sidecarAddr: free(),
	}
	if err := build(l.binary, "./cmd/vippsauth"); err != nil {
		return nil, err
	}
	if err := l.start(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) start() error {
	if err := l.startVipps(l.serviceAddr, l.moduleAddr, l.sidecarAddr); err != nil {
		return err
	}
	var err error
	if l.bare, err = l.again("bare handler", l.bareAddr, "-serve", l.bareAddr); err != nil {
		return err
	}
	if l.app, err = l.again("app", l.appAddr, "-serve", l.appAddr); err != nil {
		return err
	}
	cmd, err := l.serve(l.binary, l.serviceAddr, "VIPPSAUTH_TRUSTED_PROXIES=loopback", "VIPPSAUTH_GRPC_LISTEN="+l.rpcAddr,
		"VIPPSAUTH_FCGI_LISTEN="+l.fcgiAddr, "VIPPSAUTH_SESSION_IDLE=8h")
	if err != nil {
		return err
	}
	if l.service, err = l.launch("vippsauth", cmd, l.serviceAddr); err != nil {
		return err
	}
	cookies, err := l.logIn(l.serviceAddr, 1)
	if err != nil {
		return err
	}
	l.cookie = cookies[0]
	return nil
}

// startVipps starts the emulator, which knows the sites at these addresses.
func (l *lab) startVipps(sites ...string) error {
	client := emulator.Client{ID: "ratio", Secret: "ratio-secret", Name: "Ratio"}
	for _, addr := range sites {
		client.RedirectURIs = append(client.RedirectURIs, "http://"+addr+"/_vipps/callback")
	}
	var err error
	l.vipps, err = emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Clients: []emulator.Client{client}})
	return err
}

// serve is the service for the site at addr, where it listens as well.
func (l *lab) serve(binary, addr string, settings ...string) (*exec.Cmd, error) {
	key, err := session.NewKey()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(os.Environ(), "VIPPSAUTH_ISSUER="+l.vipps.Issuer, "VIPPSAUTH_CLIENT_ID=ratio", "VIPPSAUTH_CLIENT_SECRET=ratio-secret",
		"VIPPSAUTH_PUBLIC_URL=http://"+addr, "VIPPSAUTH_LISTEN="+addr, "VIPPSAUTH_OPS_LISTEN="+free(), "VIPPSAUTH_COOKIE_KEYS="+key.Encode(),
		"VIPPSAUTH_ALLOW=anyone", "VIPPSAUTH_SCOPES="+l.scopes, "VIPPSAUTH_LOG_LEVEL=error")
	cmd.Env = append(cmd.Env, settings...)
	return cmd, nil
}

// again runs this program once more, as a server.
func (l *lab) again(name, addr string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return l.launch(name, exec.Command(self, args...), addr)
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

// page is a browser's own request, to a site at some address.
func page(addr, host, cookie string) []byte {
	return []byte("GET /orders?page=2 HTTP/1.1\r\nHost: " + host + "\r\nX-Ratio-Addr: " + addr + "\r\n" + browserHeaders(cookie))
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

// megabytes is the memory that the process holds, as the kernel counts it.
func (p *process) megabytes() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

func (l *lab) close() {
	for _, p := range l.started {
		p.end()
	}
	if l.vipps != nil {
		_ = l.vipps.Close()
	}
}

func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// launch starts a process, with one core for Go, and waits until it listens.
func (l *lab) launch(name string, cmd *exec.Cmd, addr string) (*process, error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing is left, however this process ends
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd}
	for range 5000 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			l.started = append(l.started, p)
			return p, nil
		}
		time.Sleep(time.Millisecond)
	}
	p.end()
	return nil, fmt.Errorf("%s did not listen on %s", name, addr)
}

// build builds a program as releases are built.
func build(out, pkg string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
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
