package vipps

// grantCauses are those of an exchange that the token endpoint refused, where it is not that of a login in a browser; nil elsewhere.
func (e *Error) grantCauses() []string {
	if e.Stage != StageToken {
		return nil
	}
	switch e.hint.grant {
	case grantCIBA, grantCIBARedirect:
		return e.merchantGrantCauses()
	case grantQR, grantQRRedirect:
		return e.qrGrantCauses()
	}
	return nil
}

func (e *Error) merchantGrantCauses() []string {
	switch e.Code {
	case "invalid_grant":
		if e.hint.grant == grantCIBARedirect {
			return []string{"The code was used before, or more than a couple of minutes passed: the link was opened a second time, or another instance finished this login. Starting again cures it."}
		}
		return []string{
			"The auth_req_id was used before, or the provider has forgotten it: another instance has fetched this login, or it was over long ago. Starting again cures it.",
			"The login was started with other keys, or in the other environment.",
		}
	case "invalid_request":
		return []string{"A parameter is missing or malformed; the description says which."}
	case "unauthorized_client", "unsupported_grant_type":
		return []string{"The sales unit may not use merchant-initiated login, or the provider has none of this kind: ask Vipps MobilePay."}
	}
	return nil
}

func (e *Error) qrGrantCauses() []string {
	switch e.Code {
	case "invalid_grant", codeLoginExpired:
		return []string{"The QR login was redeemed before, or more than about five minutes after the code was scanned: scanning it again cures it."}
	case "invalid_request", "unauthorized_client", "unsupported_grant_type":
		return []string{"Vipps MobilePay has withdrawn QR logins (January 2023): without an agreement about them the exchange is refused."}
	}
	return nil
}
