// Package outbox tells another program of events, and loses none of them.
//
// An event is on the disk, sealed, before Put returns, and stays there until the receiver has answered with a 2xx, over restarts and
// for as long as it takes. It may then arrive twice: its id tells.
//
// What is sent is a POST of JSON, signed as Standard Webhooks (https://www.standardwebhooks.com) says, for which there are libraries
// in most languages:
//
//	webhook-id: evt_…                    the same at every attempt
//	webhook-timestamp: 1767225600        of this attempt, in seconds
//	webhook-signature: v1,<base64>       HMAC-SHA-256 of "id.timestamp.body"
//
//	{"type":"consents.given","timestamp":"2026-01-01T00:00:00Z","data":{…}}
//
// What this package does not do: events may arrive in another order than that in which they were put, and nothing is known of what
// the receiver did with one beyond its status.
package outbox
