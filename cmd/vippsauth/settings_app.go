package main

// appLogins are the settings of logins that begin or end in an app, or with a QR code.
type appLogins struct {
	flow, callbackURI, finalRedirect string
	qrIDs                            []string
}

func appSettings() []setting {
	g := groupLogin
	return []setting{
		{
			key: "app_flow", group: g, values: "`off`, `automatic-return` (the app opens a browser by itself; another one than the login began in gets a page that begins again there), `app-to-app`, `app-to-app-v2` (from an app of yours)", def: "off",
			doc: "how people come back from the Vipps MobilePay app on a phone",
			set: oneOf(func(c *config) *string { return &c.app.flow }, "off", "automatic-return", "app-to-app", "app-to-app-v2"),
		},
		{
			key: "app_callback_uri", group: g, values: "`https://…`, or `yourapp://callback`", note: "required with `app_flow app-to-app`",
			doc: "what opens your app when the person has confirmed; registered with Vipps",
			set: text(func(c *config) *string { return &c.app.callbackURI }),
		},
		{
			key: "final_redirect_is_app", group: g, values: "`on`, `off`", def: "off",
			doc: "that the redirect URI opens your app",
			set: oneOf(func(c *config) *string { return &c.app.finalRedirect }, "on", "off"),
		},
		{
			key: "qr_ids", group: g, values: "ids of QR codes; most often in `policies`", note: "none: all logins", list: commas,
			doc: "that only logins which came by one of these QR codes pass",
			set: list(func(c *config) *[]string { return &c.app.qrIDs }),
		},
	}
}
