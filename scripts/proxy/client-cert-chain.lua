-- For haproxy.cfg: HAProxy has the certificates that follow the client's own as
-- DER, one behind the other, and RFC 9440 section 2.3 wants a list of byte
-- sequences, ":base64:, :base64:". This fetch writes that list.
core.register_fetches("client_cert_chain", function(txn)
	local rest, list = txn.f:ssl_c_chain_der() or "", {}
	-- A certificate is a SEQUENCE (0x30) of 256 to 65535 bytes (0x82, two bytes
	-- of length); what is none ends the list.
	while rest:byte(1) == 0x30 and rest:byte(2) == 0x82 and #rest >= 4 do
		local size = 4 + rest:byte(3) * 256 + rest:byte(4)
		table.insert(list, ":" .. txn.c:base64(rest:sub(1, size)) .. ":")
		rest = rest:sub(size + 1)
	end
	return table.concat(list, ", ")
end)
