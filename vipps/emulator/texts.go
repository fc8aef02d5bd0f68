package emulator

import (
	"strconv"
	"strings"
)

// texts are the words of the pages in one language.
type texts struct {
	Lang, Banner, ControlLink, Cancel                                          string
	LandingTitle, LoginTo, PhoneLabel, Remember, Next, PeopleTitle, PeopleHint string
	UnknownPhone, TooYoung                                                     string
	ChallengeTitle, ChallengeText, PhoneTitle, PhoneText                       string
	ConsentTitle, ConsentText, ConsentHint, Allow, Required, Incomplete        string
	SpinnerTitle, SpinnerText, SpinnerLink                                     string
	ErrorTitle, ErrorText, ErrorHint                                           string
	ReturnTitle, ReturnText, ReturnHere, ReturnElsewhere, ReturnHint           string
	AppTitle, AppText, AppOpen, AppResumeText, AppResume                       string

	PhonesTitle, PhonesText, PhonesWhose, PhonesAll, PhonesShow                                  string
	PushNone, PushSome, PushWants, PushCode, PushAsks, PushAsksNothing, PushBrowser, PushApprove string
	PushDeny, PushExpires, PushOver, PushLink, PushApproved, PushDenied, PushLate                string

	scopes map[string]string
	states map[string]string // of merchant-initiated logins
}

func english() texts {
	return texts{
		Lang:           "en",
		Banner:         "This is the vippsauth emulator, not Vipps. No real login happens here.",
		ControlLink:    "Emulator control",
		Cancel:         "Cancel",
		LandingTitle:   "Log in",
		LoginTo:        "You are logging in to",
		PhoneLabel:     "Phone number",
		Remember:       "Remember me in browser",
		Next:           "Next",
		PeopleTitle:    "Nobody real: choose who to be",
		PeopleHint:     "One click fills in the phone number and goes on.",
		UnknownPhone:   "The emulator knows nobody with that phone number. Choose one of the people below.",
		TooYoung:       "To log in you need to have an active app on your phone and be at least 15 years old.",
		ChallengeTitle: "Confirm on your phone",
		ChallengeText:  "Open the app on your phone, and choose this number there:",
		PhoneTitle:     "Your phone",
		PhoneText:      "Your phone shows: which number do you see on the page?",
		ConsentTitle:   "Share information",
		ConsentText:    "asks for:",
		ConsentHint:    "You share all of it or nothing. You won't be asked for the same again.",
		Allow:          "Allow and continue",
		Required:       "(required)",
		Incomplete:     "Tick the boxes that are required, or cancel.",
		SpinnerTitle:   "Checking whether you are remembered",
		SpinnerText:    "This takes a moment and needs nothing from you.",
		SpinnerLink:    "Go on if nothing happens",
		ErrorTitle:     "Oops, something went wrong",
		ErrorText:      "The login stops here. You are not sent back to the site that you came from.",
		ErrorHint:      "Go back to the site that you came from, and try again.",

		ReturnTitle:     "The phone opens a browser",
		ReturnText:      "You have confirmed in the app, which now opens the site by itself. Which browser that is, the phone decides.",
		ReturnHere:      "Return in this browser",
		ReturnElsewhere: "Or open this address in another browser",
		ReturnHint:      "It works once.",
		AppTitle:        "The phone opens an app",
		AppText:         "Vipps' app is done and opens app_callback_uri, which the merchant's app takes over:",
		AppOpen:         "Open the app",
		AppResumeText:   "Is there none on this machine? It would let the browser go on at resume_uri:",
		AppResume:       "Go on in this browser",
		PhonesTitle:     "Phones",
		PhonesText:      "Logins that a merchant starts arrive here, as a message would in the app.",
		PhonesWhose:     "Whose phone",
		PhonesAll:       "Everybody's",
		PhonesShow:      "Show",
		PushSome:        "Messages:",
		PushNone:        "No message. New ones appear by themselves; without a script, load the page again.",
		PushWants:       "wants you to log in",
		PushCode:        "Go on only if you see or hear the same code there:",
		PushAsks:        "You share:",
		PushAsksNothing: "You share nothing that you haven't shared before.",
		PushBrowser:     "Goes on in the phone's browser.",
		PushApprove:     "Approve",
		PushDeny:        "Deny",
		PushExpires:     "Ends by itself in",
		PushOver:        "A moment ago",
		PushLink:        "The phone's browser opens",
		PushApproved:    "Approved.",
		PushDenied:      "Denied.",
		PushLate:        "That login isn't waiting any more.",
		states: map[string]string{
			"approved": "approved", "denied": "denied", "expired": "ended by itself", "done": "approved, and the merchant has it",
		},
		scopes: map[string]string{
			"name": "Name", "phoneNumber": "Phone number", "email": "E-mail", "address": "Addresses", "birthDate": "Date of birth",
			"gender": "Gender", "nin": "National identity number", "accountNumbers": "Account numbers",
		},
	}
}

func norwegian() texts {
	return texts{
		Lang:           "nb",
		Banner:         "Dette er emulatoren til vippsauth, ikke Vipps. Ingen ekte innlogging skjer her.",
		ControlLink:    "Styring av emulatoren",
		Cancel:         "Avbryt",
		LandingTitle:   "Logg inn",
		LoginTo:        "Du logger inn hos",
		PhoneLabel:     "Telefonnummer",
		Remember:       "Husk meg i nettleseren",
		Next:           "Neste",
		PeopleTitle:    "Ingen er ekte: velg hvem du er",
		PeopleHint:     "Ett klikk fyller inn telefonnummeret og går videre.",
		UnknownPhone:   "Emulatoren kjenner ingen med det telefonnummeret. Velg en av personene under.",
		TooYoung:       "For å logge inn må du ha en aktiv app på telefonen og være minst 15 år.",
		ChallengeTitle: "Bekreft på telefonen",
		ChallengeText:  "Åpne appen på telefonen, og velg dette tallet der:",
		PhoneTitle:     "Telefonen din",
		PhoneText:      "Telefonen din viser: hvilket tall ser du på siden?",
		ConsentTitle:   "Del opplysninger",
		ConsentText:    "ber om:",
		ConsentHint:    "Du deler alt eller ingenting. Du blir ikke spurt om det samme igjen.",
		Allow:          "Godta og fortsett",
		Required:       "(må godtas)",
		Incomplete:     "Kryss av det som må godtas, eller avbryt.",
		SpinnerTitle:   "Sjekker om du er husket",
		SpinnerText:    "Dette tar et øyeblikk, og du trenger ikke gjøre noe.",
		SpinnerLink:    "Gå videre om ingenting skjer",
		ErrorTitle:     "Uff da, noe gikk galt",
		ErrorText:      "Innloggingen stopper her. Du blir ikke sendt tilbake til nettstedet du kom fra.",
		ErrorHint:      "Gå tilbake til nettstedet du kom fra, og prøv igjen.",

		ReturnTitle:     "Telefonen åpner en nettleser",
		ReturnText:      "Du har bekreftet i appen, som nå åpner nettstedet av seg selv. Hvilken nettleser det blir, bestemmer telefonen.",
		ReturnHere:      "Gå tilbake i denne nettleseren",
		ReturnElsewhere: "Eller åpne denne adressen i en annen nettleser",
		ReturnHint:      "Den virker én gang.",
		AppTitle:        "Telefonen åpner en app",
		AppText:         "Vipps-appen er ferdig og åpner app_callback_uri, som brukerstedets app tar over:",
		AppOpen:         "Åpne appen",
		AppResumeText:   "Er det ingen på denne maskinen? Den ville latt nettleseren gå videre på resume_uri:",
		AppResume:       "Gå videre i denne nettleseren",
		PhonesTitle:     "Telefoner",
		PhonesText:      "Innlogginger som et brukersted starter, kommer hit, slik en melding ville kommet i appen.",
		PhonesWhose:     "Hvem sin telefon",
		PhonesAll:       "Alles",
		PhonesShow:      "Vis",
		PushSome:        "Meldinger:",
		PushNone:        "Ingen melding. Nye kommer av seg selv; uten skript må du laste siden på nytt.",
		PushWants:       "ber deg logge inn",
		PushCode:        "Gå bare videre om du ser eller hører den samme koden der:",
		PushAsks:        "Du deler:",
		PushAsksNothing: "Du deler ikke noe som du ikke har delt før.",
		PushBrowser:     "Går videre i nettleseren på telefonen.",
		PushApprove:     "Godkjenn",
		PushDeny:        "Avslå",
		PushExpires:     "Slutter av seg selv om",
		PushOver:        "Nettopp",
		PushLink:        "Nettleseren på telefonen åpner",
		PushApproved:    "Godkjent.",
		PushDenied:      "Avslått.",
		PushLate:        "Den innloggingen venter ikke lenger.",
		states: map[string]string{
			"approved": "godkjent", "denied": "avslått", "expired": "sluttet av seg selv", "done": "godkjent, og brukerstedet har den",
		},
		scopes: map[string]string{
			"name": "Navn", "phoneNumber": "Telefonnummer", "email": "E-post", "address": "Adresser", "birthDate": "Fødselsdato",
			"gender": "Kjønn", "nin": "Fødselsnummer", "accountNumbers": "Kontonumre",
		},
	}
}

// textsFor picks a language by Accept-Language (RFC 9110 §12.5.4): Norwegian or English, whichever weighs more and then comes first.
// Without the header it is Norwegian, as at Vipps; with neither language in it, English.
func textsFor(acceptLanguage string) texts {
	if strings.TrimSpace(acceptLanguage) == "" {
		return norwegian()
	}
	if len(acceptLanguage) > 1000 {
		acceptLanguage = acceptLanguage[:1000]
	}
	best, pick := 0.0, english
	for item := range strings.SplitSeq(acceptLanguage, ",") {
		tag, params, _ := strings.Cut(item, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64)
		}
		if !(q > best) {
			continue
		}
		switch primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-"); primary {
		case "nb", "nn", "no":
			best, pick = q, norwegian
		case "en":
			best, pick = q, english
		}
	}
	return pick()
}
