package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

// qrCallback is where QR logins come back to that end in a browser.
const qrCallback = callbackPath + "/qr"

// qrSettings are the settings of logins that begin with the scan of a printed code.
type qrSettings struct {
	mode    string // off, on
	callers []string
}

func qrTable() []setting {
	g := groupMerchant
	return []setting{
		{
			key: "qr", group: g, values: "`off`, `on`", def: "off",
			doc: "logins that begin with the scan of a printed QR code; Vipps withdrew them in January 2023, so that none come without an agreement",
			set: oneOf(func(c *config) *string { return &c.qr.mode }, "off", "on"),
		},
		{
			key: "qr_callers", group: g, values: "`qr_id=caller`, with a caller of `merchant_callers`", note: "none: such logins end in a browser only", list: commas,
			doc: "which caller gets the logins of which code",
			set: list(func(c *config) *[]string { return &c.qr.callers }),
		},
	}
}

// checkQR looks at the settings of QR logins.
func (c *config) checkQR(rep *report) {
	if c.qr.mode != "on" {
		if len(c.qr.callers) > 0 {
			rep.add(problem{rep.source("qr_callers"), "qr_callers", "is set, but QR logins are off", "set qr to on, or take it out"})
		}
		if len(c.app.qrIDs) > 0 {
			rep.warn(problem{rep.source("qr_ids"), "qr_ids", "lets nobody pass, since QR logins are off", "set qr to on, or take it out"})
		}
		for _, p := range c.policies {
			if len(p.QRs) > 0 {
				rep.warn(problem{rep.source(policiesKey), policiesKey + ": " + shownName(p.Name) + ": qr_ids", "lets nobody pass, since QR logins are off", "set qr to on, or take it out"})
			}
		}
		return
	}
	logins, err := merchant.NewQRLogins(c.qr.callers, nil)
	rep.addErrors(err)
	if err != nil {
		return
	}
	var known []string
	for _, entry := range c.merchant.callers {
		name, _, _ := strings.Cut(entry, "=")
		known = append(known, name)
	}
	for _, name := range logins.Callers() {
		if !slices.Contains(known, name) {
			rep.add(problem{rep.source("qr_callers"), "qr_callers", "names a caller that merchant_callers doesn't have", "add it there, with its token"})
			return
		}
	}
}

// qrRedirectURI is where QR logins come back to that end in a browser; empty where there are none.
func (c *config) qrRedirectURI() string {
	if origin := c.merchantOrigin(); c.qr.mode == "on" && origin != "" {
		return origin + qrCallback
	}
	return ""
}

// qrAddresses says what Vipps has to know of QR logins, as lines; none where they are off.
func (c *config) qrAddresses() []string {
	if c.qrRedirectURI() == "" {
		return nil
	}
	lines := []string{"QR logins were withdrawn by Vipps MobilePay in January 2023: none come without an agreement about them, which names:", "  redirect URI " + c.qrRedirectURI()}
	if len(c.qr.callers) > 0 {
		lines = append(lines, "  callback "+c.merchantOrigin()+webhook.QRPath)
	}
	return lines
}

// A qrSide is QR logins, as the service offers them.
type qrSide struct {
	logins   *merchant.QRLogins // nil: they end in a browser only
	receiver *webhook.QR
}

// buildQR makes what QR logins need, and tells the engine where those land that end in a browser. It comes before the engine.
func (s *service) buildQR(c *config, client *vipps.Client, engine *forwardauth.Config) error {
	if c.qr.mode != "on" {
		return nil
	}
	consented := engine.Consented
	engine.Landings = append(engine.Landings, forwardauth.Landing{Path: qrCallback, Finish: func(ctx context.Context, query url.Values) (*vipps.Login, string, error) {
		login, err := client.FinishQRRedirect(context.WithoutCancel(ctx), query) // a code is good once, whatever becomes of the browser
		return login, "/", err
	}})
	s.qr = &qrSide{}
	if len(c.qr.callers) == 0 {
		return nil
	}
	var err error
	if s.qr.logins, err = merchant.NewQRLogins(c.qr.callers, nil); err != nil {
		return err
	}
	s.qr.receiver, err = webhook.NewQR(webhook.QRConfig{
		Client: client, Logger: s.log, Metrics: s.ops.registry,
		Login: func(ctx context.Context, login *vipps.Login) error {
			if answers, ok := login.User.Consents(); ok && consented != nil {
				if err := consented(ctx, login.User.Sub, answers); err != nil {
					s.log.Error("somebody's answers to questions about consent could not be kept: they are in the result of this QR login and nowhere else", zap.Error(err))
				}
			}
			return s.qr.logins.OfferQR(login)
		},
	})
	return err
}

// qrLogins are those for callers; nil when there are none.
func (s *service) qrLogins() *merchant.QRLogins {
	if s.qr == nil {
		return nil
	}
	return s.qr.logins
}

// receivedQR has QR callbacks received before next sees anything of them.
func (s *service) receivedQR(next http.Handler) http.Handler {
	if s.qr == nil || s.qr.receiver == nil {
		return next
	}
	return s.qr.receiver.Handler(next)
}

// runQR starts what makes logins of QR callbacks. stop waits until those are made that were promised.
func (s *service) runQR(ctx context.Context) (stop stopFunc) {
	if s.qr == nil || s.qr.receiver == nil {
		return nothing
	}
	return s.inBackground(ctx, "making logins of QR callbacks", func(ctx context.Context) {
		_ = s.qr.receiver.Run(ctx) // its only end is that of ctx
	})
}
