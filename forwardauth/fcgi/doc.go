// Package fcgi is a FastCGI 1.0 server for the role of an authorizer: a web server hands it the variables of a request, and
// it answers with a status, header fields and a body. Package net/http/fcgi plays the role of a responder only.
//
// It follows the FastCGI specification, version 1.0 (fastcgi-archives.github.io/FastCGI_Specification.html), whose sections
// are named where a rule comes from them, and what Apache's mod_authnz_fcgi makes of it: that module opens a TCP connection
// for each request, sends FCGI_BEGIN_REQUEST with role 2 and no flags, then FCGI_PARAMS in records of 16 KB at most, and no
// FCGI_STDIN (modules/aaa/mod_authnz_fcgi.c: send_begin_request, send_environment, req_rsp).
//
// The package knows the protocol and nothing of logins. A connection carries one request at a time.
package fcgi
