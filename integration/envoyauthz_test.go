package integration_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
)

var discardLog = log.New(io.Discard, "", 0)

// check is the ext_authz filter. It reports whether the request goes on; if not, it has been answered.
func (s *envoyStandIn) check(reply *envoyReply, h lowerHeader, perRoute *extauthz.ExtAuthzPerRoute) bool {
	if s.filter.GetHttpService() != nil {
		return s.checkHTTP(reply, h)
	}
	return s.checkGRPC(reply, h, perRoute)
}

// failed is what a request gets that nobody could judge (api: ExtAuthz.failure_mode_allow and status_on_error; source:
// extensions/filters/http/ext_authz/ext_authz.cc, CheckStatus::Error).
func (s *envoyStandIn) failed(reply *envoyReply) bool {
	if s.filter.GetFailureModeAllow() {
		return true
	}
	status := http.StatusForbidden
	if code := s.filter.GetStatusOnError().GetCode(); code != 0 {
		status = int(code)
	}
	reply.send(status, "", nil, "UAEX")
	return false
}

// checkHTTP asks an HTTP service (source: extensions/filters/common/ext_authz/ext_authz_http_impl.cc, check).
func (s *envoyStandIn) checkHTTP(reply *envoyReply, h lowerHeader) bool {
	service := s.filter.GetHttpService()
	q := lowerHeader{}
	for name, values := range h {
		// api: HttpService and ExtAuthz.allowed_headers: Authorization, Method, Path and Host always, others when listed.
		if always := name == "authorization" || strings.HasPrefix(name, ":"); !always && !listMatches(s.t, s.filter.GetAllowedHeaders(), name) || name == "content-length" {
			continue
		}
		q[name] = slices.Clone(values)
		if !s.filter.GetEncodeRawHeaders() { // api: ExtAuthz.encode_raw_headers
			q[name] = []string{strings.Join(values, ",")}
		}
	}
	q.set("content-length", "0")
	for _, add := range service.GetAuthorizationRequest().GetHeadersToAdd() { // OVERWRITE_IF_EXISTS_OR_ADD
		q.apply(s.t, &core.HeaderValueOption{Header: add, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD})
	}
	q.set(":path", service.GetPathPrefix()+h.first(":path"))
	timeout := soon(service.GetServerUri().GetTimeout(), service.GetServerUri().GetTimeout() != nil)
	answer, body, err := askOverHTTP(s.clusters[service.GetServerUri().GetCluster()].addr, q, timeout)
	if err != nil || answer.StatusCode >= 500 { // toResponse: every 5xx is an error
		return s.failed(reply)
	}
	allowed := service.GetAuthorizationResponse()
	if answer.StatusCode == http.StatusOK { // and no other: toResponse
		for name, values := range answer.Header {
			for _, value := range values {
				if listMatches(s.t, allowed.GetAllowedUpstreamHeaders(), strings.ToLower(name)) {
					h.set(name, value) // overwrites, an empty one too
				}
			}
		}
		for _, line := range answer.Header["X-Envoy-Auth-Headers-To-Remove"] { // after it has set: ext_authz.cc, CheckStatus::OK
			for name := range strings.SplitSeq(line, ",") {
				removeHeader(h, strings.TrimSpace(name))
			}
		}
		return true
	}
	headers := lowerHeader{}
	for name, values := range answer.Header {
		name = strings.ToLower(name)
		// api: AuthorizationResponse.allowed_client_headers: without a list everything, with one some and those.
		listed := len(allowed.GetAllowedClientHeaders().GetPatterns()) == 0 || listMatches(s.t, allowed.GetAllowedClientHeaders(), name)
		if listed || slices.Contains([]string{"content-length", "www-authenticate", "location"}, name) {
			headers[name] = values
		}
	}
	reply.send(answer.StatusCode, body, headers, "UAEX")
	return false
}

// removeHeader removes what the service names, but for what a request can't be without (api: OkHttpResponse.headers_to_remove).
func removeHeader(h lowerHeader, name string) {
	if name = strings.ToLower(name); name != "host" && !strings.HasPrefix(name, ":") {
		delete(h, name)
	}
}

// askOverHTTP sends one question, byte by byte as it is.
func askOverHTTP(addr string, q lowerHeader, timeout time.Duration) (*http.Response, string, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(timeout))
	var b strings.Builder
	b.WriteString(q.first(":method") + " " + q.first(":path") + " HTTP/1.1\r\nhost: " + q.first(":authority") + "\r\n")
	for name, values := range q {
		for _, value := range values {
			if !strings.HasPrefix(name, ":") && name != "upgrade" && name != "connection" {
				b.WriteString(name + ": " + value + "\r\n")
			}
		}
	}
	if _, err := io.WriteString(conn, b.String()+"\r\n"); err != nil {
		return nil, "", err
	}
	w, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.first(":method")})
	if err != nil {
		return nil, "", err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body) // an answer that breaks off is none: common/http/async_client_impl.cc, onReset
	return w, string(body), err
}

// checkGRPC asks a gRPC service (source: extensions/filters/common/ext_authz/check_request_utils.cc, setHttpRequest, and
// ext_authz_grpc_impl.cc, onSuccess).
func (s *envoyStandIn) checkGRPC(reply *envoyReply, h lowerHeader, perRoute *extauthz.ExtAuthzPerRoute) bool {
	r := &auth.AttributeContext_HttpRequest{
		Method: h.first(":method"), Path: h.first(":path"), Host: h.first(":authority"), Scheme: h.first(":scheme"), Size: -1, Protocol: "HTTP/1.1",
	}
	if s.filter.GetEncodeRawHeaders() {
		r.HeaderMap = &core.HeaderMap{}
	} else {
		r.Headers = map[string]string{}
	}
	for name, values := range h { // the names that begin with ":" too
		if r.Headers != nil {
			r.Headers[name] = strings.ToValidUTF8(strings.Join(values, ","), "!")
			continue
		}
		for _, value := range values {
			r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	}
	service := s.filter.GetGrpcService()
	ctx, cancel := context.WithTimeout(s.t.Context(), soon(service.GetTimeout(), service.GetTimeout() != nil))
	defer cancel()
	sent := metadata.MD{}
	for _, m := range service.GetInitialMetadata() {
		if m.GetValue() != "" {
			sent.Append(m.GetKey(), m.GetValue())
		}
	}
	ctx = metadata.NewOutgoingContext(ctx, sent)
	answer, err := auth.NewAuthorizationClient(s.grpc).Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Request:           &auth.AttributeContext_Request{Http: r},
		ContextExtensions: perRoute.GetCheckSettings().GetContextExtensions(), // api: CheckSettings.context_extensions
	}})
	if err != nil || answer.GetStatus().GetCode() != 0 && answer.GetErrorResponse() != nil {
		return s.failed(reply)
	}
	validEnvoy(s.t, answer)
	if answer.GetStatus().GetCode() == 0 {
		ok := answer.GetOkResponse()
		for _, o := range ok.GetHeaders() {
			h.apply(s.t, o)
		}
		for _, name := range ok.GetHeadersToRemove() { // after it has set: ext_authz.cc, CheckStatus::OK
			removeHeader(h, name)
		}
		return true
	}
	no := answer.GetDeniedResponse()
	headers, older := lowerHeader{}, lowerHeader{}
	for _, o := range no.GetHeaders() {
		headers.apply(s.t, o)
		older.add(o.GetHeader().GetKey(), o.GetHeader().GetValue()) // before append_action was read, repeated entries were repeated lines
	}
	if !maps.EqualFunc(headers, older, slices.Equal[[]string]) {
		s.t.Errorf("Envoys of two ages make different answers of %v", no.GetHeaders())
	}
	status := http.StatusForbidden // api: DeniedHttpResponse.status
	if code := int(no.GetStatus().GetCode()); code != 0 {
		status = code
	}
	reply.send(status, no.GetBody(), headers, "UAEX")
	return false
}

// envoyReply is an answer of Envoy's own, to a request with this header.
type envoyReply struct {
	s       *envoyStandIn
	w       http.ResponseWriter
	request lowerHeader
}

// send is a local reply (source: common/http/utility.cc, sendLocalReply, and common/local_reply/local_reply.cc: the
// first mapper whose filter matches changes status, header and body).
func (l *envoyReply) send(status int, body string, headers lowerHeader, flag string) {
	h := lowerHeader{}
	if body != "" {
		h.set("content-type", "text/plain")
	}
	maps.Copy(h, headers)
	for _, m := range l.s.hcm.GetLocalReplyConfig().GetMappers() {
		if !l.matches(m.GetFilter(), status, flag) {
			continue
		}
		if code := m.GetStatusCode(); code != nil {
			status = int(code.GetValue())
		}
		for _, o := range m.GetHeadersToAdd() {
			h.apply(l.s.t, o)
		}
		if format := m.GetBodyFormatOverride(); format != nil {
			body = format.GetTextFormatSource().GetInlineString()
			if strings.Contains(body, "%") {
				l.s.t.Error("a percent sign in a page begins a command of Envoy's format")
			}
			h.set("content-type", format.GetContentType())
		}
		break
	}
	h.set("content-length", strconv.Itoa(len(body)))
	maps.Copy(l.w.Header(), h.header())
	l.w.WriteHeader(status)
	if l.request.first(":method") != http.MethodHead {
		_, _ = io.WriteString(l.w, body)
	}
}

// matches is api: config.accesslog.v3.AccessLogFilter.
func (l *envoyReply) matches(f *accesslog.AccessLogFilter, status int, flag string) bool {
	inner := func(f *accesslog.AccessLogFilter) bool { return l.matches(f, status, flag) }
	switch kind := f.GetFilterSpecifier().(type) {
	case *accesslog.AccessLogFilter_AndFilter:
		return !slices.ContainsFunc(kind.AndFilter.GetFilters(), func(f *accesslog.AccessLogFilter) bool { return !inner(f) })
	case *accesslog.AccessLogFilter_OrFilter:
		return slices.ContainsFunc(kind.OrFilter.GetFilters(), inner)
	case *accesslog.AccessLogFilter_StatusCodeFilter:
		value := int(kind.StatusCodeFilter.GetComparison().GetValue().GetDefaultValue())
		if kind.StatusCodeFilter.GetComparison().GetOp() == accesslog.ComparisonFilter_EQ {
			return status == value
		}
		return status >= value
	case *accesslog.AccessLogFilter_ResponseFlagFilter:
		return slices.Contains(kind.ResponseFlagFilter.GetFlags(), flag)
	case *accesslog.AccessLogFilter_HeaderFilter:
		m := kind.HeaderFilter.GetHeader()
		return stringMatches(l.s.t, m.GetStringMatch(), l.request.first(m.GetName())) != m.GetInvertMatch()
	}
	l.s.t.Errorf("the stand-in doesn't know %T", f.GetFilterSpecifier())
	return false
}
