package main

import "time"

func loginSettings() []setting {
	g := groupLogin
	return []setting{
		{
			key: "silent", group: g, values: "`first`, `off`", def: "first",
			doc: "whether Vipps is first asked without a dialogue, for those whom it remembers",
			set: oneOf(func(c *config) *string { return &c.silent }, "first", "off"),
		},
		{
			key: "silent_retry", group: g, values: "a duration", def: "15m",
			doc: "how long a browser in which that failed is remembered",
			set: duration(func(c *config) *time.Duration { return &c.silentRetry }),
		},
		{
			key: "without_session", group: g, values: "`login` (straight on to the full login), `page` (a page with the Vipps button), `anonymous` (pass without identity)", def: "login",
			doc: "what a page visit without a session gets",
			set: oneOf(func(c *config) *string { return &c.withoutSession }, "login", "page", "anonymous"),
		},
		{
			key: "confirm_person", group: g, values: "`after-logout`, `always`, `never`", def: "after-logout",
			doc: "when to ask \"Continue as Kari N.?\" before the session exists",
			set: oneOf(func(c *config) *string { return &c.confirmPerson }, "after-logout", "always", "never"),
		},
		{
			key: "app_cookies", group: g, values: "cookie names", note: "none", list: commas,
			doc: "the application's own session cookies: expired by our logout, and when another person logs in",
			set: list(func(c *config) *[]string { return &c.appCookies }),
		},
		{
			key: "logout_paths", group: g, values: "paths, as `/logout.php`", note: "none", list: commas,
			doc: "paths of the application whose visit goes to our logout page",
			set: list(func(c *config) *[]string { return &c.logoutPaths }),
		},
		{
			key: "login_limit", group: g, values: "a number and the time in which that many come back, as `600/10m`; `off`", def: "600/10m",
			doc: "how many logins may be started from one address; more get 429",
			set: text(func(c *config) *string { return &c.loginLimit }),
		},
		{
			key: "login_limit_total", group: g, values: "as `login_limit`", def: "3000/1m",
			doc: "how many logins may be started by all together",
			set: text(func(c *config) *string { return &c.loginLimitTotal }),
		},
	}
}

func identitySettings() []setting {
	g := groupIdentity
	return []setting{
		{
			key: "headers", group: g, values: "`Header=claim` pairs; `default` in the list keeps the default set; `X-Vipps-Auth` and `X-Vipps-Sub` always stay",
			def: "default", note: "`X-Vipps-Sub`, and one header a claim of each requested scope", list: commas,
			doc: "the identity headers that the application gets",
			set: list(func(c *config) *[]string { return &c.headers }),
		},
		{
			key: "header_encoding", group: g, values: "`utf-8`, `percent`, `base64url`, `latin1`, `ascii` (Åse → Aase), for all or, as `Header=claim;percent`, for one", def: "utf-8",
			doc: "how header values are written",
			set: oneOf(func(c *config) *string { return &c.headerEncoding }, "utf-8", "percent", "base64url", "latin1", "ascii"),
		},
		{
			key: "email_unverified", group: g, values: "`drop`, `pass`", def: "drop",
			doc: "whether X-Vipps-Email is empty until Vipps says that the address is verified",
			set: oneOf(func(c *config) *string { return &c.emailUnverified }, "drop", "pass"),
		},
	}
}
