package integration_test

import (
	"net/http"
	"testing"
)

// authRequestStandIn does what haproxy-auth-request's action auth-intercept does, which is not at hand here. Its rules, by
// github.com/TimWolla/haproxy-auth-request: six arguments (test/headers_request.vtc, headers_succeed.vtc, headers_fail.vtc);
// every header of the request goes along with "*", but never Host and Content-Length; txn.auth_response_successful is true
// for 2xx, txn.auth_response_code is the status, and 500 when there is no valid answer, which lets HAProxy go on with the
// next rule (README.md, "The Details"); headers of a 2xx that fit the fifth argument replace the request's; with "*" as
// the sixth any other answer ends the request as it is, body included (test/headers_fail.vtc).
const authRequestStandIn = `
core.register_action("auth-intercept", { "http-req" }, function(txn, be, path, method, hdr_req, hdr_succeed, hdr_fail)
	assert(method == "GET" and hdr_req == "*" and hdr_succeed == "x-vipps-*" and hdr_fail == "*")
	txn:set_var("txn.auth_response_successful", false)
	txn:set_var("txn.auth_response_code", 500)
	local _, server = next(core.backends[be].servers)
	local headers = txn.http:req_get_headers()
	headers["host"], headers["content-length"] = { server:get_addr() }, nil
	local res = core.httpclient():get { url = "http://" .. server:get_addr() .. path, headers = headers, timeout = 2000 }
	if not res.status or res.status == 0 or res.status >= 500 then return end
	txn:set_var("txn.auth_response_code", res.status)
	if res.status >= 200 and res.status < 300 then
		txn:set_var("txn.auth_response_successful", true)
		for name, list in pairs(res.headers) do
			if name:find("^x%-vipps%-") then
				local values = { list[0] }
				for _, v in ipairs(list) do values[#values + 1] = v end
				txn.http:req_set_header(name, table.concat(values, ","))
			end
		end
		return
	end
	local reply = txn:reply { status = res.status, body = res.body }
	for name, list in pairs(res.headers) do
		for _, v in pairs(list) do reply:add_header(name, v) end
	end
	txn:done(reply)
end, 6)`

// The lines for haproxy-auth-request, with the stand-in in its place.
func TestHAProxyAuthRequest(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	runHAProxy(t, f, "haproxy/haproxy-auth-request.cfg", "/etc/haproxy/lua/auth-request.lua", write(t, "auth-request.lua", authRequestStandIn))
	conforms(t, f, differs{})

	b := f.loggedIn()
	f.service.end()
	hits := f.app.hits()
	for _, b := range []*browser{b, f.browser()} {
		if a := b.send(http.MethodGet, f.origin+"/", navigation(), nil); a.StatusCode != http.StatusServiceUnavailable || f.app.hits() != hits {
			t.Errorf("service down: %d %s", a.StatusCode, a.text)
		}
	}
}
