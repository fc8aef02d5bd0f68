package vippsauth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vippsauth/vippsauth"

// storeClients are the client libraries of session stores: one is to be imported in session/valkeystore only.
var storeClients = []string{
	"github.com/valkey-io/valkey-go", "github.com/redis/go-redis", "github.com/redis/rueidis", "github.com/gomodule/redigo",
	"github.com/bradfitz/gomemcache", "github.com/alicebob/miniredis", "database/sql",
}

const (
	caddy = "github.com/caddyserver/caddy"
	zap   = "go.uber.org/zap"

	extauthz = module + "/forwardauth/extauthz"
	envoy    = "github.com/envoyproxy/go-control-plane"
	grpc     = "google.golang.org/grpc"
)

// rule says which packages may not be in another's import graph, at any distance, tests aside.
type rule struct {
	name   string
	from   func(pkg string) bool // which of our packages it holds for
	forbid func(imported string) bool
	// atLeast is a package that the rule has to have been held against, so that a renamed one doesn't leave it idle.
	atLeast string
}

var rules = []rule{
	{
		name:    "vipps imports none of ours, and neither zap nor Caddy",
		from:    is("vipps"),
		forbid:  func(p string) bool { return ours(p) || within(p, zap) || within(p, caddy) },
		atLeast: "vipps",
	},
	{
		name:    "vipps/emulator does not import vipps, or both would be wrong in the same way",
		from:    is("vipps/emulator"),
		forbid:  func(p string) bool { return ours(p) && !within(p, module+"/vipps/emulator") },
		atLeast: "vipps/emulator",
	},
	{
		name:    "session imports none of ours, and no store client",
		from:    is("session"),
		forbid:  func(p string) bool { return ours(p) || anyWithin(p, storeClients) },
		atLeast: "session",
	},
	{
		name: "forwardauth imports neither Caddy nor a store client nor the emulator",
		from: is("forwardauth"),
		forbid: func(p string) bool {
			return within(p, caddy) || anyWithin(p, storeClients) || within(p, module+"/vipps/emulator") || within(p, module+"/session/valkeystore")
		},
		atLeast: "forwardauth",
	},
	{
		name:    "forwardauth knows no gRPC",
		from:    is("forwardauth"),
		forbid:  func(p string) bool { return within(p, grpc) || within(p, envoy) },
		atLeast: "forwardauth",
	},
	{
		name: "only cmd/vippsauth imports extauthz, and with it Envoy's types (Caddy has a gRPC of its own)",
		from: func(p string) bool {
			return product(p) && !within(p, extauthz) && !within(p, module+"/cmd/vippsauth")
		},
		forbid:  func(p string) bool { return within(p, extauthz) || within(p, envoy) },
		atLeast: "caddymodule",
	},
	{
		name:    "forwardauth/fcgi speaks a protocol, and imports none of ours",
		from:    is("forwardauth/fcgi"),
		forbid:  func(p string) bool { return ours(p) || within(p, zap) },
		atLeast: "forwardauth/fcgi",
	},
	{
		name: "merchant logins, webhooks and outgoing events know neither sites nor cookies: of ours they import vipps, session and what several stand on only",
		from: func(p string) bool { return is("outbox")(p) || is("merchant")(p) || is("webhook")(p) },
		forbid: func(p string) bool {
			return ours(p) && p != module+"/vipps" && p != module+"/session" && !shared(p) && !within(p, module+"/merchant") && !within(p, module+"/webhook") && !within(p, module+"/outbox")
		},
		atLeast: "outbox",
	},
	{
		name:    "what several packages stand on imports none of ours",
		from:    shared,
		forbid:  func(p string) bool { return ours(p) || within(p, zap) },
		atLeast: "internal/rate",
	},
	{
		name:    "internal/doctor looks from outside: of ours it imports vipps only",
		from:    is("internal/doctor"),
		forbid:  func(p string) bool { return ours(p) && !within(p, module+"/internal/doctor") && p != module+"/vipps" },
		atLeast: "internal/doctor",
	},
	{
		name: "only caddymodule and cmd/caddy import Caddy",
		from: func(p string) bool {
			return product(p) && !within(p, module+"/caddymodule") && !within(p, module+"/cmd/caddy")
		},
		forbid:  func(p string) bool { return within(p, caddy) || within(p, module+"/caddymodule") },
		atLeast: "cmd/vippsauth",
	},
	{
		name:    "testing is in no graph but sessiontest's",
		from:    func(p string) bool { return product(p) && p != module+"/session/sessiontest" },
		forbid:  func(p string) bool { return p == "testing" || strings.HasPrefix(p, "testing/") },
		atLeast: "cmd/caddy",
	},
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	g := loadImports(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			var held []string
			for pkg := range g {
				if !ours(pkg) || !r.from(pkg) {
					continue
				}
				held = append(held, pkg)
				if chain := g.chain(pkg, r.forbid); chain != nil {
					t.Errorf("%s; but there is the chain\n\t%s", r.name, strings.Join(chain, "\n\t  imports "))
				}
			}
			if !slices.Contains(held, module+"/"+r.atLeast) {
				t.Errorf("the rule was not held against %s: is it gone, or does it not build?", r.atLeast)
			}
		})
	}
}

// TestImportRulesBreak breaks each kind of rule in a graph made up for it: a rule that nothing can break guards nothing.
func TestImportRulesBreak(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		graph imports
		from  string
		want  string // the chain, and by it the rule that is broken
	}{
		"vipps, zap":            {imports{"vipps": {"x.test/log"}, "x.test/log": {"go.uber.org/zap/zapcore"}}, "vipps", "vipps > x.test/log > go.uber.org/zap/zapcore"},
		"vipps, session":        {imports{"vipps": {"fmt", "session"}}, "vipps", "vipps > session"},
		"emulator, vipps":       {imports{"vipps/emulator": {"vipps"}}, "vipps/emulator", "vipps/emulator > vipps"},
		"session, redis":        {imports{"session": {"github.com/redis/go-redis/v9"}}, "session", "session > github.com/redis/go-redis/v9"},
		"forwardauth, emulator": {imports{"forwardauth": {"vipps", "vipps/emulator"}, "vipps": nil}, "forwardauth", "forwardauth > vipps/emulator"},
		"forwardauth, gRPC":     {imports{"forwardauth": {"x.test/rpc"}, "x.test/rpc": {"google.golang.org/grpc/codes"}}, "forwardauth", "forwardauth > x.test/rpc > google.golang.org/grpc/codes"},
		"caddymodule, extauthz": {imports{"caddymodule": {"forwardauth/extauthz"}}, "caddymodule", "caddymodule > forwardauth/extauthz"},
		"fcgi, session":         {imports{"forwardauth/fcgi": {"session"}}, "forwardauth/fcgi", "forwardauth/fcgi > session"},
		"cmd, caddy":            {imports{"cmd/vippsauth": {"forwardauth"}, "forwardauth": {"github.com/caddyserver/caddy/v2"}}, "cmd/vippsauth", "cmd/vippsauth > forwardauth > github.com/caddyserver/caddy/v2"},
		"caddy, testing":        {imports{"cmd/caddy": {"net/http/httptest"}, "net/http/httptest": {"testing"}}, "cmd/caddy", "cmd/caddy > net/http/httptest > testing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := imports{}
			for pkg, list := range tc.graph {
				full := make([]string, len(list))
				for i, p := range list {
					full[i] = qualify(p)
				}
				g[qualify(pkg)] = full
			}
			var chains []string
			for _, r := range rules {
				if from := qualify(tc.from); r.from(from) {
					chains = append(chains, strings.ReplaceAll(strings.Join(g.chain(from, r.forbid), " > "), module+"/", ""))
				}
			}
			if !slices.Contains(chains, tc.want) {
				t.Errorf("chains found: %q, want %q", chains, tc.want)
			}
		})
	}
}

// imports is the import graph, tests left out: package → what it imports.
type imports map[string][]string

// loadImports asks the go command, which knows build constraints and vendored paths.
func loadImports(t *testing.T) imports {
	t.Helper()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not in PATH, and the import graph is its to tell")
	}
	cmd := exec.CommandContext(t.Context(), goCommand, "list", "-deps", "-json=ImportPath,Imports,ImportMap", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	g := imports{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
			ImportMap  map[string]string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("reading go list's answer: %v", err)
		}
		for i, imported := range p.Imports {
			if mapped, ok := p.ImportMap[imported]; ok {
				p.Imports[i] = mapped
			}
		}
		g[p.ImportPath] = p.Imports
	}
}

// chain is the shortest way from pkg to a forbidden package, both included; nil if there is none.
func (g imports) chain(pkg string, forbid func(imported string) bool) []string {
	cameFrom := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]] {
			if _, seen := cameFrom[next]; seen {
				continue
			}
			cameFrom[next] = queue[0]
			if forbid(next) {
				var chain []string
				for p := next; p != ""; p = cameFrom[p] {
					chain = append(chain, p)
				}
				slices.Reverse(chain)
				return chain
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func is(rel string) func(string) bool { return func(pkg string) bool { return pkg == module+"/"+rel } }

func ours(pkg string) bool { return within(pkg, module) }

// shared is what several packages stand on: all that is internal but a command's own.
func shared(pkg string) bool {
	return within(pkg, module+"/internal") && !within(pkg, module+"/internal/doctor")
}

// product is what users run and import: ours, but for what only tests and benchmarks start.
func product(pkg string) bool { return ours(pkg) && !within(pkg, module+"/integration") }

func within(pkg, prefix string) bool { return pkg == prefix || strings.HasPrefix(pkg, prefix+"/") }

func anyWithin(pkg string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return within(pkg, p) })
}

// qualify writes a short name out: our packages by their folder, all others as they are.
func qualify(pkg string) string {
	for _, room := range []string{"vipps", "session", "forwardauth", "caddymodule", "cmd"} {
		if within(pkg, room) {
			return module + "/" + pkg
		}
	}
	return pkg
}
