// Package doctor asks a running site, and the provider behind it, from outside, and says what is wrong with them and how
// to mend it. It is what `vippsauth doctor` does.
//
// [Site.Examine] asks the site as a browser, as a script and as an attacker would, and looks at nothing but the
// answers. It takes every kind of proxy for what it does, not for what it is. [Provider.Examine] asks the provider whether
// it knows the client, its secret and its redirect URIs.
//
// Both are bounded in the number of requests and in time. They make attempts of logins, which end by themselves, and change
// nothing else.
package doctor
