package integration_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc"
)

const extAuthzFilter = "envoy.filters.http.ext_authz"

// envoyStandIn does what Envoy's documentation and source say that its connection manager, its router and its ext_authz
// filter do with a request. Envoy itself can't be had from Debian or as a Go module. Each rule names where it is from:
// "api:" is a message of data-plane-api, whose comments are Envoy's reference documentation, "source:" is a file of
// envoyproxy/envoy.
type envoyStandIn struct {
	*envoyConfig
	t    *testing.T
	grpc *grpc.ClientConn
}

// lowerHeader holds header fields by lower-case name, as Envoy does (source: envoy/http/header_map.h, LowerCaseString).
type lowerHeader map[string][]string

func (h lowerHeader) set(name, value string) { h[strings.ToLower(name)] = []string{value} }

func (h lowerHeader) add(name, value string) {
	h[strings.ToLower(name)] = append(h[strings.ToLower(name)], value)
}

func (h lowerHeader) first(name string) string {
	if len(h[name]) == 0 {
		return ""
	}
	return h[name][0]
}

// header is the same for net/http.
func (h lowerHeader) header() http.Header {
	canonical := http.Header{}
	for name, values := range h {
		if !strings.HasPrefix(name, ":") {
			canonical[http.CanonicalHeaderKey(name)] = values
		}
	}
	return canonical
}

// apply carries out one entry of a list of headers (api: config.core.v3.HeaderValueOption.append_action).
func (h lowerHeader) apply(t *testing.T, o *core.HeaderValueOption) {
	switch name, value := o.GetHeader().GetKey(), o.GetHeader().GetValue(); o.GetAppendAction() {
	case core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		if value != "" || o.GetKeepEmptyValue() { // source: common/router/header_parser.cc, evaluateHeaders
			h.set(name, value)
		}
	case core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		h.add(name, value)
	default:
		t.Errorf("the stand-in doesn't know %s", o.GetAppendAction())
	}
}

func (s *envoyStandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, ok := s.received(r)
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	reply := &envoyReply{s: s, w: w, request: h}
	matched := s.route(h)
	if matched == nil { // source: common/router/router.cc, "route_not_found"
		reply.send(http.StatusNotFound, "", nil, "NR")
		return
	}
	perRoute := s.perRoute(matched)
	if !perRoute.GetDisabled() && !s.check(reply, h, perRoute) {
		return
	}
	if direct := matched.GetDirectResponse(); direct != nil { // by the router, behind ext_authz
		reply.send(int(direct.GetStatus()), direct.GetBody().GetInlineString(), nil, "")
		return
	}
	for _, o := range matched.GetRequestHeadersToAdd() { // source: common/router/router.cc: finalizeRequestHeaders, behind ext_authz
		h.apply(s.t, o)
	}
	s.forward(reply, r, h, matched.GetRoute())
}

// received is the request's header as filters see it, or not ok where the connection manager refuses it.
func (s *envoyStandIn) received(r *http.Request) (lowerHeader, bool) {
	h := lowerHeader{}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && s.upgrades("websocket")
	for name, values := range r.Header {
		if strings.Contains(name, "_") {
			switch s.hcm.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction() { // api: HttpProtocolOptions.HeadersWithUnderscoresAction
			case core.HttpProtocolOptions_DROP_HEADER:
				continue
			case core.HttpProtocolOptions_REJECT_REQUEST:
				return nil, false
			default:
			}
		}
		for _, value := range values {
			h.add(name, value)
		}
	}
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "upgrade"} {
		if name != "upgrade" && name != "connection" || !upgrade { // source: common/http/conn_manager_utility.cc, mutateRequestHeaders
			delete(h, name)
		}
	}
	if upgrade {
		h.set("connection", "upgrade")
	}
	path, ok := s.normalized(r.RequestURI)
	if !ok {
		return nil, false
	}
	h.set(":path", path)
	h.set(":method", r.Method)
	h.set(":authority", r.Host)
	if s.hcm.GetUseRemoteAddress().GetValue() { // api: HttpConnectionManager.use_remote_address; source: conn_manager_utility.cc
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		h.set("x-forwarded-for", strings.TrimPrefix(h.first("x-forwarded-for")+","+peer, ","))
		h.set("x-forwarded-proto", "http") // of the connection
	}
	h.set(":scheme", h.first("x-forwarded-proto"))
	for _, e := range s.early { // api: early_header_mutation_extensions: before any routing, tracing, or any filter
		for _, m := range e.GetMutations() {
			for name := range h {
				if name == m.GetRemove() || m.GetRemoveOnMatch() != nil && stringMatches(s.t, m.GetRemoveOnMatch().GetKeyMatcher(), name) {
					delete(h, name)
				}
			}
		}
	}
	return h, true
}

func (s *envoyStandIn) upgrades(kind string) bool {
	return slices.ContainsFunc(s.hcm.GetUpgradeConfigs(), func(u *hcm.HttpConnectionManager_UpgradeConfig) bool { return u.GetUpgradeType() == kind })
}

var manySlashes = regexp.MustCompile(`/{2,}`)

// normalized is the path as filters and routes see it (api: normalize_path, merge_slashes and
// path_with_escaped_slashes_action; source: common/http/path_utility.cc). The query is left alone.
func (s *envoyStandIn) normalized(target string) (string, bool) {
	path, query, hasQuery := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return target, true
	}
	if regexp.MustCompile(`(?i)%(2f|5c)`).MatchString(path) && s.hcm.GetPathWithEscapedSlashesAction() == hcm.HttpConnectionManager_REJECT_REQUEST {
		return "", false
	}
	if s.hcm.GetNormalizePath().GetValue() {
		path = strings.ReplaceAll(path, `\`, "/")
		var kept []string
		segments := strings.Split(path[1:], "/")
		for i, segment := range segments {
			last := i == len(segments)-1
			switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
			case ".":
			case "..":
				kept = kept[:max(len(kept)-1, 0)]
			default:
				kept = append(kept, segment)
				continue
			}
			if last {
				kept = append(kept, "")
			}
		}
		path = "/" + strings.Join(kept, "/")
	}
	if s.hcm.GetMergeSlashes() {
		path = manySlashes.ReplaceAllString(path, "/")
	}
	if hasQuery {
		path += "?" + query
	}
	return path, true
}

// route is the first of the virtual host that matches (api: config.route.v3.VirtualHost.domains and .routes).
func (s *envoyStandIn) route(h lowerHeader) *route.Route {
	path, _, _ := strings.Cut(h.first(":path"), "?")
	for _, host := range s.hosts {
		if !slices.Contains(host.GetDomains(), strings.ToLower(h.first(":authority"))) && !slices.Contains(host.GetDomains(), "*") {
			continue
		}
		for _, r := range host.GetRoutes() {
			m := r.GetMatch()
			if m.GetPath() != "" && path == m.GetPath() || m.GetPrefix() != "" && strings.HasPrefix(path, m.GetPrefix()) {
				return r
			}
		}
	}
	return nil
}

func (s *envoyStandIn) perRoute(r *route.Route) *extauthz.ExtAuthzPerRoute {
	packed := r.GetTypedPerFilterConfig()[extAuthzFilter]
	if packed == nil {
		return nil
	}
	return unpack[*extauthz.ExtAuthzPerRoute](s.t, packed)
}

// forward is the router: it sends the request on, and answers itself when nobody else does.
func (s *envoyStandIn) forward(reply *envoyReply, r *http.Request, h lowerHeader, action *route.RouteAction) {
	to := s.clusters[action.GetCluster()]
	path, query, hasQuery := strings.Cut(h.first(":path"), "?")
	if timeout := action.GetTimeout().AsDuration(); timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: "http", Host: to.addr, Opaque: path, RawQuery: query, ForceQuery: hasQuery && query == ""}
			p.Out.Host, p.Out.Header = h.first(":authority"), h.header()
			if h.first("upgrade") != "" {
				p.Out.Header["Connection"], p.Out.Header["Upgrade"] = []string{"Upgrade"}, h["upgrade"]
			}
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { // source: common/router/router.cc: UF with 503, UT with 504
			if r.Context().Err() != nil {
				reply.send(http.StatusGatewayTimeout, "upstream request timeout", nil, "UT")
				return
			}
			reply.send(http.StatusServiceUnavailable, "upstream connect error or disconnect/reset before headers", nil, "UF")
		},
		ErrorLog: discardLog,
	}).ServeHTTP(reply.w, r)
}

// stringMatches reports whether a string is one that m means (api: type.matcher.v3.StringMatcher; a regular expression has
// to match the whole of it).
func stringMatches(t *testing.T, m *matcher.StringMatcher, s string) bool {
	switch kind := m.GetMatchPattern().(type) {
	case *matcher.StringMatcher_Exact:
		return s == kind.Exact
	case *matcher.StringMatcher_Prefix:
		return strings.HasPrefix(s, kind.Prefix)
	case *matcher.StringMatcher_SafeRegex:
		return regexp.MustCompile(`^(?:` + kind.SafeRegex.GetRegex() + `)$`).MatchString(s)
	}
	t.Errorf("the stand-in doesn't know %T", m.GetMatchPattern())
	return false
}

func listMatches(t *testing.T, list *matcher.ListStringMatcher, s string) bool {
	return slices.ContainsFunc(list.GetPatterns(), func(m *matcher.StringMatcher) bool { return stringMatches(t, m, s) })
}

// soon is a timeout of the configuration, or Envoy's own for ext_authz (api: core.v3.HttpUri.timeout, GrpcService.timeout;
// the documentation of the filter: 200 ms).
func soon(d interface{ AsDuration() time.Duration }, set bool) time.Duration {
	if set {
		return d.AsDuration()
	}
	return 200 * time.Millisecond
}
