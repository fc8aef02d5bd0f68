package caddymodule

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"golang.org/x/net/idna"
)

// siteBlock is what a directive can learn of the block of a Caddyfile in which it stands.
type siteBlock struct {
	keys   []string // the addresses, as written
	where  string   // file and line of the first; it tells site blocks apart
	blocks []string // the opening lines of the blocks around the directive within the site, outermost first
}

// blockOf finds the site block of a directive. Caddy has it but doesn't export it, so it is read by reflection,
// which changes nothing; ok is false if a later Caddy keeps it elsewhere, and then callers do without.
func blockOf(h httpcaddyfile.Helper) (b siteBlock, ok bool) {
	parent := reflect.ValueOf(h).FieldByName("parentBlock")
	if parent.Kind() != reflect.Struct {
		return b, false
	}
	keys, segments := parent.FieldByName("Keys"), parent.FieldByName("Segments")
	if keys.Kind() != reflect.Slice || segments.Kind() != reflect.Slice {
		return b, false
	}
	addresses := readTokens(keys)
	for i, t := range addresses {
		if i == 0 {
			b.where = fmt.Sprintf("%s:%d", t.File, t.Line)
		}
		b.keys = append(b.keys, t.Text)
	}
	for i := range segments.Len() {
		tokens := readTokens(segments.Index(i))
		blocks, found := enclosing(tokens, h.Token())
		if !found || len(blocks) < len(b.blocks) {
			continue
		}
		// By now Caddy has taken the matcher of the outermost block away, in place, which doubles the last token.
		if n := len(tokens); len(blocks) > 0 && n > 1 && tokens[n-1] == tokens[n-2] {
			blocks[0] += " <matcher>"
		}
		b.blocks = blocks
	}
	return b, len(b.keys) > 0
}

// token is the exported part of a caddyfile.Token.
type token struct {
	File string
	Line int
	Text string
}

func readTokens(v reflect.Value) []token {
	tokens := make([]token, 0, v.Len())
	for i := range v.Len() {
		file, line, text := v.Index(i).FieldByName("File"), v.Index(i).FieldByName("Line"), v.Index(i).FieldByName("Text")
		if file.Kind() != reflect.String || line.Kind() != reflect.Int || text.Kind() != reflect.String {
			return nil
		}
		tokens = append(tokens, token{File: file.String(), Line: int(line.Int()), Text: text.String()})
	}
	return tokens
}

// enclosing returns the opening lines of the blocks around a directive in a segment, outermost first.
func enclosing(tokens []token, directive caddyfile.Token) (blocks []string, found bool) {
	for i := 0; i < len(tokens); {
		end := i + 1
		for end < len(tokens) && tokens[end].Line == tokens[i].Line && tokens[end].File == tokens[i].File {
			end++
		}
		line := tokens[i:end]
		i = end
		first, last := line[0], line[len(line)-1]
		switch {
		case first.Text == directiveName && first.File == directive.File && first.Line == directive.Line:
			return slices.Clone(blocks), true
		case first.Text == "}" && len(blocks) > 0:
			blocks = blocks[:len(blocks)-1]
		case last.Text == "{":
			words := make([]string, 0, len(line))
			for _, t := range line[:len(line)-1] {
				words = append(words, t.Text)
			}
			blocks = append(blocks, strings.Join(words, " "))
		}
	}
	return nil, false
}

// publicURLs derives the origins of a site from its addresses.
func publicURLs(keys []string, httpPort, httpsPort string) ([]string, error) {
	var urls, plain []string
	for _, key := range keys {
		addr, err := httpcaddyfile.ParseAddress(key)
		if err != nil {
			return nil, fmt.Errorf("the site address %q can't be read", key)
		}
		addr = addr.Normalize()
		host, err := asciiHost(addr.Host)
		switch {
		case err != nil || host == "" || host == "0.0.0.0" || host == "::" || strings.ContainsAny(host, "*{}"):
			return nil, fmt.Errorf("the site address %q names no single host", key)
		case addr.Path != "" && addr.Path != "/":
			return nil, fmt.Errorf("the site address %q has a path, and the login's own pages are outside of it", key)
		}
		scheme, port := "https", addr.Port
		if addr.Scheme == "http" || addr.Scheme == "" && addr.Port == httpPort {
			scheme = "http"
		}
		if isLoopback(host) && port == "" {
			// Nothing stands between a browser on this machine and the port that Caddy listens on.
			port = map[string]string{"http": httpPort, "https": httpsPort}[scheme]
		}
		url := origin(scheme, host, port)
		if scheme == "http" && !isLoopback(host) {
			plain = append(plain, url)
			continue
		}
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	for _, url := range plain {
		// A site that is there in both is logged in to over https.
		if !slices.Contains(urls, "https"+strings.TrimPrefix(url, "http")) {
			return nil, fmt.Errorf("%s is not https: if TLS ends in front of this server, say what browsers see", url)
		}
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("the site has no address")
	}
	return urls, nil
}

// asciiHost is the form of a host that browsers send.
func asciiHost(host string) (string, error) {
	if net.ParseIP(host) != nil || !strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return host, nil
	}
	return idna.Lookup.ToASCII(host)
}

func origin(scheme, host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + port
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func portOption(h httpcaddyfile.Helper, name string, standard int) string {
	if port, ok := h.Option(name).(int); ok {
		standard = port
	}
	return strconv.Itoa(standard)
}
