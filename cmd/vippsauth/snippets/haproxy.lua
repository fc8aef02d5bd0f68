-- vippsauth for HAProxy 2.6 or later: one file, with HAProxy's own HTTP client and nothing else. Beside it: haproxy.cfg.
--
--   http-request lua.vippsauth BACKEND   asks a server of BACKEND that is up whether the request may pass
--   http-request lua.vippsauth-public    for requests that go to the application without being asked about
--
-- Both take away every header that an application could read as one of ours, our cookies, and any upgrade but that to a
-- websocket. Both set txn.vipps_allowed when they have done all that. If it isn't set, something went wrong and the
-- request must not pass: the configuration has to look, because HAProxy goes on with the next rule after an error in Lua.
--
-- What a configuration sets before (txn variables): vipps_scheme and vipps_host, the site as browsers see it; and where
-- needed vipps_policy, vipps_secret, and vipps_headers, the names of identity headers that don't begin with X-Vipps-:
-- a yes brings them along, but vippsauth-public knows them by this list only.

local ENDPOINT = "/_vipps/authz/forward-auth"
local MOST_HEADERS = 90 -- HAProxy's client sends none at all when there are more than tune.http.maxhdr, which is 101
local MOST_BODY = 14 * 1024 -- with its headers an answer has to fit into tune.bufsize, which is 16 KiB; our pages have 5
local TIMEOUT = 2000 -- milliseconds for an answer; HAProxy asks three times more when there is none

-- Header names as the most careless application reads them: X_Vipps.Sub is X-Vipps-Sub.
local function fold(name)
	return (name:lower():gsub("[^a-z0-9]", "-"))
end

-- The folded names of identity headers outside our prefix.
local function others(txn)
	local names = {}
	for name in (txn:get_var("txn.vipps_headers") or ""):gmatch("[^%s,]+") do
		names[fold(name)] = true
	end
	return names
end

local function ours(name, other)
	name = fold(name)
	return name:sub(1, 8) == "x-vipps-" or other[name] == true
end

-- The values of a header in their order. HAProxy's own lists begin at 0.
local function values(list)
	local indexes, sorted = {}, {}
	for i in pairs(list) do indexes[#indexes + 1] = i end
	table.sort(indexes)
	for _, i in ipairs(indexes) do sorted[#sorted + 1] = list[i] end
	return sorted
end

-- Headers of a client that could pass for ours are taken away, and ours are taken out of Connection, where they would
-- have the next proxy drop them.
local function strip(txn, other)
	for name, list in pairs(txn.http:req_get_headers()) do
		if ours(name, other) then
			txn.http:req_del_header(name)
		elseif name == "connection" then
			local kept = {}
			for _, line in ipairs(values(list)) do
				for token in line:gmatch("[^%s,]+") do
					if not ours(token, other) then kept[#kept + 1] = token end
				end
			end
			txn.http:req_del_header(name)
			if #kept > 0 then txn.http:req_set_header(name, table.concat(kept, ", ")) end
		end
	end
end

-- Websockets pass; no other protocol is upgraded to. Over h2c a client would talk to the application past us.
local function only_websockets(txn)
	local headers = txn.http:req_get_headers()
	local asked = values(headers["upgrade"] or {})
	txn.http:req_del_header("http2-settings")
	if #asked == 0 or #asked == 1 and asked[1]:lower() == "websocket" then return end
	txn.http:req_del_header("upgrade")
	txn.http:req_del_header("connection")
end

-- Our cookies are no business of the application's.
local function hide_cookies(txn)
	local lines = txn.http:req_get_headers()["cookie"]
	if not lines then return end
	txn.http:req_del_header("cookie")
	for _, line in ipairs(values(lines)) do
		local kept = {}
		for pair in line:gmatch("[^;]+") do
			pair = pair:match("^%s*(.-)%s*$")
			local name = pair:match("^[^=]*"):gsub("^__Host%-", ""):gsub("^__Secure%-", ""):match("^(.-)%s*$")
			if pair ~= "" and name ~= "vippsauth" and not name:match("^vippsauth[.-]") then kept[#kept + 1] = pair end
		end
		if #kept > 0 then txn.http:req_add_header("cookie", table.concat(kept, "; ")) end
	end
end

-- What a question never takes over from the request: what belongs to its connection and body, and what it says itself.
local OWN = {}
for name in ([[connection keep-alive proxy-connection proxy-authorization te trailer transfer-encoding upgrade http2-settings
	content-length expect accept-encoding host forwarded]]):gmatch("%S+") do
	OWN[name] = true
end

local function question(txn)
	local headers, count = {}, 0
	for name, list in pairs(txn.http:req_get_headers()) do
		local folded = fold(name)
		if not OWN[folded] and folded:sub(1, 12) ~= "x-forwarded-" and folded:sub(1, 11) ~= "x-original-" then
			headers[name] = values(list)
			count = count + #headers[name]
		end
	end
	assert(count <= MOST_HEADERS, "too many headers to ask about")
	local scheme, host = txn:get_var("txn.vipps_scheme"), txn:get_var("txn.vipps_host")
	assert(scheme and host, "txn.vipps_scheme or txn.vipps_host is not set")
	headers["host"] = { host }
	headers["x-forwarded-method"] = { txn.f:method() }
	headers["x-forwarded-proto"] = { scheme }
	headers["x-forwarded-host"] = { host }
	headers["x-forwarded-uri"] = { txn.f:pathq() } -- never url, which is absolute in HTTP/2
	headers["x-forwarded-for"] = { txn.f:src() }
	local secret = txn:get_var("txn.vipps_secret")
	if secret and secret ~= "" then headers["x-vipps-proxy-secret"] = { secret } end
	return headers
end

-- Where to ask: a server of the backend that isn't down, by the address that HAProxy has resolved itself.
local function server(backend)
	for _, s in pairs(assert(core.backends[backend], "no backend " .. backend).servers) do
		local status = s:get_stats()["status"] or ""
		if status == "no check" or status:sub(1, 2) == "UP" then
			local address = s:get_addr()
			if address:sub(1, 1) == "/" then return "127.0.0.1", "unix@" .. address end
			local host, port = address:match("^%[?(.-)%]?:(%d+)$")
			if host:find(":", 1, true) then host = "[" .. host .. "]" end
			return host .. ":" .. port, nil
		end
	end
	return nil
end

-- What the service said, when it was the service and said all of it; nil, and why, otherwise.
local function ask(txn, backend)
	local address, dst = server(backend)
	if not address then return nil, "no server is up" end
	local url = "http://" .. address .. ENDPOINT
	local policy = txn:get_var("txn.vipps_policy")
	if policy and policy ~= "" then url = url .. "/" .. policy end
	local answer = core.httpclient():get { url = url, dst = dst, headers = question(txn), timeout = TIMEOUT }
	if not answer or not answer.headers then return nil, "no answer" end
	local status, headers, body = answer.status or 0, answer.headers, answer.body or ""
	local length = values(headers["content-length"] or {})
	if #length ~= 1 or tonumber(length[1]) ~= #body then return nil, "an answer without its end, status " .. status end
	if #body > MOST_BODY then return nil, "an answer of " .. #body .. " bytes" end
	if status == 200 then
		local auth = values(headers["x-vipps-auth"] or {})
		if #auth ~= 1 or (auth[1] ~= "authenticated" and auth[1] ~= "anonymous") or body ~= "" then
			return nil, "a 200 that isn't vippsauth's"
		end
	elseif status < 300 or status == 304 or not table.concat(values(headers["cache-control"] or {}), ","):find("no-store", 1, true) then
		return nil, "status " .. status .. ", which isn't vippsauth's"
	end
	return { status = status, reason = answer.reason, headers = headers, body = body }
end

-- What is no identity header in a yes.
local ABOUT_THE_ANSWER = {}
for name in ([[cache-control connection content-length content-type date expires keep-alive pragma server set-cookie vary via
	x-request-id]]):gmatch("%S+") do
	ABOUT_THE_ANSWER[name] = true
end

-- The answer's identity headers become the request's, whatever their names, and replace the client's in every spelling.
-- One without a value is only taken away.
local function identify(txn, headers)
	local identity = {}
	for name, list in pairs(headers) do
		if not ABOUT_THE_ANSWER[name] then
			local all = values(list)
			if #all ~= 1 then return false end
			identity[fold(name)] = { name = name, value = all[1] }
		end
	end
	for name in pairs(txn.http:req_get_headers()) do
		if identity[fold(name)] then txn.http:req_del_header(name) end
	end
	for _, header in pairs(identity) do
		if header.value ~= "" then txn.http:req_set_header(header.name, header.value) end
	end
	return true
end

-- The service's answer is the client's: status, headers (each Set-Cookie too) and body.
local function refuse(txn, answer)
	local reply = txn:reply { status = answer.status, reason = answer.reason }
	for name, list in pairs(answer.headers) do
		if not OWN[name] or name == "content-length" then
			for _, value in ipairs(values(list)) do reply:add_header(name, value) end
		end
	end
	reply:set_body(answer.body)
	txn:done(reply)
end

core.register_action("vippsauth", { "http-req" }, function(txn, backend)
	strip(txn, others(txn))
	only_websockets(txn)
	local answer, why = ask(txn, backend)
	if not answer then
		txn:log(core.warning, "vippsauth: nobody passes: " .. why)
		return
	end
	if answer.status ~= 200 then
		refuse(txn, answer)
		return
	end
	if not identify(txn, answer.headers) then
		txn:log(core.warning, "vippsauth: nobody passes: an identity header came twice")
		return
	end
	hide_cookies(txn)
	txn:set_var("txn.vipps_allowed", true)
end, 1)

core.register_action("vippsauth-public", { "http-req" }, function(txn)
	strip(txn, others(txn))
	only_websockets(txn)
	hide_cookies(txn)
	txn:set_var("txn.vipps_allowed", true)
end)
