package webhook

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// say logs what an operator should know of an outcome. What is sent twice is usual, and so is what has an effect.
func (r *Receiver) say(kind string, v verdict) {
	var text, cure, code string
	switch v.outcome {
	case forged:
		text = "was refused: nobody knows who sent it"
	case stale:
		text, cure = "had no effect: its date isn't now", staleCure(v.off)
	case otherEvent:
		text, cure = "had no effect: it is about something else", map[string]string{
			kindPing: "register this address for " + vipps.EventMerchantLoginPing + " only", kindRevoked: "only withdrawn consents (CONSENT_REVOKED) belong there",
		}[kind]
	case unreadable:
		text, cure = "had no effect: it is not of a form that is known here", "look for a newer version of vippsauth"
	case shed:
		text, cure = "had no effect: too many came at once", "nothing: logins are asked for without them, a little later"
	case limited, busy:
		text, cure = "was put off: too many came at once", "if they are not Vipps MobilePay's, change consent_revoked_secret, and tell Vipps MobilePay the new address"
	case tooLarge, tooSlow:
		text, cure = "was refused: it is longer than 64 KiB, or took longer than 5 seconds to come", "Vipps MobilePay sends no such thing; look at what is in front"
	default:
		return
	}
	e, typed := errors.AsType[*vipps.Error](v.err)
	if typed {
		code = e.Code
	}
	if !r.said.May(kind+" "+string(v.outcome)+" "+code, r.cfg.Now()) {
		return
	}
	var fields []zap.Field
	switch {
	case typed && len(e.Causes()) > 0:
		fields = []zap.Field{zap.String("code", code), zap.Strings("likely_causes", e.Causes())}
	case errors.Is(v.err, errPathSecret):
		fields = []zap.Field{zap.Error(v.err), zap.String("cure", "give Vipps MobilePay the address that ends in consent_revoked_secret; other callers are to be refused")}
	case v.err != nil:
		fields = []zap.Field{zap.Error(v.err), zap.String("cure", cure)}
	default:
		fields = []zap.Field{zap.String("cure", cure)}
	}
	r.log.Warn(title(kind)+" "+text, fields...)
}

func title(kind string) string {
	return map[string]string{kindPing: "a webhook", kindRevoked: "a consent-revoked webhook"}[kind]
}

// staleCure says by how much the clocks differ, and what that may mean.
func staleCure(off time.Duration) string {
	seconds := int(off.Abs() / time.Second)
	switch {
	case off > 0:
		return fmt.Sprintf("by this machine's clock it was signed %d seconds ago: one that Vipps MobilePay sends again is late by nature; if all are, synchronise the clock (NTP)", seconds)
	case off < 0:
		return fmt.Sprintf("by this machine's clock it was signed %d seconds from now: synchronise the clock (NTP)", seconds)
	}
	return "its x-ms-date is no date: look at what is in front"
}
