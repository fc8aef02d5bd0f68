package integration_test

import (
	"testing"
	"time"
)

// authRequestStandIn does what haproxy-auth-request's action auth-intercept does, which is not at hand here. Its rules, by
// github.com/TimWolla/haproxy-auth-request: nobody is asked while the server is down (README.md, "The Details"); six
// arguments (test/headers_request.vtc, headers_succeed.vtc, headers_fail.vtc); every header of the request goes along with
// "*", but never Host and Content-Length; txn.auth_response_successful is true for 2xx, txn.auth_response_code is the
// status, and 500 when there is no valid answer (README.md, "The Details"); headers of a 2xx that fit the fifth argument
// replace the request's, several of a name joined by commas; with "-" as the sixth HAProxy goes on with the next rule
// whatever the answer was (auth-request.lua, terminate_on_failure).
const authRequestStandIn = `
core.register_action("auth-intercept", { "http-req" }, function(txn, be, path, method, hdr_req, hdr_succeed, hdr_fail)
	assert(method == "GET" and hdr_req == "*" and hdr_succeed == "x-vipps-*" and hdr_fail == "-")
	txn:set_var("txn.auth_response_successful", false)
	txn:set_var("txn.auth_response_code", 500)
	local server
	for _, s in pairs(core.backends[be].servers) do server = s end
	if server:get_stats()["status"]:find("UP") ~= 1 then return end
	local headers = txn.http:req_get_headers()
	headers["host"], headers["content-length"] = { server:get_addr() }, nil
	local res = core.httpclient():get { url = "http://" .. server:get_addr() .. path, headers = headers, timeout = 2000 }
	if not res.headers then return end
	txn:set_var("txn.auth_response_code", res.status)
	if res.status < 200 or res.status >= 300 then return end
	for name, list in pairs(res.headers) do
		if name:find("^x%-vipps%-") then
			local values = { list[0] }
			for _, v in ipairs(list) do values[#values + 1] = v end
			txn.http:req_set_header(name, table.concat(values, ", "))
		end
	end
	txn:set_var("txn.auth_response_successful", true)
end, 6)`

// The lines for haproxy-auth-request, with the stand-in in its place.
func TestHAProxyAuthRequest(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	runHAProxy(t, f, "haproxy/haproxy-auth-request.cfg", "/etc/haproxy/lua/auth-request.lua", write(t, "auth-request.lua", authRequestStandIn))
	conforms(t, f, differs{name: "HAProxy, haproxy-auth-request (stand-in)", waits: 8 * time.Second})
}
