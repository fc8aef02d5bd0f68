package vipps

// The scopes that Vipps MobilePay documents. Which of them a sales unit may ask
// for depends on its plan: one that it may not is refused (invalid_scope) or
// dropped without a word, so every claim but sub may be missing.
const (
	// ScopeOpenID is in every login and gives sub.
	ScopeOpenID = "openid"
	// ScopeName gives name, given_name and family_name.
	ScopeName = "name"
	// ScopeEmail gives email and email_verified.
	ScopeEmail = "email"
	// ScopePhoneNumber gives phone_number, digits with the country code and no
	// plus sign, and of late phone_number_verified.
	ScopePhoneNumber = "phoneNumber"
	// ScopeAddress gives address and other_addresses.
	ScopeAddress = "address"
	// ScopeBirthDate gives birthdate.
	ScopeBirthDate = "birthDate"
	// ScopeGender gives gender. It isn't available in the test environment.
	ScopeGender = "gender"
	// ScopeNIN gives nin, a national identity number. It needs an agreement and
	// a legal ground. For which countries there are any, Vipps' documents disagree.
	ScopeNIN = "nin"
	// ScopePaymentSourceReferences gives payment_sources_details, as third
	// parties tell. It belongs to Login Connect, which needs an agreement.
	ScopePaymentSourceReferences = "paymentSourceReferences"
	// ScopeAccountNumbers gives accounts. Deprecated by Vipps, for old agreements only.
	ScopeAccountNumbers = "accountNumbers"
	// ScopeDelegatedConsents asks for marketing consents and gives
	// delegatedConsents; see User.Consents. Vipps advises it for registrations,
	// not for each login.
	ScopeDelegatedConsents = "delegatedConsents"
	// ScopeCustomFlow runs a flow built in the portal and gives flowResult; see
	// User.Consents. It is the successor of ScopeDelegatedConsents.
	ScopeCustomFlow = "customFlow"
)

// ClaimsOfScope returns the names of the claims that a scope gives, as far as
// this package knows it: those of Vipps, and profile and phone of OpenID
// Connect Core §5.4. consents is what [User.Claim] makes of two of them. Not all of them are always there. It returns nil for an unknown scope.
func ClaimsOfScope(scope string) []string {
	switch scope {
	case ScopeOpenID:
		return []string{"sub"}
	case ScopeName, "profile":
		return []string{"name", "given_name", "family_name"}
	case ScopeEmail:
		return []string{"email", "email_verified"}
	case ScopePhoneNumber, "phone":
		return []string{"phone_number", "phone_number_verified"}
	case ScopeAddress:
		return []string{"address", "other_addresses"}
	case ScopeBirthDate:
		return []string{"birthdate"}
	case ScopeGender:
		return []string{"gender"}
	case ScopeNIN, "nnin":
		return []string{"nin"}
	case ScopeAccountNumbers:
		return []string{"accounts"}
	case ScopePaymentSourceReferences:
		return []string{"payment_sources_details"}
	case ScopeDelegatedConsents:
		return []string{"delegatedConsents", "consents"}
	case ScopeCustomFlow:
		return []string{"flowResult", "consents"}
	}
	return nil
}
