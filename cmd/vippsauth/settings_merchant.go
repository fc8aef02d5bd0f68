package main

// merchantSettings are the settings of logins that a merchant starts.
type merchantSettings struct {
	callers, operators, scopes  []string
	limit, callerLimit, file    string
	listen                      string
	certificate, key, authority string // files
}

const groupMerchant = "Merchant logins"

func merchantTable() []setting {
	g := groupMerchant
	return []setting{
		{
			key: "merchant_callers", group: g, values: "`name=sha256:<hex>`, which `vippsauth keygen --token` prints, or `name=certificate:<common name>`", note: "none: the API is off",
			private: true, list: commas,
			doc: "the programs that may start logins with a phone number",
			set: list(func(c *config) *[]string { return &c.merchant.callers }),
		},
		{
			key: "merchant_operators", group: g, values: "phone numbers and `sub`s, or files of them, as in `allow`", note: "none: the operator page is off",
			private: true, list: commas,
			doc: "the people who may start such logins by hand, at /_vipps/merchant/",
			set: list(func(c *config) *[]string { return &c.merchant.operators }),
		},
		{
			key: "merchant_scopes", group: g, values: "space-separated, as `openid name phoneNumber`", note: "those of `scopes`", list: spaces,
			doc: "what such a login may ask the person for, and asks for unless its caller says less",
			set: list(func(c *config) *[]string { return &c.merchant.scopes }),
		},
		{
			key: "merchant_limit", group: g, values: "a number and the time in which that many come back; `off`", def: "3/10m",
			doc: "how many such logins may be started for one phone number, by all callers together; more get 429",
			set: text(func(c *config) *string { return &c.merchant.limit }),
		},
		{
			key: "merchant_caller_limit", group: g, values: "as `merchant_limit`", def: "60/1m",
			doc: "how many such logins one caller or operator may start",
			set: text(func(c *config) *string { return &c.merchant.callerLimit }),
		},
		{
			key: "merchant_file", group: g, values: "a path in a directory that can be written to; one process uses it", note: "none: a restart loses both",
			doc: "where such logins are kept while they wait, sealed, so that they go on after a restart, and what `merchant_limit` has counted",
			set: text(func(c *config) *string { return &c.merchant.file }),
		},
		{
			key: "merchant_listen", group: g, values: "address", note: "none",
			doc: "a TLS listener for the callers that show a certificate",
			set: address(func(c *config) *string { return &c.merchant.listen }),
		},
		{
			key: "merchant_tls_certificate", group: g, values: "a path, PEM; re-read on change", note: "required with `merchant_listen`",
			doc: "the certificate of that listener, with the chain behind it",
			set: text(func(c *config) *string { return &c.merchant.certificate }),
		},
		{
			key: "merchant_tls_key", group: g, values: "a path, PEM; re-read on change", note: "required with `merchant_listen`",
			doc: "the key of that certificate",
			set: text(func(c *config) *string { return &c.merchant.key }),
		},
		{
			key: "merchant_client_ca", group: g, values: "a path, PEM; re-read on change", note: "required with `merchant_listen`",
			doc: "who signs the certificates of callers: an authority for nothing else",
			set: text(func(c *config) *string { return &c.merchant.authority }),
		},
	}
}

// offersMerchantLogins reports whether anybody may start logins with a phone number.
func (c *config) offersMerchantLogins() bool {
	return len(c.merchant.callers) > 0 || len(c.merchant.operators) > 0
}

// merchantScopes are those that may be asked for.
func (c *config) merchantScopes() []string {
	if len(c.merchant.scopes) > 0 {
		return c.merchant.scopes
	}
	return c.all()[0].scopes
}
