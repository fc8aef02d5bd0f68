// Package merchant keeps logins that a merchant starts, with a phone number, and that a person finishes in the app of
// Vipps MobilePay: at a till, in a call centre, at a machine. The provider calls it merchant-initiated login; it is
// Client-Initiated Backchannel Authentication (CIBA) in poll mode.
//
//	logins, err := merchant.New(merchant.Config{Client: client, Keys: keys})
//	go logins.Run(ctx)                                                 // asks the provider, until ctx ends
//	status, err := logins.Start(ctx, "till-3", merchant.Request{Phone: "+47 12 34 56 78"})
//	// status.Code is read aloud: the person compares it with what the app shows.
//	status, err = logins.Wait(ctx, "till-3", status.ID, merchant.Pending)
//	login, err := logins.Take("till-3", status.ID)                     // once
//
// # Whose a login is
//
// A caller is a name that whoever uses this package has made sure of; nothing here asks for a password. An id is
// sealed, and good for the caller that got it: another's and one that nobody gave out are [ErrUnknown], and nothing
// tells them apart. The provider's own id of a login (auth_req_id) never leaves the process but to the provider, and to
// the journal, sealed.
//
// The result is given once, and is forgotten, with all that it says of a person, when it is taken, and five minutes
// after the person said yes if it isn't. How a login ended is known for a quarter of an hour.
//
// # What is limited
//
// Each start sends a message to somebody's phone, so that starts are counted by phone number, whoever the caller, and
// by caller; questions whether a number has an account are counted with them. Neither a login that ended nor one that
// was canceled gives anything back. Numbers are counted in one spelling, as keyed hashes, in memory only, so that the counts begin anew with the process. A caller has one
// login under way for a phone number: the next one takes its place, and that one is [Canceled].
//
// # Whom the provider doesn't know
//
// Nobody learns by a start whether a number has an account. A login of somebody who has none, or may not use it, is
// pending like any other, and [Declined] some seconds later, as if the person had said no.
//
// # Restarts
//
// With a journal ([Config.File]) logins under way go on after a restart. Without one, or when its key is another, an id
// from before is [Lost]. What ended before the restart is [Lost] too, with its result: no claim is ever on a disk.
package merchant
