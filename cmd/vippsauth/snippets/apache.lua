-- vippsauth for Apache 2.4, beside vippsauth.conf. Apache can't tell headers by a pattern of their names; this does.
--
-- What is left of a client's X-Vipps- headers is refused, however it is spelt: many applications read X.Vipps.Sub or
-- X_Vipps-Sub as X-Vipps-Sub. Any other header whose name holds more than letters, digits and hyphens is taken out, as
-- nginx and Apache's own CGI do: it could pass for an identity header of another name, as Remote.User for Remote-User.
function strip(r)
	local odd = {}
	for name in pairs(r:headers_in_table()) do
		local spelt = name:find("[^%w-]") ~= nil
		if name:lower():find("^x[^%w]vipps[^%w]") and name:lower() ~= "x-vipps-proxy-secret" and (spelt or r.is_initial_req) then
			return 403 -- a request that Apache has sent on inside has ours already
		end
		if spelt then odd[#odd + 1] = name end
	end
	for _, name in ipairs(odd) do r.headers_in[name] = nil end
	return apache2.DECLINED
end
